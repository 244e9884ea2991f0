"""Verdicts on open loops and their reasons, from made-up rounds."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from verdicts import verdict

from compare.results.records import Pace, Percentiles, Round

MakeRound = Callable[..., Round]
MakePace = Callable[..., Pace]
SLOW_TAIL = Percentiles(p50=100.0, p99=50_000.0)


def test_driver_that_is_late_is_driver_bound(
    made_up_round: MakeRound, made_up_pace: MakePace
) -> None:
    paces = [made_up_pace(late_fraction=late, lateness_p99_us=late * 20_000) for late in (0.1, 0.3)]
    rounds = [made_up_round(pace=pace, latency_us=SLOW_TAIL) for pace in paces]
    assert verdict(rounds) == (
        "driver-bound",
        "the driver sent 20% of the messages more than 0.1 ms late, 1 % of them by 4.0 ms and "
        "more, which is in the latencies: ask for a lower rate",
    )


@pytest.mark.parametrize(("lateness_us", "expected"), [(290.0, "ok"), (310.0, "driver-bound")])
def test_latest_sends_may_be_a_tenth_of_the_p99_late(
    made_up_round: MakeRound, made_up_pace: MakePace, lateness_us: float, expected: str
) -> None:
    """What the driver adds to a latency must be small beside it, however few are late."""
    pace = made_up_pace(late_fraction=0.02, lateness_p99_us=lateness_us)
    latency = Percentiles(p50=100.0, p99=3000.0)
    assert verdict([made_up_round(pace=pace, latency_us=latency)])[0] == expected


@pytest.mark.parametrize(
    ("longest_us", "expected"), [(None, "ok"), (14_000.0, "driver-bound"), (130_000.0, "ok")]
)
def test_where_a_round_is_too_short_for_a_p99_the_longest_latency_stands_for_it(
    made_up_round: MakeRound,
    made_up_pace: MakePace,
    longest_us: float | None,
    expected: str,
) -> None:
    """All rounds together may have a p99 all the same, and it is shown."""
    pace = made_up_pace(late_fraction=0.03, lateness_p99_us=12_000.0)
    latency = Percentiles(p50=100.0, max=longest_us)
    assert verdict([made_up_round(pace=pace, latency_us=latency)])[0] == expected


@pytest.mark.parametrize(("bad", "expected"), [(1, "ok"), (14, "ok"), (16, "driver-bound")])
def test_few_noisy_rounds_do_not_make_a_cell_driver_bound(
    made_up_round: MakeRound, made_up_pace: MakePace, bad: int, expected: str
) -> None:
    latency = Percentiles(p50=100.0, p99=1000.0)
    paces = [made_up_pace(lateness_p99_us=150.0 if n < bad else 10.0) for n in range(30)]
    rounds = [made_up_round(pace=pace, latency_us=latency) for pace in paces]
    assert verdict(rounds)[0] == expected


def test_driver_that_never_sleeps_is_not_driver_bound(
    made_up_round: MakeRound, made_up_pace: MakePace
) -> None:
    """In an open loop it waits for what is due, all the time."""
    rounds = [paced(made_up_round, made_up_pace, driver_busy=1.0, server_busy=0.1)]
    assert verdict(rounds) == ("ok", "")
    assert verdict(rounds, pinned=False) == ("ok", "")


def paced(make_round: MakeRound, make_pace: MakePace, **changes: object) -> Round:
    return make_round(pace=make_pace(), latency_us=SLOW_TAIL, **changes)


def test_law_of_closed_loops_is_not_held_against_an_open_one(
    made_up_round: MakeRound, made_up_pace: MakePace
) -> None:
    assert verdict([paced(made_up_round, made_up_pace, littles_law=0.1)]) == ("ok", "")


def test_where_others_had_the_drivers_core_that_is_said_of_what_was_not_done_too(
    made_up_round: MakeRound, made_up_pace: MakePace
) -> None:
    """The server is not to be blamed for all of it."""
    rounds = [paced(made_up_round, made_up_pace, driver_waited=0.3, operations=100)]
    words = "other programs had 30% of the driver's core"
    found, reasons = verdict(rounds)
    assert found == "rate-unmet"
    assert words in reasons
    assert words not in verdict(rounds, pinned=False)[1]


def test_rate_that_is_not_met_is_told_with_what_was(
    made_up_round: MakeRound, made_up_pace: MakePace
) -> None:
    rounds = [
        made_up_round(rate, pace=made_up_pace(5000.0), latency_us=SLOW_TAIL)
        for rate in (4000.0, 4200.0)
    ]
    assert verdict(rounds) == (
        "rate-unmet",
        "4,100 of 5,000 operations due in a second were done: ask for a lower rate; without "
        "--rate a run shows what the model can do",
    )


@pytest.mark.parametrize("workload", ["udp-echo", "tcp-short", "tcp-long", "chat"])
@pytest.mark.parametrize("rate", [991.0, 1000.0, 1100.0])
def test_rate_that_is_nearly_met_is_ok(
    made_up_round: MakeRound, made_up_pace: MakePace, rate: float, workload: str
) -> None:
    latency = {"latency_us": SLOW_TAIL}
    rounds = [made_up_round(rate, window_s=20.0, pace=made_up_pace(1000.0), **latency)]
    assert verdict(rounds, workload=workload) == ("ok", "")


def test_queue_that_still_grew_after_the_warm_up_is_told(
    made_up_round: MakeRound, made_up_pace: MakePace
) -> None:
    """A rate that is just about met says nothing of how long all would wait in the end."""
    warm, not_warm = (paced(made_up_round, made_up_pace, settled=each) for each in (True, False))
    assert verdict([warm, not_warm]) == ("ok", "")
    found, reasons = verdict([warm, not_warm, not_warm])
    assert found == "ok"
    assert reasons.startswith("what was due still queued up after the warm-up: ")
    unmet = paced(made_up_round, made_up_pace, settled=False, operations=100)
    assert "queued up" not in verdict([unmet])[1]


@pytest.mark.parametrize(("slices", "expected"), [(1, "rate-unmet"), (200, "ok")])
def test_what_is_under_way_at_the_ends_of_slices_is_not_missed(
    made_up_round: MakeRound, made_up_pace: MakePace, slices: int, expected: str
) -> None:
    """It is due in one window and done in another, once for each slice."""
    (only,) = made_up_round().slices
    made = [made_up_round(970.0, pace=made_up_pace(), latency_us=SLOW_TAIL, slices=[only] * slices)]
    assert verdict(made)[0] == expected


def test_window_in_which_nothing_was_due_is_no_failure(
    made_up_round: MakeRound, made_up_pace: MakePace
) -> None:
    rounds = [made_up_round(0, pace=made_up_pace(0.1, offered=0.0))]
    assert verdict(rounds) == ("ok", "nothing was due in the window: a longer --duration")


@pytest.mark.parametrize("others", [0, 2])
def test_server_that_never_empties_its_queue_does_not_meet_the_rate(
    made_up_round: MakeRound, made_up_pace: MakePace, others: int
) -> None:
    """It has no window, in which nothing is due."""
    pace = made_up_pace(20_000.0, offered=0.0)
    gave_up = made_up_round(
        0, window_s=0.0, slices=[], pace=pace, gave_up="9 replies did not come within 3 s"
    )
    met = paced(made_up_round, made_up_pace)
    found, reasons = verdict([*[met] * others, gave_up])
    assert found == "rate-unmet"
    assert "what was due in the warm-up was not done in time: ask for a lower rate" in reasons
    assert "9 replies did not come within 3 s" in reasons


def test_errors_and_quotas_are_told_of_an_open_loop_too(
    made_up_round: MakeRound, made_up_pace: MakePace
) -> None:
    changes = {"counts": {"served": 3, "reset": 1}, "throttled": 0.3}
    found, _ = verdict([paced(made_up_round, made_up_pace, **changes)])
    assert found == "errors, throttled"
