"""Statistics over rounds against tables and enumeration."""

from __future__ import annotations

import itertools
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.stats import _mann_whitney_cut, can_tell, centre, ratio

rates = st.floats(1e-3, 1e9)
a_factor = st.floats(1e-3, 1e3)


def close(value: float) -> object:
    return pytest.approx(value, rel=1e-9)


def in_order(low: float, middle: float, high: float) -> bool:
    """As far as floating point tells."""
    return low <= middle * (1 + 1e-12) and middle <= high * (1 + 1e-12)


# centre


def test_centre_of_one_round_has_no_interval() -> None:
    assert centre([1234.5]) == (close(1234.5), None)


def test_centre_is_the_geometric_mean() -> None:
    assert centre([100, 400]).value == close(200)


def test_interval_of_two_rounds_is_wide_by_students_t_for_one_degree_of_freedom() -> None:
    # Logarithms -1 and 1: mean 0, standard deviation sqrt(2), of the mean 1.
    value, interval = centre([math.exp(-1), math.exp(1)])
    assert value == close(1)
    assert interval == (close(math.exp(-12.706)), close(math.exp(12.706)))


# Two-sided 95 %, from any table of Student's t.
@pytest.mark.parametrize(
    ("rounds", "t"),
    [
        *((2, 12.706), (3, 4.303), (5, 2.776), (11, 2.228), (31, 2.042), (32, 2.040)),
        *((41, 2.021), (61, 2.000), (121, 1.980), (1000, 1.962)),
    ],
)
def test_interval_agrees_with_the_table_of_students_t(rounds: int, t: float) -> None:
    logs = [math.sin(i) for i in range(rounds)]
    half = t * statistics.stdev(logs) / math.sqrt(rounds)
    mean = statistics.fmean(logs)
    interval = centre([math.exp(x) for x in logs]).interval
    assert interval is not None
    low, high = map(math.log, interval)
    assert low == pytest.approx(mean - half, abs=0.002 * half)
    assert high == pytest.approx(mean + half, abs=0.002 * half)


@given(st.lists(rates, min_size=2, max_size=40))
def test_interval_encloses_the_value_and_the_value_lies_among_the_rounds(
    values: list[float],
) -> None:
    value, interval = centre(values)
    assert interval is not None
    assert in_order(interval[0], value, interval[1])
    assert in_order(min(values), value, max(values))


@given(rates, st.integers(2, 50))
def test_equal_rounds_have_an_interval_without_width(rate: float, rounds: int) -> None:
    value, interval = centre([rate] * rounds)
    assert value == close(rate)
    assert interval == (close(rate), close(rate))


@given(st.lists(rates, min_size=2, max_size=10), a_factor)
def test_centre_scales_with_the_rounds(values: list[float], factor: float) -> None:
    value, interval = centre(values)
    scaled, scaled_interval = centre([each * factor for each in values])
    assert interval is not None
    assert scaled == pytest.approx(value * factor, rel=1e-6)
    assert scaled_interval is not None
    for bound, scaled_bound in zip(interval, scaled_interval, strict=True):
        # The bounds of two wild rounds are beyond what a float holds.
        assert math.log(scaled_bound or 5e-324) == pytest.approx(
            math.log(bound * factor or 5e-324), rel=1e-6, abs=1e-6
        )


@given(st.lists(rates, min_size=2, max_size=10), st.randoms(use_true_random=False))
def test_centre_does_not_depend_on_the_order_of_the_rounds(values: list[float], rng) -> None:  # type: ignore[no-untyped-def]
    shuffled = rng.sample(values, len(values))
    assert centre(shuffled).value == close(centre(values).value)


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
    value, interval = ratio(values, values)
    assert value == close(1)
    if interval is not None:
        assert interval[0] <= 1 <= interval[1]
    assert can_tell(values, values) in (None, False)


@given(
    st.lists(rates, min_size=4, max_size=7),
    st.lists(rates, min_size=4, max_size=7),
    a_factor,
)
def test_ratio_scales_with_either_side(
    ours: list[float], theirs: list[float], factor: float
) -> None:
    value, interval = ratio(ours, theirs)
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
    value, interval = ratio(ours, theirs)
    inverse, inverse_interval = ratio(theirs, ours)
    assert interval is not None
    assert inverse_interval is not None
    assert in_order(interval[0], value, interval[1])
    assert inverse == pytest.approx(1 / value, rel=1e-6)
    assert inverse_interval[0] == pytest.approx(1 / interval[1], rel=1e-6)
    assert inverse_interval[1] == pytest.approx(1 / interval[0], rel=1e-6)


def test_interval_of_four_against_four_reaches_from_the_smallest_to_the_largest_quotient() -> None:
    value, interval = ratio([10, 20, 40, 80], [1, 1, 1, 1])
    assert value == close(math.sqrt(20 * 40))
    assert interval == (close(10), close(80))


def test_interval_of_five_against_five_leaves_out_two_quotients_at_each_end() -> None:
    ours, theirs = [1.0, 2, 4, 8, 16], [1.0, 3, 9, 27, 81]
    quotients = sorted(a / b for a in ours for b in theirs)
    value, interval = ratio(ours, theirs)
    assert value == close(quotients[12])
    assert interval == (close(quotients[2]), close(quotients[-3]))


def test_ratio_of_three_against_three_has_no_interval() -> None:
    assert ratio([2, 2, 2], [1, 1, 1]) == (close(2), None)


# can_tell


def test_rounds_without_overlap_can_be_told_apart() -> None:
    assert can_tell([101, 102, 103, 104], [97, 98, 99, 100]) is True
    assert can_tell([97, 98, 99, 100], [101, 102, 103, 104]) is True


def test_rounds_that_lie_among_each_other_cannot_be_told_apart() -> None:
    assert can_tell([97, 99, 101, 103], [98, 100, 102, 104]) is False


def test_three_rounds_are_too_few_to_say() -> None:
    assert can_tell([200, 200, 200], [1, 1, 1]) is None


def test_equal_models_are_told_apart_in_at_most_one_of_twenty_runs() -> None:
    """Over every way in which ten rounds can fall to two models of five."""
    values = [1.01**i for i in range(10)]
    verdicts = [
        can_tell([values[i] for i in ours], [values[i] for i in range(10) if i not in ours])
        for ours in itertools.combinations(range(10), 5)
    ]
    assert 0 < sum(map(bool, verdicts)) / len(verdicts) <= 0.05
