"""What one of several hosts knows of a chat room after it was driven."""

from __future__ import annotations

from array import array

import msgspec

# Added to a latency for which two clocks were needed. None of its own is that long.
TWO_CLOCKS = 1 << 62
_LATENCY = TWO_CLOCKS - 1
SHARE = 0.1  # of the median latency: how wrong the clocks may be


class RoomLog(msgspec.Struct, frozen=True):
    """What a shard's members said and received, as arrays of native integers.

    senders, numbers, stamps: of every line that is known, by its ID from 0 up: the member
        (`of_member`), its how manieth line, and when it was said by the clock of its host.
    members: of this shard, who were let in. received: the IDs that each of them received, in
        order. joined, left: when each did, by the same clock; None for who stayed.
    """

    senders: bytes
    numbers: bytes
    stamps: bytes
    members: list[int]
    received: list[bytes]
    joined: list[int]
    left: list[int | None]


def of_member(shard: int, index: int) -> int:
    """A member of the whole room as one number."""
    return shard << 32 | index


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
