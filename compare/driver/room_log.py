"""Latencies for which two clocks were needed."""

from __future__ import annotations

from array import array

# Added to a latency for which two clocks were needed. None of its own is that long.
TWO_CLOCKS = 1 << 62
_LATENCY = TWO_CLOCKS - 1
SHARE = 0.1  # of the median latency: how wrong the clocks may be


def timed_well(samples: array[int], error_ns: int) -> tuple[array[int], int]:
    """Latencies in ns, and how many are not among them.

    Those for which two clocks were needed are, unless the clocks are less well known than a
    share of the median of the others.
    """
    everything = array("Q", map(_LATENCY.__and__, samples))
    if not error_ns:  # of the most common case only what must be: there are millions
        return everything, 0
    ours = array("Q", filter(TWO_CLOCKS.__gt__, samples))
    many = len(samples) - len(ours)
    if ours and error_ns > SHARE * sorted(ours)[len(ours) // 2]:
        return ours, many
    return everything, 0


def longest(samples: array[int]) -> int:
    """Of latencies in ns, however many clocks they needed; 0 of none."""
    return max(map(_LATENCY.__and__, samples), default=0)
