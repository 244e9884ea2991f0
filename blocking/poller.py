"""What select, poll and epoll have in common: they say which descriptors can go on."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Protocol

# The same for poll(2) and epoll(7) on Linux, so that a loop need not know which it waits with.
IN, OUT, ERR, HUP = 0x1, 0x4, 0x8, 0x10


class Poller(Protocol):
    """Descriptors and the events, IN and OUT, that somebody waits for on each.

    ERR and HUP may be reported unasked. Level-triggered, unless it says otherwise: what is not
    dealt with now is reported again.
    """

    def register(self, fd: int, events: int, /) -> object: ...

    def modify(self, fd: int, events: int, /) -> object: ...

    def unregister(self, fd: int, /) -> object: ...

    def poll(self, timeout: float | None, /) -> Iterable[tuple[int, int]]:
        """Who can go on, and how, after at most `timeout` seconds."""
        ...

    def close_socket(self, sock: socket.socket, /) -> None:
        """Close a registered socket, and know it no more."""

    def close(self) -> object: ...
