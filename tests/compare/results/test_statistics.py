"""Statistics over rounds against tables and enumeration."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.results.statistics import _mann_whitney_cut, centre, chance, holm, ratio

rates = st.floats(1e-3, 1e9)
a_factor = st.floats(1e-3, 1e3)


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-9)


def in_order(low: float, middle: float, high: float) -> bool:
    """As far as floating point tells."""
    return low <= middle * (1 + 1e-12) and middle <= high * (1 + 1e-12)


# centre


@pytest.mark.parametrize("rounds", [1, 2, 3, 4])
def test_centre_of_few_rounds_has_no_interval(rounds: int) -> None:
    assert centre([1234.5] * rounds) == (close(1234.5), None, None)


def test_centre_is_the_median() -> None:
    assert centre([1, 400, 100]).value == 100
    assert centre([1, 400, 100, 200]).value == 150


# Two-sided 95 %, ranks from any table of confidence intervals for the median.
@pytest.mark.parametrize(
    ("rounds", "rank", "confidence"),
    [
        *((5, 1, 0.9375), (6, 1, 0.96875), (8, 1, 0.9922), (9, 2, 0.9609), (10, 2, 0.9785)),
        *((12, 3, 0.9614), (15, 4, 0.9648), (20, 6, 0.9586), (25, 8, 0.9567), (30, 10, 0.9572)),
    ],
)
def test_interval_agrees_with_the_table_of_order_statistics(
    rounds: int, rank: int, confidence: float
) -> None:
    estimate = centre([float(value) for value in reversed(range(1, rounds + 1))])
    assert estimate.interval == (rank, rounds + 1 - rank)
    assert estimate.confidence == pytest.approx(confidence, abs=5e-5)


@given(st.lists(rates, min_size=5, max_size=40))
def test_interval_encloses_the_value_and_the_value_lies_among_the_rounds(
    values: list[float],
) -> None:
    value, interval, confidence = centre(values)
    assert interval is not None
    assert confidence is not None
    assert confidence > (0.95 if len(values) > 5 else 0.93)
    assert min(values) <= interval[0] <= value <= interval[1] <= max(values)


@given(rates, st.integers(5, 50))
def test_equal_rounds_have_an_interval_without_width(rate: float, rounds: int) -> None:
    estimate = centre([rate] * rounds)
    assert (estimate.value, estimate.interval) == (rate, (rate, rate))
    assert estimate.spread == 0


@given(st.lists(rates, min_size=2, max_size=10), st.randoms(use_true_random=False))
def test_centre_does_not_depend_on_the_order_of_the_rounds(values: list[float], rng) -> None:  # type: ignore[no-untyped-def]
    shuffled = rng.sample(values, len(values))
    assert centre(shuffled) == centre(values)


def test_spread_is_half_the_interval_of_the_value() -> None:
    assert centre([90, 95, 100, 105, 110]).spread == close(0.1)
    assert centre([100]).spread == 0


# The Mann-Whitney cut


# Largest U that is significant at 5 %, two-sided, by any table; the cut is one more.
@pytest.mark.parametrize(
    ("n", "m", "critical"),
    [
        *((3, 5, 0), (4, 4, 0), (4, 5, 1), (5, 5, 2), (5, 6, 3), (5, 10, 8), (6, 6, 5)),
        *((7, 7, 8), (8, 8, 13), (9, 9, 17), (10, 10, 23), (10, 20, 55), (20, 20, 127)),
    ],
)
def test_cut_agrees_with_the_table_of_mann_and_whitney(n: int, m: int, critical: int) -> None:
    assert _mann_whitney_cut(n, m) == critical + 1
    assert _mann_whitney_cut(m, n) == critical + 1


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 30), (2, 2), (2, 7), (3, 3), (3, 4)])
def test_too_few_rounds_have_no_cut(n: int, m: int) -> None:
    assert _mann_whitney_cut(n, m) == 0


@pytest.mark.parametrize(("n", "m"), list(itertools.product(range(1, 8), repeat=2)))
def test_cut_agrees_with_counting_every_arrangement(n: int, m: int) -> None:
    found = []
    for ours in itertools.combinations(range(n + m), n):
        theirs = sorted(set(range(n + m)) - set(ours))
        found.append(sum(a > b for a in ours for b in theirs))
    allowed = 0.025 * len(found)
    cut = max(c for c in range(n * m + 2) if sum(u < c for u in found) <= allowed)
    assert _mann_whitney_cut(n, m) == cut


# ratio


@given(st.lists(rates, min_size=1, max_size=9))
def test_equal_samples_cannot_be_told_apart(values: list[float]) -> None:
    value, interval, _ = ratio(values, values)
    assert value == close(1)
    if interval is not None:
        assert interval[0] <= 1 <= interval[1]
    assert chance(values, values) == 1


@given(
    st.lists(rates, min_size=4, max_size=7),
    st.lists(rates, min_size=4, max_size=7),
    a_factor,
)
def test_ratio_scales_with_either_side(
    ours: list[float], theirs: list[float], factor: float
) -> None:
    value, interval, _ = ratio(ours, theirs)
    more = ratio([each * factor for each in ours], theirs)
    less = ratio(ours, [each * factor for each in theirs])
    assert interval is not None
    assert more.interval is not None
    assert less.interval is not None
    for plain, scaled, shrunk in zip(
        (value, *interval), (more.value, *more.interval), (less.value, *less.interval), strict=True
    ):
        assert scaled == pytest.approx(plain * factor, rel=1e-6)
        assert shrunk == pytest.approx(plain / factor, rel=1e-6)


@given(st.lists(rates, min_size=4, max_size=7), st.lists(rates, min_size=4, max_size=7))
def test_the_other_way_round_the_ratio_is_its_inverse(
    ours: list[float], theirs: list[float]
) -> None:
    value, interval, _ = ratio(ours, theirs)
    inverse, inverse_interval, _ = ratio(theirs, ours)
    assert interval is not None
    assert inverse_interval is not None
    assert in_order(interval[0], value, interval[1])
    assert inverse == pytest.approx(1 / value, rel=1e-6)
    assert inverse_interval[0] == pytest.approx(1 / interval[1], rel=1e-6)
    assert inverse_interval[1] == pytest.approx(1 / interval[0], rel=1e-6)


def test_interval_of_four_against_four_reaches_from_the_smallest_to_the_largest_quotient() -> None:
    value, interval, _ = ratio([10, 20, 40, 80], [1, 1, 1, 1])
    assert value == close(math.sqrt(20 * 40))
    assert interval == (close(10), close(80))


def test_interval_of_five_against_five_leaves_out_two_quotients_at_each_end() -> None:
    ours, theirs = [1.0, 2, 4, 8, 16], [1.0, 3, 9, 27, 81]
    quotients = sorted(a / b for a in ours for b in theirs)
    value, interval, _ = ratio(ours, theirs)
    assert value == close(quotients[12])
    assert interval == (close(quotients[2]), close(quotients[-3]))


def test_ratio_of_three_against_three_has_no_interval() -> None:
    assert ratio([2, 2, 2], [1, 1, 1]) == (close(2), None, None)


# chance


@pytest.mark.parametrize(("n", "m"), list(itertools.product(range(1, 7), repeat=2)))
def test_chance_agrees_with_counting_every_arrangement(n: int, m: int) -> None:
    arrangements = list(itertools.combinations(range(n + m), n))
    smaller = []
    for ours in arrangements:
        theirs = sorted(set(range(n + m)) - set(ours))
        below = sum(a < b for a in ours for b in theirs)
        smaller.append(min(below, n * m - below))
    for ours, extreme in zip(arrangements, smaller, strict=True):
        theirs = sorted(set(range(n + m)) - set(ours))
        as_extreme = sum(each <= extreme for each in smaller)
        assert chance(ours, theirs) == pytest.approx(min(1, as_extreme / len(smaller)))


@given(st.lists(rates, min_size=1, max_size=8), st.lists(rates, min_size=1, max_size=8))
def test_chance_is_small_when_the_interval_of_the_ratio_leaves_out_one(
    ours: list[float], theirs: list[float]
) -> None:
    interval = ratio(ours, theirs).interval
    if interval is not None and not interval[0] <= 1 <= interval[1]:
        assert chance(ours, theirs) <= 0.05


@given(st.integers(1, 6), st.integers(1, 6))
def test_rounds_that_are_all_equal_do_not_differ(n: int, m: int) -> None:
    assert chance([7.0] * n, [7.0] * m) == 1


def test_at_most_one_of_twenty_equal_pairs_is_told_apart() -> None:
    told = [
        chance([values[i] for i in ours], [values[i] for i in range(10) if i not in ours]) <= 0.05
        for values in [[float(each) for each in range(10)]]
        for ours in itertools.combinations(range(10), 5)
    ]
    assert sum(told) / len(told) <= 0.05


# holm


def test_holm_takes_the_smallest_first_and_asks_less_of_each_next() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == [True, False, False, True]
    assert holm([0.0125, 0.0167, 0.0251, 0.05]) == [True, False, False, False]
    assert holm([0.0125, 0.0166, 0.0249, 0.05]) == [True, True, True, True]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_is_no_milder_than_no_correction_and_no_harsher_than_bonferroni(
    chances: list[float],
) -> None:
    for real, each in zip(holm(chances), chances, strict=True):
        assert real <= (each <= 0.05)
        assert real >= (each <= 0.05 / len(chances))
