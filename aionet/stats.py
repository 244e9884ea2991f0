"""What a server has done so far: counters, as one immutable picture."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Any

from aionet.limits import CloseReason


@dataclass(frozen=True, slots=True, kw_only=True)
class Stats:
    """Counts since the server began; `accepted == open + sum(closed.values())`, always.

    accepted: connections taken from the kernel, those that were rejected included.
    open: of them, still there; `waiting` of these are over Limits.connections and not served
        yet (what waits in the kernel's backlog is not known).
    closed: the others, by the reason of their end; every reason is there.
    accepting: whether connections are accepted at this moment.
    out_of_descriptors: how often accepting stopped because descriptors ran short.
    datagrams: received.
    replies: datagrams sent.
    unanswered: replies not sent, because of Limits.udp_rate, .udp_handlers, a port below 1024, or
        a full or failing socket.
    dropped: datagrams that the kernel dropped because they came faster than they were read.
    handlers: tasks of handlers that have not ended, connections that are gone included.
    received_bytes, sent_bytes: over streams, TLS included, as given to and taken by the loop; 0 if
        `count_bytes` was not asked for.
    """

    accepted: int
    open: int
    waiting: int
    closed: Mapping[CloseReason, int]
    accepting: bool
    out_of_descriptors: int
    datagrams: int
    replies: int
    unanswered: int
    dropped: int
    handlers: int = 0
    received_bytes: int = 0
    sent_bytes: int = 0

    def __add__(self, other: Stats) -> Stats:
        """Of two servers together, which are `accepting` if both are."""
        added = [one + two for one, two in zip(_numbers(self), _numbers(other), strict=True)]
        return replace(_of_numbers(added), accepting=self.accepting and other.accepting)

    def over(self) -> Stats:
        """Of a process that is no more: what was open then has ended by its fault."""
        closed = {**self.closed, CloseReason.ERROR: self.closed[CloseReason.ERROR] + self.open}
        return replace(
            self, open=0, waiting=0, handlers=0, accepting=True, closed=MappingProxyType(closed)
        )

    def pack(self) -> bytes:
        numbers = _numbers(self)
        return struct.pack(f"{len(numbers)}q", *numbers)

    @classmethod
    def unpack(cls, data: bytes) -> Stats:
        """What `pack` gave in a process of the same program, whatever follows it."""
        return _of_numbers(list(struct.unpack_from(f"{len(_COUNTERS) + len(CloseReason)}q", data)))


@dataclass(frozen=True, slots=True)
class DrainReport:
    """How the connections ended that were open when the server began to drain.

    finished: with all that was for them sent. aborted: reset, because it took too long.
    """

    finished: int
    aborted: int


_COUNTERS = [each.name for each in fields(Stats) if each.name != "closed"]


def _numbers(stats: Stats) -> list[int]:
    counters = [int(getattr(stats, name)) for name in _COUNTERS]
    return counters + [stats.closed[reason] for reason in CloseReason]


def _of_numbers(numbers: list[int]) -> Stats:
    many = len(_COUNTERS)
    counters: dict[str, Any] = dict(zip(_COUNTERS, numbers[:many], strict=True))
    counters["accepting"] = bool(counters["accepting"])
    closed = dict(zip(CloseReason, numbers[many:], strict=True))
    return Stats(closed=MappingProxyType(closed), **counters)
