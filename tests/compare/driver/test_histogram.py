"""Histograms against the samples themselves."""

from __future__ import annotations

import math
import random
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.contract.histogram import BEYOND, empty, encode, fold, merge, percentile_us

# From 10 us, as fast as a reply can be, to an hour.
latencies = st.integers(10_000, 3_600_000_000_000)
PERCENTS = (50, 90, 99, 99.9)


def exact(samples: list[int], percent: float) -> int:
    """The smallest sample that at least `percent` of them do not exceed."""
    rank = math.ceil(len(samples) * percent / 100)
    return sorted(samples)[max(0, rank - 1)]


def spread_out(count: int, seed: int) -> list[int]:
    """Latencies over several powers of ten, as they are found."""
    source = random.Random(seed)
    return [int(source.lognormvariate(12, 1.5)) + 10_000 for _ in range(count)]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("percent", PERCENTS)
def test_percentiles_are_within_one_per_cent_of_those_by_sorting(seed: int, percent: float) -> None:
    samples = spread_out(20_000, seed)
    found = percentile_us(fold(array("Q", samples)), percent)
    assert found == pytest.approx(exact(samples, percent) / 1000, rel=0.01)


@given(st.lists(latencies, min_size=2 * BEYOND, max_size=200))
def test_median_is_within_one_per_cent_of_that_by_sorting(samples: list[int]) -> None:
    found = percentile_us(fold(array("Q", samples)), 50)
    assert found == pytest.approx(exact(samples, 50) / 1000, rel=0.01)


@given(st.lists(latencies, min_size=1, max_size=50))
def test_maximum_is_within_a_percent(samples: list[int]) -> None:
    assert fold(array("Q", samples)).max_value == pytest.approx(max(samples), rel=0.01, abs=64)


@given(st.lists(st.lists(latencies, max_size=40), min_size=1, max_size=4))
def test_merged_histograms_are_the_histogram_of_all_samples(parts: list[list[int]]) -> None:
    apart = merge([encode(fold(array("Q", part))) for part in parts])
    together = fold(array("Q", [sample for part in parts for sample in part]))
    assert apart.get_total_count() == together.get_total_count()
    for percent in PERCENTS:
        assert percentile_us(apart, percent) == percentile_us(together, percent)


def test_nothing_folds_and_merges_to_nothing() -> None:
    for histogram in (fold(array("Q")), merge([]), merge([encode(empty())])):
        assert histogram.get_total_count() == 0
        assert percentile_us(histogram, 50) is None


@pytest.mark.parametrize(
    ("percent", "enough"), [(50, 20), (90, 100), (99, 1000), (99.9, 10_000), (0, 10)]
)
def test_percentile_needs_ten_samples_beyond_it(percent: float, enough: int) -> None:
    samples = spread_out(enough, seed=1)
    assert percentile_us(fold(array("Q", samples[1:])), percent) is None
    assert percentile_us(fold(array("Q", samples)), percent) is not None


def test_shortest_and_longest_latency_fit() -> None:
    histogram = fold(array("Q", [0, 1, 3_600_000_000_000 - 1]))
    assert histogram.get_total_count() == 3
