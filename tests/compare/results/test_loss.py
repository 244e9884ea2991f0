"""Datagrams that were lost in an open loop: what is said of a cell, from made-up rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdicts import verdict

from compare.contract.loss import Loss, total
from compare.results.loss import percent
from compare.results.records import Pace, Round

MakeRound = Callable[..., Round]
MakePace = Callable[..., Pace]
Overrun = Callable[..., Round]
MANY = st.integers(0, 10**9)
LOSSES = st.builds(
    Loss,
    due=MANY,
    lost=MANY,
    server_buffer=MANY | st.none(),
    driver_buffer=MANY | st.none(),
    unsent=MANY,
)


def made_up_loss(**changes: Any) -> Loss:
    values = {"due": 10_000, "lost": 0, "server_buffer": 0, "driver_buffer": 0, "unsent": 0}
    return Loss(**values | changes)


@pytest.fixture
def overrun(made_up_round: MakeRound, made_up_pace: MakePace) -> Overrun:
    """A round of 10,000 datagrams due in ten seconds, of which the others were answered."""

    def make(**changes: Any) -> Round:
        loss = made_up_loss(**changes)
        return made_up_round(
            operations=loss.due - loss.lost,
            window_s=10.0,
            pace=made_up_pace(1000.0, loss=loss),
            errors={"lost": loss.lost - loss.unsent} if loss.lost > loss.unsent else {},
            sent=loss.due - loss.unsent,
            dropped=loss.server_buffer,
            receive_buffer=212_992,
        )

    return make


def test_more_than_the_server_takes_is_a_rate_that_is_not_met_and_no_failure(
    overrun: Overrun,
) -> None:
    found, reasons = verdict([overrun(lost=6000, server_buffer=6000)], workload="udp-echo")
    assert found == "rate-unmet"
    assert reasons.startswith("400 of 1,000 operations due in a second were done")
    assert (
        "60.0% of the datagrams due were lost: 60.0% found the server's receive buffer of 212,992 "
        "bytes full (SO_RCVBUF)" in reasons
    )


def test_what_the_server_does_not_answer_is_no_matter_of_the_rate(overrun: Overrun) -> None:
    found, reasons = verdict([overrun(lost=6000)], workload="udp-echo")
    assert found == "errors"
    assert "60.0% were never answered" in reasons


def test_server_under_pressure_may_stand_still_for_one_of_its_rounds(overrun: Overrun) -> None:
    still, busy = (overrun(lost=lost, server_buffer=lost) for lost in (10_000, 6000))
    assert verdict([busy, still], workload="udp-echo")[0] == "rate-unmet"
    assert verdict([still, still], workload="udp-echo")[0] == "failed"


def test_what_the_driver_lost_in_its_warm_up_is_no_error_of_the_server(overrun: Overrun) -> None:
    made = overrun(lost=300, driver_buffer=300, due=10_000)
    warmed_up = msgspec.structs.replace(made, errors={"lost": 5000})
    found, _ = verdict([warmed_up], workload="udp-echo")
    assert found == "driver-bound"


def test_driver_that_loses_replies_is_driver_bound_and_the_server_not_blamed(
    overrun: Overrun,
) -> None:
    lost = overrun(lost=300, driver_buffer=200, unsent=100)
    found, reasons = verdict([lost], workload="udp-echo")
    assert found == "driver-bound"
    assert "3.0% of the datagrams due were lost by the driver" in reasons
    assert verdict([overrun(lost=90, driver_buffer=90)], workload="udp-echo")[0] == "ok"


def test_the_largest_part_is_named_first(overrun: Overrun) -> None:
    lost = overrun(lost=5000, server_buffer=1, driver_buffer=1000, unsent=999)
    reasons = verdict([lost], workload="udp-echo")[1]
    assert (
        "50.0% of the datagrams due were lost: 30.0% were never answered, 10.0% found the "
        "driver's own full on their way back, 10.0% the driver could not send, < 0.1% found the "
        "server's" in reasons
    )


def test_several_drivers_know_what_the_server_dropped_and_not_when(overrun: Overrun) -> None:
    made = overrun(lost=6000, server_buffer=None)
    server = msgspec.structs.replace(made.server, dropped=6500)  # with the warm-up
    found, reasons = verdict([msgspec.structs.replace(made, server=server)], workload="udp-echo")
    assert found == "rate-unmet"
    assert "60.0% where no driver could see it" in reasons
    assert "the kernel dropped 6500 datagrams" in reasons


def test_nothing_lost_is_not_mentioned(overrun: Overrun) -> None:
    assert verdict([overrun()], workload="udp-echo") == ("ok", "")


@given(st.lists(LOSSES, min_size=1))
def test_losses_add_up_and_no_part_is_more_than_there_was(parts: list[Loss]) -> None:
    found = total(parts)
    assert found is not None
    assert found.lost == sum(each.lost for each in parts)
    assert (found.server_buffer is None) == any(each.server_buffer is None for each in parts)
    assert 0 <= found.unexplained <= found.lost
    assert msgspec.json.decode(msgspec.json.encode(found), type=Loss) == found


def test_without_any_there_is_no_total() -> None:
    assert total([]) is total([None, None]) is None
    assert total([None, made_up_loss(lost=3)]) == made_up_loss(lost=3)


def test_little_is_not_nothing_and_nothing_due_no_fault() -> None:
    assert [percent(*each) for each in ((0, 9), (1, 9999), (1, 1000), (9, 9), (0, 0))] == [
        *("0.0%", "< 0.1%", "0.1%", "100.0%", "0.0%")
    ]
    assert made_up_loss(due=0).share == 0.0
