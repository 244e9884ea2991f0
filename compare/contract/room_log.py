"""What one of several hosts knows of a chat room after it was driven."""

from __future__ import annotations

import msgspec


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
