"""What a server allows: plain settings, the same names for every shell."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Sizes in bytes.

    write_buffer: while more than this is waiting to be sent to a peer, nothing is read
        from it: whoever does not read is not listened to.
    outbox: a peer for which more than this is waiting, because others talk faster than it
        reads, is dropped. It is far above write_buffer, so a peer can only get there by
        what others send to it.
    """

    write_buffer: int = 64 * 1024
    outbox: int = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Times in seconds.

    drain: how long a server that was told to stop goes on sending what is pending;
        after that it resets the peers that have not taken it.
    linger: how long a peer that the service has closed may take to close its own side.
        Closing before it does would turn unread input into a reset, and a reset may
        overtake the last bytes sent (RFC 1122, 4.2.2.13).
    """

    drain: float = 5.0
    linger: float = 1.0
