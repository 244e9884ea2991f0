"""When several drivers begin: at one instant, agreed on by whoever started them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from compare.contract.counts import Counts


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
