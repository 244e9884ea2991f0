"""Open loops: what was due is done or counted, and latencies count from when it was due."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from planted_servers import CORRECT, Drive, Plant

from compare.contract import histogram
from compare.contract.outcome import Outcome, Pace

AT_ONCE = {"chat": 3}  # operations by one message, with four members
WINDOW_S = 0.3
PATIENCE_S = 0.3  # where something is never answered
SECOND = 10**9


@pytest.fixture
def paced(plant: Plant, drive: Drive) -> Callable[..., tuple[Outcome, Pace, Any]]:
    """Drives an open loop; the outcome, its pace, and the server."""

    def paced(
        server: tuple[object, ...], workload: str, rate: float, **changes: Any
    ) -> tuple[Outcome, Pace, Any]:
        planted = plant(*server)
        outcome = drive(
            planted, workload, rate=rate, **{"window": WINDOW_S, "patience": PATIENCE_S} | changes
        )
        assert outcome.pace is not None
        return outcome, outcome.pace, planted

    return paced


Paced = Callable[..., "tuple[Outcome, Pace, Any]"]


def total(encoded: str) -> int:
    count: int = histogram.merge([encoded]).get_total_count()
    return count


def slower(encoded: str, ms: float) -> int:
    """How many took longer."""
    found = histogram.merge([encoded])
    return sum(
        each.count_added_in_this_iter_step
        for each in found.get_recorded_iterator()
        if each.value_iterated_to > ms * 1e6
    )


# What is due


@pytest.mark.parametrize(
    ("workload", "arrivals"),
    [*((workload, "fixed") for workload in CORRECT), ("tcp-long", "poisson")],
)
def test_what_is_due_is_done(paced: Paced, workload: str, arrivals: str) -> None:
    outcome, pace, _ = paced(CORRECT[workload], workload, 300, arrivals=arrivals, warmup=0.05)
    at_once = AT_ONCE.get(workload, 1)
    assert outcome.errors == {}
    assert pace.missed == 0
    # In the window, or just before or after: it was due there, and nobody failed to do it.
    assert total(outcome.latency) == total(pace.service)
    assert total(outcome.latency) == pytest.approx(pace.offered, abs=at_once)
    if arrivals == "fixed":
        assert pace.offered == pytest.approx(300 * outcome.window_ns / SECOND, abs=2 * at_once)
    assert 0 < pace.sends <= pace.offered // at_once + 1  # the others waited for a connection
    assert outcome.counts.starved == outcome.counts.timed_out == 0


@pytest.mark.parametrize("workload", ["tcp-long", "tcp-short"])
def test_stall_is_in_the_latencies_of_all_that_were_due_meanwhile(
    paced: Paced, workload: str
) -> None:
    """And in the service times of those only that were under way, one for each connection."""
    outcome, pace, server = paced(
        ("timing.py", "stall", 300, 50), workload, 200, window=0.5, patience=5
    )
    did = server.report()
    lasted_ms = (did["ended"] - did["began"]) / 1e6
    waited = slower(outcome.latency, 50)
    assert outcome.latency_max_ns / 1e6 >= lasted_ms - 5  # one gap
    # Each 5 ms; those due in its last 50 ms have waited less.
    assert waited >= (lasted_ms - 50) / 5 - 2
    assert slower(pace.service, 50) <= waited
    assert pace.missed == 0
    assert outcome.errors == {}


def test_rate_that_the_server_cannot_do_is_not_met(paced: Paced) -> None:
    """Two hundred a second is what it can."""
    outcome, pace, _ = paced(("timing.py", "service", 5), "tcp-long", 1000)
    assert outcome.operations < pace.offered / 2
    assert pace.missed > 0
    assert total(outcome.latency) == pytest.approx(pace.offered, abs=1)
    assert outcome.errors == {}


def test_client_that_was_never_asked_for_anything_has_not_starved(paced: Paced) -> None:
    outcome, pace, _ = paced(CORRECT["udp-echo"], "udp-echo", 10, connections=64)
    assert pace.offered < 64
    assert outcome.counts.starved == 0


# No answer


@pytest.mark.parametrize(
    ("workload", "server"),
    [("tcp-long", ("echo.py", "silent")), ("tcp-short", ("echo.py", "accepts-nobody"))],
)
def test_what_is_never_answered_is_missed_and_in_the_latencies(
    paced: Paced, workload: str, server: tuple[object, ...]
) -> None:
    outcome, pace, _ = paced(server, workload, 50)
    assert outcome.operations == 0
    assert total(pace.service) == 0
    assert pace.missed == total(outcome.latency) == pytest.approx(pace.offered, abs=1)
    assert outcome.latency_max_ns >= 0.25 * SECOND  # until it was given up
    assert outcome.counts.starved == 4
    assert outcome.errors == {}


def test_connections_that_the_server_ended_miss_all_that_is_due_afterwards(paced: Paced) -> None:
    outcome, pace, server = paced(("echo.py", "eof", 100, 5), "tcp-long", 200)
    assert outcome.errors == {"eof": 4}
    report = server.report()
    assert report["faults"] == 4
    answered = report["received"] - report["faults"]
    assert pace.missed == pytest.approx(pace.offered - answered, abs=2)
    assert total(outcome.latency) == pytest.approx(pace.offered, abs=1)


@pytest.mark.parametrize("workload", list(CORRECT))
def test_server_that_refuses_does_not_hold_the_driver_up(paced: Paced, workload: str) -> None:
    script = "datagrams.py" if workload == "udp-echo" else "echo.py"
    outcome, pace, _ = paced((script, "refuses"), workload, 50)
    assert outcome.counts.refused >= 4
    assert outcome.counts.served == outcome.operations == total(pace.service) == 0
    assert outcome.counts.starved == 0


def test_datagram_that_is_refused_is_not_lost_as_well(paced: Paced) -> None:
    outcome, *_ = paced(("datagrams.py", "refuses"), "udp-echo", 50)
    assert outcome.counts.refused >= 4
    assert outcome.errors == {}


@pytest.mark.parametrize(
    ("workload", "server"),
    [
        ("tcp-long", ("echo.py", "dies", 100, 20)),
        ("tcp-short", ("echo.py", "dies", 100, 20)),
        ("chat", ("room.py", "dies", 20)),
    ],
)
def test_server_that_dies_does_not_hold_the_driver_up(
    paced: Paced, workload: str, server: tuple[object, ...]
) -> None:
    outcome, pace, _ = paced(server, workload, 400)
    counts = outcome.counts
    assert outcome.operations > 0
    assert counts.reset + outcome.errors.get("eof", 0) + counts.refused >= 4
    if workload != "chat":  # there a line is missed by those only who still were in the room
        assert pace.missed > 0


# Wrong answers


def test_wrong_replies_are_counted_and_missed(paced: Paced) -> None:
    outcome, pace, server = paced(("echo.py", "flipped", 100, 5), "tcp-long", 200)
    assert outcome.errors == {"wrong_bytes": 4}
    assert server.report()["faults"] == 4
    assert pace.missed >= 4


def test_wrong_replies_on_short_connections_are_counted_and_missed(paced: Paced) -> None:
    outcome, pace, server = paced(("echo.py", "flipped", 100, 5), "tcp-short", 200)
    report = server.report()
    assert outcome.errors == {"wrong_bytes": report["faults"]}
    assert outcome.counts.served == report["received"] - report["faults"] > 0
    assert pace.missed == pytest.approx(report["faults"], abs=1)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("loses", "lost"),
        ("duplicates", "duplicate"),
        ("reorders", "reordered"),
        ("comes-back", "own_line"),
    ],
)
def test_faults_of_a_room_are_counted_exactly(paced: Paced, fault: str, error: str) -> None:
    outcome, pace, server = paced(("room.py", fault, 5, 3), "chat", 400, connections=5)
    assert server.report()["faults"] == 3
    assert outcome.errors == {error: 3}
    assert pace.missed == (3 if fault == "loses" else 0)


# Datagrams


def test_lost_datagrams_are_lost_and_neither_late_nor_missed(paced: Paced) -> None:
    outcome, pace, server = paced(("datagrams.py", "lost", 5), "udp-echo", 100)
    report = server.report()
    assert outcome.errors == {"lost": report["faults"]}
    assert report["faults"] >= 4
    assert pace.missed == 0
    assert 0 < total(outcome.latency) <= report["received"] - report["faults"]


def test_doubled_datagrams_are_duplicates(paced: Paced) -> None:
    outcome, pace, server = paced(("datagrams.py", "duplicate", 5), "udp-echo", 100)
    faults = server.report()["faults"]
    # The second copy of the last reply may come when nobody is there any more.
    assert faults - 1 <= outcome.errors["duplicate"] <= faults
    assert set(outcome.errors) == {"duplicate"}
    assert total(outcome.latency) == pytest.approx(pace.offered, abs=1)


@pytest.mark.parametrize("fault", ["late", "overtaken"])
def test_datagram_may_come_as_late_as_it_will(paced: Paced, fault: str) -> None:
    """With the next of its client, 40 ms after it; some come never."""
    outcome, pace, server = paced(("datagrams.py", fault, 5), "udp-echo", 100)
    report = server.report()
    assert "late" not in outcome.errors
    assert outcome.errors.get("lost", 0) == report["faults"] - report["released"]
    overtaken = report["released"] if fault == "overtaken" else 0
    assert outcome.errors.get("reordered", 0) == overtaken
    assert slower(outcome.latency, 30) >= report["released"] - 1 > 0
    assert pace.missed == 0


@pytest.mark.parametrize("fault", ["corrupt_number", "corrupt_time", "extra", "empty"])
def test_corrupt_datagrams_are_wrong_and_their_right_replies_lost(paced: Paced, fault: str) -> None:
    outcome, _, server = paced(
        ("datagrams.py", fault, 5), "udp-echo", 100, window=0.25, patience=0.05
    )
    faults = server.report()["faults"]
    assert outcome.errors == {"wrong_bytes": faults, "lost": faults}
    assert faults >= 4
    assert outcome.details
