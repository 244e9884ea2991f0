"""Statistics over rounds against tables, and against runs whose truth is known."""

from __future__ import annotations

import math
import random
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.results.statistics import critical, mean_of, midmean, ratio_between, ratio_of

Logs = list[list[float]]  # of one model, by round and slice

values = st.floats(-1e6, 1e6)
logs = st.lists(st.floats(-3, 3), min_size=2, max_size=12)


# midmean


def test_midmean_is_the_mean_of_the_middle_half() -> None:
    assert midmean([1, 2, 3, 4, 5, 6, 7, 8]) == 4.5
    assert midmean([8, 100, 2, 3, 1, 5, 4, 6]) == midmean([8, 7, 2, 3, 1, 5, 4, 6])
    assert midmean([7]) == 7


@given(st.lists(values, min_size=1, max_size=50), st.randoms(use_true_random=False))
def test_midmean_lies_among_the_values_in_whatever_order(found: list[float], rng) -> None:  # type: ignore[no-untyped-def]
    shuffled = rng.sample(found, len(found))
    assert midmean(shuffled) == midmean(found)
    assert min(found) - 1e-6 <= midmean(found) <= max(found) + 1e-6


# critical


# Tables of Student's t, two-sided 95 %.
@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (29, 2.045)]
)
def test_of_two_it_is_students_t(freedom: int, t: float) -> None:
    assert critical(2, freedom) == pytest.approx(t, rel=1e-3)


# Tables of the studentized range, upper 5 %.
@pytest.mark.parametrize(
    ("many", "freedom", "q"),
    [
        *((3, 2, 8.331), (3, 10, 3.877), (5, 2, 10.88), (5, 4, 6.287), (5, 9, 4.756)),
        *((5, 120, 3.917), (9, 9, 5.595), (10, 20, 5.008), (20, 7, 7.169)),
    ],
)
def test_of_several_it_is_tukeys_studentized_range(many: int, freedom: int, q: float) -> None:
    assert critical(many, freedom) == pytest.approx(q / math.sqrt(2), rel=1e-3)


def test_more_that_are_compared_and_fewer_rounds_take_more() -> None:
    assert critical(2, 9) < critical(5, 9) < critical(9, 9)
    assert critical(5, 9) < critical(5, 4) < critical(5, 2)
    assert critical(5, 9) < critical(5, 9, 0.999)


# mean_of, ratio_of


def test_one_round_has_no_interval() -> None:
    assert mean_of([1234.5]) == (1234.5, None)
    assert ratio_of([0.0]) == (1.0, None)
    assert mean_of([7]).spread == 0


def test_interval_is_so_many_standard_errors_of_the_mean() -> None:
    found = mean_of([9.0, 10.0, 11.0, 10.0, 10.0])
    half = 2.776 * statistics.stdev([9, 10, 11, 10, 10]) / math.sqrt(5)
    assert found.value == 10
    assert found.interval == pytest.approx((10 - half, 10 + half), rel=1e-3)
    assert found.spread == pytest.approx(half / 10, rel=1e-3)


@given(logs, st.integers(2, 9))
def test_the_other_way_round_the_ratio_is_its_inverse(found: list[float], many: int) -> None:
    value, interval = ratio_of(found, many)
    inverse, turned = ratio_of([-each for each in found], many)
    assert interval is not None
    assert turned is not None
    assert interval[0] <= value * (1 + 1e-9)
    assert value <= interval[1] * (1 + 1e-9)
    assert inverse == pytest.approx(1 / value, rel=1e-6)
    if interval[0] > 1e-300 and turned[0] > 1e-300:
        assert turned == pytest.approx((1 / interval[1], 1 / interval[0]), rel=1e-6)


# ratio_between


def test_two_runs_that_vary_alike_are_held_against_each_other_as_welch_does() -> None:
    ours, theirs = [0.1, 0.2, 0.3], [0.0, 0.1, 0.2]
    found = ratio_between(ours, theirs)
    half = 2.776 * math.sqrt(2 * 0.01 / 3)
    assert found.value == pytest.approx(math.exp(0.1))
    assert found.interval == pytest.approx((math.exp(0.1 - half), math.exp(0.1 + half)), rel=1e-3)


def test_two_runs_of_one_round_have_no_interval() -> None:
    assert ratio_between([0.5], [0.5, 0.6]).interval is None


@given(logs, logs)
def test_turned_round_two_runs_give_the_inverse(ours: list[float], theirs: list[float]) -> None:
    one, other = ratio_between(ours, theirs), ratio_between(theirs, ours)
    assert one.value == pytest.approx(1 / other.value, rel=1e-6)


# What is true of them, in runs that are made up as those of a busy machine are.


def a_run(
    rng: random.Random, models: int, rounds: int, slices: int = 20
) -> list[list[list[float]]]:
    """Logarithms of rates by model, round and slice: equal but for what a process's layout does
    (1 %), what happens to a slice (5 %), and to one in ten that others take half of (-60 %)."""
    made: list[Logs] = [[] for _ in range(models)]
    for _ in range(rounds):
        shared = [rng.gauss(0, 0.1) for _ in range(slices)]  # the machine's speed moves
        for model in made:
            layout = rng.gauss(0, 0.01)
            model.append(
                [
                    layout + speed + rng.gauss(0, 0.05) - 0.6 * rng.random() * (rng.random() < 0.1)
                    for speed in shared
                ]
            )
    return made


def against(ours: Logs, theirs: Logs) -> list[float]:
    return [
        midmean([a - b for a, b in zip(one, other, strict=True)])
        for one, other in zip(ours, theirs, strict=True)
    ]


def test_interval_of_two_covers_the_truth_as_often_as_it_says() -> None:
    rng = random.Random(1)
    covered = 0
    for _ in range(400):
        interval = mean_of(against(*a_run(rng, 2, 6))).interval
        assert interval is not None
        covered += interval[0] <= 0 <= interval[1]
    assert 0.92 <= covered / 400 <= 0.98  # 95 %, three standard errors to either side


@pytest.mark.parametrize("models", [5, 9])
def test_of_equal_models_hardly_ever_is_any_behind_the_one_that_turned_out_best(
    models: int,
) -> None:
    rng = random.Random(2)
    wrong = 0
    for _ in range(200):
        made = a_run(rng, models, 8, slices=12)
        best = max(made, key=lambda model: statistics.fmean(map(midmean, model)))
        intervals = [mean_of(against(each, best), models).interval for each in made]
        wrong += any(each and each[1] < 0 for each in intervals)
    assert wrong / 200 <= 0.09  # at most 5 %, and what chance adds in one of a hundred tries


@given(*[st.lists(st.floats(-745, 709), min_size=1, max_size=4)] * 2)
def test_ratio_of_whatever_can_be_written_is_a_number(
    ours: list[float], theirs: list[float]
) -> None:
    """A file may have been edited."""
    found = ratio_between(ours, theirs)
    assert all(map(math.isfinite, (found.value, *(found.interval or ()))))
