"""A peer, as services and hooks see it."""

from __future__ import annotations

from typing import Any, Protocol

from aionet.limits import CloseReason


class Peer(Protocol):
    """Who is connected: a key that can be hashed, and what is known of it. Made by the server.

    reason: why it ended; None while it has not.
    """

    reason: CloseReason | None

    @property
    def address(self) -> Any:
        """As a socket gives it: (host, port, ...); "" on unix sockets. Of the client, where a proxy
        says for whom it connects.
        """

    @property
    def pending(self) -> int:
        """Bytes that were said to it and that the kernel has not taken, as it does not read."""

    def get_extra_info(self, name: str) -> Any:
        """As asyncio's transports: "peername", "sockname", "socket"; over TLS "peercert", ..."""

    def __hash__(self) -> int: ...
