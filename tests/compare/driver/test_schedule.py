"""When operations are due: known times, and what they must have in common."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.contract.spec import Arrivals
from compare.driver.schedule import due_times

NS = 10**9
starts = st.integers(0, 10**17)  # three years of uptime
rates = st.floats(0.1, 1e7)
seeds = st.integers(0, 2**63 - 1)
arrivals = st.sampled_from(["fixed", "poisson"])


def first(count: int, start: int, rate: float, kind: Arrivals, seed: int = 1) -> list[int]:
    return list(itertools.islice(due_times(start, rate, kind, seed), count))


def test_fixed_arrivals_begin_at_once_and_are_evenly_spaced() -> None:
    assert first(4, 1000, 10.0, "fixed") == [
        1000 + gap for gap in (0, NS // 10, NS // 5, 3 * NS // 10)
    ]


@given(starts, rates)
def test_fixed_arrivals_are_never_off_by_more_than_a_nanosecond(start: int, rate: float) -> None:
    times = first(200, start, rate, "fixed")
    gaps = [after - before for before, after in itertools.pairwise(times)]
    assert max(gaps) - min(gaps) <= 1
    assert times[0] == start


@given(starts, st.integers(1, 50), st.integers(1, 20))
def test_fixed_arrivals_do_not_drift(start: int, rate: int, seconds: int) -> None:
    times = first(rate * seconds + 1, start, float(rate), "fixed")
    assert times[-1] - start == pytest.approx(seconds * NS, abs=1)


@given(starts, rates, arrivals, seeds)
def test_times_never_go_back(start: int, rate: float, kind: Arrivals, seed: int) -> None:
    times = first(100, start, rate, kind, seed)
    assert times == sorted(times)
    assert times[0] >= start


@given(starts, rates, arrivals, seeds)
def test_same_seed_has_the_same_times(start: int, rate: float, kind: Arrivals, seed: int) -> None:
    assert first(50, start, rate, kind, seed) == first(50, start, rate, kind, seed)


@given(rates, seeds)
def test_another_seed_has_other_poisson_times(rate: float, seed: int) -> None:
    assert first(50, 0, rate, "poisson", seed) != first(50, 0, rate, "poisson", seed + 1)


@given(rates, st.integers(0, 10**6))
def test_poisson_arrivals_keep_the_rate_in_the_long_run(rate: float, seed: int) -> None:
    """The sum of n gaps has a standard deviation of a sqrt(n)-th of itself."""
    many = 2000
    took = first(many, 0, rate, "poisson", seed)[-1]
    assert took * rate / NS == pytest.approx(many, rel=6 / math.sqrt(many), abs=many * rate / NS)


@pytest.mark.parametrize("rate", [1.0, 1000.0, 1e6])
def test_poisson_gaps_are_exponential(rate: float) -> None:
    """Against the distribution by Kolmogorov and Smirnov; 1.95 is the bound of 0.1 %."""
    many = 5000
    times = [0, *first(many, 0, rate, "poisson", seed=7)]
    gaps = sorted(after - before for before, after in itertools.pairwise(times))
    furthest = max(
        abs((rank + 0.5) / many - (1 - math.exp(-gap * rate / NS))) for rank, gap in enumerate(gaps)
    )
    assert furthest < 1.95 / math.sqrt(many)


def test_poisson_counts_vary_as_much_as_they_are() -> None:
    """In a second of 50 on average; a steadier clock would have a smaller variance."""
    times = first(50 * 400, 0, 50.0, "poisson", seed=3)
    counts = [0] * (times[-1] // NS + 1)
    for time in times:
        counts[time // NS] += 1
    counts.pop()  # not a whole one
    mean = sum(counts) / len(counts)
    variance = sum((count - mean) ** 2 for count in counts) / (len(counts) - 1)
    assert mean == pytest.approx(50, rel=0.05)
    assert variance == pytest.approx(50, rel=0.3)
