"""The contract between a service, which decides what to say, and a shell, which does the I/O.

The rules, the same for every shell:

1. A peer is an opaque hashable key that the shell chooses. A service never touches a socket.
2. A shell calls `connect` once, then `receive_data` any number of times with at least one
   byte, then `receive_eof` exactly once: when the peer has finished sending, or is gone,
   or has been dropped by the shell. It never makes two calls at the same time.
3. Every call answers with deliveries: pairs of a peer and bytes for it, to be carried out
   in order, so that all peers see one order of messages. `b""` asks the shell to close that
   peer once everything delivered to it before has been sent. Deliveries to a peer that is
   closed, or closing, are dropped by the shell.
4. What a peer says wrong becomes deliveries (an error line, a close), never an exception.

Over datagrams there are no connections: a shell calls only `receive_data`, with the sender's
address as the peer, for every datagram, the empty one included; `b""` then is an empty
datagram.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Protocol

Deliveries = Iterable[tuple[Any, bytes]]


class Service(Protocol):
    """One service for all of its peers; see the module's rules."""

    def connect(self, peer: Any) -> Deliveries:
        """A stream peer arrived."""

    def receive_data(self, peer: Any, data: bytes) -> Deliveries:
        """`peer` sent `data`: an arbitrary piece of its stream, or one whole datagram."""

    def receive_eof(self, peer: Any) -> Deliveries:
        """`peer` finished sending, or is gone."""
