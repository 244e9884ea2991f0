"""Whether rounds keep a promise: between what their p99 lies, and whether they did what was due."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from compare.measure.promise import LEAST, MOST, NEARLY, keep_up, lower, tail
from compare.results.records import Pace, Percentiles, Round
from compare.results.verdict import LATE

MakeRound = Callable[..., Round]
MakePace = Callable[..., Pace]


def test_tail_lies_around_the_mean_of_the_rounds(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(latency_us=Percentiles(p99=p99)) for p99 in (900.0, 1000.0, 1100.0)]
    low, high = tail(rounds)
    assert low < 900 < 1100 < high
    assert low + high == pytest.approx(2000)


def test_of_one_round_the_tail_is_what_was_seen(made_up_round: MakeRound) -> None:
    assert tail([made_up_round(latency_us=Percentiles(p99=900.0))]) == (900.0, 900.0)


def test_without_enough_operations_none_may_be_late(made_up_round: MakeRound) -> None:
    assert tail([made_up_round(latency_us=Percentiles(max=7.0))]) == (7.0, 7.0)


def test_tail_of_a_round_in_which_nothing_was_seen_is_unknown(made_up_round: MakeRound) -> None:
    assert tail([made_up_round(latency_us=Percentiles())]) == (math.inf, math.inf)


def test_next_rate_is_the_lower_the_further_the_promise_is_away() -> None:
    parts = [lower(broken_by) for broken_by in (1.0, 1.1, 1.2, 1.5, 2.0, 100.0, math.inf)]
    assert parts == sorted(parts, reverse=True)
    assert parts[0] == MOST < 1
    assert parts[-1] == LEAST


@pytest.mark.parametrize(
    ("share", "late", "kept"),
    [(1.0, 0.0, True), (NEARLY, LATE, True), (NEARLY - 0.01, 0.0, False), (1.0, 0.06, False)],
)
def test_who_does_what_is_due_in_time_keeps_up(
    made_up_round: MakeRound, made_up_pace: MakePace, share: float, late: float, kept: bool
) -> None:
    pace = made_up_pace(1000.0, late_fraction=late)
    seen = made_up_round(operations=round(1000 * share), window_s=1.0, pace=pace)
    assert keep_up([seen, seen]) is kept
