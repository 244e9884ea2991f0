"""When several drivers begin: at one instant, agreed on by whoever started them."""

from __future__ import annotations

import time
from collections.abc import Callable
from time import perf_counter_ns

import msgspec

from compare.driver.counts import Counts

SPIN_NS = 100_000  # the end of a wait: a sleep ends some 0.06 ms late


class Peer(msgspec.Struct, frozen=True):
    """Another shard of the same chat room, with so many members.

    offset_ns: what its clock shows more than ours, which may be wrong by error_ns.
    """

    shard: int
    members: int
    offset_ns: int
    error_ns: int


class Plan(msgspec.Struct, frozen=True):
    """Times in ns of this host's monotonic clock: of the first messages, and of the window.

    peers: who else drives members of the same room.
    """

    begin_ns: int
    window_ns: int
    peers: list[Peer] = []


Agree = Callable[[Counts], Plan]  # given what became of the connections


def wait_until(instant_ns: int) -> None:
    """Sleep, and spin for the last of it."""
    while (left := instant_ns - perf_counter_ns()) > 0:
        if left > SPIN_NS:
            time.sleep((left - SPIN_NS) / 1e9)
