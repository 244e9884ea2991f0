"""What a server allows and how a connection may end: plain settings, the same for every shell."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

from aionet.given import check_flag, check_whole, is_number

MAX_INT = 2**31 - 1  # fits a C int, so every system call and loop takes it
_MAX_SECONDS = 24 * 3600.0  # epoll_wait(2) counts milliseconds in a C int: at most 24 days


class CloseReason(StrEnum):
    """Why a connection ended: exactly one of these for every connection that was accepted."""

    EOF = "eof"  # the peer finished sending, and got all there was for it
    DONE = "done"  # the service, or the handler, ended it
    ABORTED = "aborted"  # it reset it
    IDLE = "idle"  # nothing came or went for Timeouts.idle or .half_closed
    SLOW_MESSAGE = "slow-message"  # a message took longer than Timeouts.message
    SLOW_READER = "slow-reader"  # it took nothing for Timeouts.write, or passed Limits.outbox
    OVERSIZE = "oversize"  # a message over Limits.message
    REJECTED = "rejected"  # over a limit of Limits, refused by on_accept, or no proxy of ours
    DRAIN = "drain"  # the server stopped
    RESET = "reset"  # the peer, or the network, broke it
    HANDSHAKE = "handshake"  # no TLS handshake within Timeouts.handshake, or a bad one; no PROXY
    ERROR = "error"  # the service or the handler failed; the log has the traceback

    __hash__ = str.__hash__  # Enum's is slow, and another than that of the string it equals


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a server takes on. Sizes in bytes; None lifts a limit.

    connections: held at the same time. None takes what RLIMIT_NOFILE allows, less a reserve.
    per_peer: of them from one IPv4 address, or one IPv6 /64; more are rejected. An IPv4
        address inside an IPv6 one counts as itself (RFC 4291, 2.5.5.2).
    rate: new connections in a second; beyond that newcomers wait or are rejected, see on_full.
    peer_rate: the same of one source, counted as `per_peer`; more are rejected.
    on_full: past `connections`, let newcomers wait in the kernel's backlog (`queue`), or
        accept and reset them (`reject`).
    message: of one line, without its end.
    write_buffer: while more than this is waiting to be sent to a peer, nothing is read
        from it: whoever does not read is not listened to.
    outbox: a peer for which more than this is waiting, when others say still more to it, is
        dropped: they talk faster than it reads. Answers to what it said itself wait instead, up to
        `write_buffer`, so this is at least that.
    min_rate: bytes a second that a peer takes at least of what waits for it, on average over
        Timeouts.write (Kestrel's MinResponseDataRate, and its value).
    udp_rate: datagrams sent in a second to one source, counted as `per_peer` does. Two servers that
        answer anything, told of each other by a forged sender, talk no faster than that.
    udp_rate_loopback: the same for sources on this machine.
    udp_handlers: handlers of datagrams at a time; what comes beyond that is dropped.
    udp_low_ports: answer ports below 1024, too, as those who ask each other by DNS or NTP need.
        Two services that answer anything to anybody, told of each other by a forged sender,
        would talk for ever (CVE-2024-2169), and those have their ports there.
    """

    connections: int | None = None
    per_peer: int | None = None
    rate: int | None = None
    peer_rate: int | None = None
    on_full: Literal["queue", "reject"] = "queue"
    message: int = 4096
    write_buffer: int = 64 * 1024
    outbox: int = 1024 * 1024
    min_rate: int = 240
    udp_rate: int | None = 1000
    udp_rate_loopback: int | None = None
    udp_handlers: int = 1000
    udp_low_ports: bool = False

    def __post_init__(self) -> None:
        optional = ("connections", "per_peer", "rate", "peer_rate", "udp_rate", "udp_rate_loopback")
        for name in (*optional, "message", "write_buffer", "outbox", "min_rate", "udp_handlers"):
            value = getattr(self, name)
            if value is None and name in optional:
                continue
            check_whole(f"Limits.{name}", value, MAX_INT)
        if self.outbox < self.write_buffer:
            raise ValueError(
                f"Limits.outbox is {self.outbox!r}; it must be at least Limits.write_buffer, which "
                f"is {self.write_buffer!r}: what a peer is let wait of its own must not drop it"
            )
        if self.on_full not in ("queue", "reject"):
            raise ValueError(f"Limits.on_full is {self.on_full!r}; it must be 'queue' or 'reject'")
        check_flag("Limits.udp_low_ports", self.udp_low_ports)


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """How long a server waits, in seconds. None waits for ever.

    idle: while nothing comes from a peer and nothing is said to it.
    message: from the first byte of a message to its last; trickling does not extend it.
    write: while a peer takes nothing of what is sent to it.
    half_closed: as idle, for a peer that has finished sending.
    handshake: for TLS.
    drain: how long a server that was told to stop goes on sending what is pending;
        after that it resets the peers that have not taken it.
    linger: how long a peer that the service has closed may take to close its own side.
        Closing before it does would turn unread input into a reset, and a reset may
        overtake the last bytes sent (RFC 1122, 4.2.2.13).

    idle, message, write (on Unix sockets) and half_closed are noticed late by up to a quarter
    of the shortest of them, and at least by up to 0.2 s: one sweep looks at all connections in
    turn, and no connection has a timer of its own.
    """

    idle: float | None = 300.0
    message: float | None = 30.0
    write: float | None = 30.0
    half_closed: float | None = 60.0
    handshake: float | None = 10.0
    drain: float = 5.0
    linger: float = 1.0

    def __post_init__(self) -> None:
        for name in ("idle", "message", "write", "half_closed", "handshake", "drain", "linger"):
            value = getattr(self, name)
            if value is None and name not in ("drain", "linger"):
                continue
            check_seconds(f"Timeouts.{name}", value)


def check_seconds(name: str, value: object) -> None:
    """Raises ValueError for what nothing can wait for."""
    if not is_number(value) or not 0 < value <= _MAX_SECONDS:  # type: ignore[operator]
        raise ValueError(
            f"{name} is {value!r}; it must be above 0 and up to {_MAX_SECONDS:g} seconds"
        )
