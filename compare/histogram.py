"""Latencies in ns as HdrHistograms: 0.1 % precise, mergeable, some kB each."""

from __future__ import annotations

from array import array
from collections import Counter

from hdrh.histogram import HdrHistogram

LOWEST_NS = 1
HIGHEST_NS = 3600 * 1_000_000_000
DIGITS = 3
# Samples are grouped to 64 ns before they are recorded: recording costs 860 ns a call, and
# a few thousand distinct values stand for any number of samples.
_GROUP_BITS = 6
BEYOND = 10  # samples that must lie beyond a percentile before it is more than a guess


def empty() -> HdrHistogram:
    return HdrHistogram(LOWEST_NS, HIGHEST_NS, DIGITS)


def fold(samples: array[int]) -> HdrHistogram:
    """A histogram of samples in ns."""
    histogram = empty()
    if not samples:
        return histogram
    half = 1 << (_GROUP_BITS - 1)
    for group, count in Counter([sample >> _GROUP_BITS for sample in samples]).items():
        histogram.record_value((group << _GROUP_BITS) + half, count)
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
