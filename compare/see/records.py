"""What was seen: rows that hold nothing but words and numbers."""

from __future__ import annotations

import msgspec


class End(msgspec.Struct, frozen=True):
    """One end of a connection. state: as of tcp_states.h, "" where the kernel has no such socket.

    unread and unsent: bytes in its Recv-Q and Send-Q (not acknowledged are not sent). held:
    whether a process has a descriptor of it. timer: the one that runs.
    """

    state: str = ""
    unread: int = 0
    unsent: int = 0
    held: bool = False
    timer: str | None = None


class Queue(msgspec.Struct, frozen=True):
    """Of those who are connected and wait to be accepted: how many, and the backlog."""

    waiting: int
    backlog: int


class Doing(msgspec.Struct, frozen=True):
    """What a thread of the server does. on: whose descriptor its call is about, if that is known:
    "listener", or the number of a client.
    """

    pid: int
    tid: int
    state: str
    call: str | None = None
    on: str = ""


class Row(msgspec.Struct, frozen=True):
    """A call, or a change without one, and how it is then at one connection and in the server.

    at_ms: since the scene began. who: the number of the client that made the call, 0 for what was
    done to the server. result: a number, the name of an error, or words. connection: the number
    of the client whose ends these are, 0 where nobody has connected yet.
    """

    at_ms: float
    who: int
    call: str
    result: str
    connection: int
    client: End
    server: End
    queue: Queue | None
    threads: list[Doing]


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One scene from beginning to end. what: what is to be seen in it. sample_us: the median of
    what one look took. left: how many sockets had the server's port when the clients were gone.
    """

    format: str = "compare-see/1"
    scene: str
    what: str
    command: list[str]
    host: str
    port: int
    kernel: str
    rows: list[Row]
    samples: int
    sample_us: float
    left: dict[str, int]
    interrupted: bool = False
    remarks: list[str] = []

    def states(self) -> set[str]:
        """All that were seen, at whichever end."""
        found = {end.state for row in self.rows for end in (row.client, row.server)} - {""}
        return found | ({"LISTEN"} if any(row.queue for row in self.rows) else set())
