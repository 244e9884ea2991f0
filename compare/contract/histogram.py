"""Latencies in ns as HdrHistograms: within 0.3 %, mergeable, some kB each."""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import repeat
from operator import rshift

from hdrh.histogram import HdrHistogram

LOWEST_NS = 1
HIGHEST_NS = 3600 * 1_000_000_000
DIGITS = 3
# Recording costs 860 ns a call. So samples are cut to 64 ns, and those to their highest nine
# bits: some thousand distinct values, each within 0.2 %, stand for millions. How a sample is cut
# depends on nothing but itself, so that merging is exact.
_CUT_BITS = 6
_SIGNIFICANT_BITS = 9
BEYOND = 10  # samples that must lie beyond a percentile before it is more than a guess


def empty() -> HdrHistogram:
    return HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)


def fold(samples: array[int]) -> HdrHistogram:
    """A histogram of samples in ns."""
    histogram = empty()
    grouped: Counter[int] = Counter()
    for value, count in Counter(map(rshift, samples, repeat(_CUT_BITS))).items():
        shift = max(0, value.bit_length() - _SIGNIFICANT_BITS)
        middle = (1 << (shift + _CUT_BITS)) // 2
        grouped[(value >> shift << (shift + _CUT_BITS)) + middle] += count
    for value, count in grouped.items():
        histogram.record_value(value, count)
    return histogram


def encode(histogram: HdrHistogram) -> str:
    """The V2 compressed form, base64: what other HdrHistogram libraries read."""
    text: bytes = histogram.encode()
    return text.decode("ascii")


def merge(encoded: list[str]) -> HdrHistogram:
    """One histogram of several encoded ones."""
    total = empty()
    for text in encoded:
        total.decode_and_add(text.encode("ascii"))
    return total


def percentile_us(histogram: HdrHistogram, percent: float) -> float | None:
    """A percentile in us; None where fewer than BEYOND samples lie beyond it."""
    # Rounded, because 100 - 99.9 is not quite 0.1.
    if round(histogram.get_total_count() * (100 - percent) / 100, 6) < BEYOND:
        return None
    return float(histogram.get_value_at_percentile(percent)) / 1000
