"""Latencies in ns as HdrHistograms: 0.1 % precise, mergeable, some kB each."""

from __future__ import annotations

from array import array
from collections import Counter
from itertools import repeat
from operator import rshift

from hdrh.histogram import HdrHistogram

LOWEST_NS = 1
HIGHEST_NS = 3600 * 1_000_000_000
DIGITS = 3
# Before they are recorded, which costs 860 ns a call, samples are cut to this many bits of the
# smallest: some thousand distinct values, each within 0.2 %, then stand for millions.
_SIGNIFICANT_BITS = 9
BEYOND = 10  # samples that must lie beyond a percentile before it is more than a guess


def empty() -> HdrHistogram:
    return HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)


def fold(samples: array[int]) -> HdrHistogram:
    """A histogram of samples in ns."""
    histogram = empty()
    if not samples:
        return histogram
    shift = max(0, min(samples).bit_length() - _SIGNIFICANT_BITS)
    half = 1 << shift >> 1
    for group, count in Counter(map(rshift, samples, repeat(shift))).items():
        histogram.record_value((group << shift) + half, count)
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
