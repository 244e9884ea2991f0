"""A peer: in which state it is, what waits for it, and what is to be done to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final

from aionet.limits import CloseReason

if TYPE_CHECKING:
    from aionet.core.hub import Hub
    from aionet.core.layer import Layer


NOTHING: list[bytes] = []  # the outbox of who takes nothing more; it stays empty


class State:
    """Where a connection is in its life: these names, which are compared a lot.

    No Enum: to look a member up costs 90 ns in CPython 3.11.
    """

    WAITING: Final = "waiting"  # accepted, and there is no place for it yet
    HANDSHAKE: Final = "handshake"  # of TLS
    OPEN: Final = "open"
    HALF_CLOSED: Final = "half-closed"  # it has finished sending, and we have not (RFC 9293, 3.6)
    FLUSHING: Final = "flushing"  # we are done with it; what waits for it is still sent
    LINGERING: Final = "lingering"  # it has taken all; its own end is waited for
    GONE: Final = "gone"


CLOSING = (State.FLUSHING, State.LINGERING, State.GONE)  # nothing more can be said to it


class Todo:
    """What a shell does to a connection, once it has written what there was for it."""

    SHUT_RD: Final = "stop reading"  # read what has arrived, and nothing after it
    SHUT_WR: Final = "half-close"  # after the last byte a FIN
    CLOSE: Final = "close"  # after the last byte
    RESET: Final = "reset"  # at once, whatever is unsent: RST


_AT_ONCE = (Todo.RESET, Todo.SHUT_RD)  # whatever is to be sent before


class Extra:
    """What few peers have, so that the others need no memory for it.

    unsent: bytes that the shell has taken and the kernel has not. rest: deliveries that its
    service still has for it and others, when it reads again. paused: those wait for the others to
    take what they have: see Turns. held: the program wants nothing from it for now. early: what
    came in the meantime; ended: so did its end. finished: nothing more is said to it, and it is
    heard (half-close).
    message: the number of the one under way. since: when that began, or the handshake, or when a
        peer that is closed had acknowledged all. deaf_at: since when it is not listened to, which
        is not counted.
    base, given, base_at: bytes unacknowledged when last looked at, taken by the shell since then,
    and when that was; base_at is below zero while nobody looks.
    """

    __slots__ = (
        "base",
        "base_at",
        "deaf_at",
        "early",
        "ended",
        "finished",
        "given",
        "held",
        "message",
        "paused",
        "rest",
        "since",
        "source",
        "tls",
        "unsent",
    )

    def __init__(self) -> None:
        self.unsent = 0
        self.rest: Iterator[tuple[Any, Any]] | None = None
        self.paused = False
        self.held = False
        self.early = b""
        self.ended = False
        self.finished = False
        self.message: int | None = None
        self.since = 0.0
        self.deaf_at = 0.0
        self.base = 0
        self.given = 0
        self.base_at = -1.0
        self.tls: Layer | None = None
        self.source: str | None = None  # whose place it has, where places are counted by that

    @property
    def in_the_way(self) -> bool:
        """Whether something of this is in the way of an answer."""
        waits = self.unsent or self.rest or self.paused or self.early or self.base_at >= 0
        return bool(waits or self.held or self.finished)


class Peer:
    """One accepted connection. A shell derives from it what it needs for its I/O.

    outbox: what is to be sent to it and has not been taken by the shell; None while it is open and
        nothing at all is in the way of an answer, which is nearly always. waiting: its bytes.
    reads: whether the shell is to read from it. todo: what else it is to do.
    dirty: something of this has changed since the shell last saw to it.
    seen: when something last came or went, by the hub's clock.
    place: how many are in its place: its connection, and a program that serves it.
    met: the service knows it, and nothing of its end.
    """

    __slots__ = (
        "dirty",
        "extra",
        "hub",
        "index",
        "met",
        "outbox",
        "place",
        "reads",
        "reason",
        "seen",
        "state",
        "todo",
        "waiting",
    )

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.index = -1  # among all that are open
        self.state: str = State.WAITING
        self.reason: CloseReason | None = None
        self.outbox: list[bytes] | None = NOTHING
        self.waiting = 0
        self.extra: Extra | None = None
        self.reads = True
        self.todo: str | None = None
        self.dirty = False
        self.seen = hub.now
        self.place = 0
        self.met = False

    @property
    def address(self) -> Any:
        """As the socket gives it: (host, port, ...), or a path; None where nobody knows."""
        return None

    @property
    def closing(self) -> bool:
        """Whether nothing more can be said to it."""
        return self.state in CLOSING

    def pop_todo(self, unsent: object = None) -> str | None:
        """What is to be done to it now, which is then forgotten.

        None: nothing, or something that comes after the last byte while there is an outbox, or
        anything `unsent` in the shell's own hands. While one piece is sent, its service may be
        asked for the last ones, and close.
        """
        todo = self.todo
        if todo is None or ((self.outbox or unsent) and todo not in _AT_ONCE):
            return None
        self.todo = None
        if todo is Todo.SHUT_RD and self.extra is not None and self.extra.finished:
            self.todo = Todo.SHUT_WR  # it may have come instead of that; to do it twice is no harm
        return todo

    def expect(self, number: int | None) -> None:
        """Its message of this number is under way; None is none."""
        extra = self.extra
        if number is None:
            if extra is not None:
                extra.message = None
        elif extra is None or extra.message != number:
            extra = extra_of(self)
            extra.message, extra.since = number, self.hub.now

    # What only a shell knows, and what it may want to be told.

    def stays(self) -> bool:
        """Whether it is heard on in a drain, until the deadline of that."""
        return False

    def unacked(self) -> int:
        """Bytes of what was taken that have not been acknowledged by the peer, wherever they are.

        Unix sockets: that it has not read. Asked for a few times in a timeout.
        """
        return self.extra.unsent if self.extra else 0

    def is_unknown(self) -> bool:
        """Whether it has gone already, and nobody knows any more who it was."""
        return False

    def writable(self) -> None:
        """What waited for the peer has gone below the limit again."""

    def layer(self) -> Layer | None:
        """Its TLS, if it is to begin with that; asked for once."""
        return None

    def secured(self) -> None:
        """Its TLS handshake is over: it is done, or has failed."""

    def gone(self) -> None:
        """The connection has ended, for `reason`; called once, outside of the service."""

    def settle(self) -> None:
        """Do what is to be done: its shell's part."""


def extra_of(peer: Peer) -> Extra:
    if peer.extra is None:
        peer.extra = Extra()
    return peer.extra
