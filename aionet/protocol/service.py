"""The contract between a service, which decides what to say, and a shell, which does the I/O.

The rules, the same for every shell:

1. A peer is an opaque hashable key that the shell chooses. A service never touches a socket.
2. A shell calls `connect` once, then `receive_data` any number of times with at least one
   byte, then `receive_eof` exactly once: when the peer has finished sending, or is gone,
   or has been dropped by the shell. It never makes two calls at the same time.
3. Every call answers with deliveries: pairs of a peer and bytes for it, to be carried out
   in order, so that all peers see one order of messages. `b""` asks the shell to close that
   peer once everything delivered to it before has been sent; `OVERSIZE` does the same and
   says why. Deliveries to a peer that is closed, or closing, are dropped by the shell.
4. What a peer says wrong becomes deliveries (an error line, a close), never an exception.

Over datagrams there are no connections: a shell calls only `receive_data`, with the sender's
address as the peer, for every datagram, the empty one included; `b""` then is an empty
datagram.

A service may have more, each known by its name:

- `unfinished(peer)`: which of its messages `peer` has begun and not ended, as a number that
  no other message of that peer has; None between messages. Shells with a message timeout
  hold a peer to it.
- `say_goodbye()`: deliveries, asked for once when the server begins to stop.
- `one_process`: True where peers in different processes would miss each other.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

from aionet.limits import CloseReason

Deliveries = Iterable[tuple[Any, bytes]]


class Close(bytes):
    """The empty delivery, with the reason for the close: to any shell it is `b""`."""

    reason: CloseReason

    def __new__(cls, reason: CloseReason) -> Close:
        close = super().__new__(cls)
        close.reason = reason
        return close


OVERSIZE = Close(CloseReason.OVERSIZE)


class Service(Protocol):
    """One service for all of its peers; see the module's rules."""

    def connect(self, peer: Any) -> Deliveries:
        """A stream peer arrived."""

    def receive_data(self, peer: Any, data: bytes) -> Deliveries:
        """`peer` sent `data`: an arbitrary piece of its stream, or one whole datagram."""

    def receive_eof(self, peer: Any) -> Deliveries:
        """`peer` finished sending, or is gone."""
