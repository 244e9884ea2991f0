"""What a server has done so far: counters, as one immutable picture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

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


@dataclass(frozen=True, slots=True)
class DrainReport:
    """How the connections ended that were open when the server began to drain.

    finished: with all that was for them sent. aborted: reset, because it took too long.
    """

    finished: int
    aborted: int
