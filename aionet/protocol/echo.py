"""Echo: every byte goes back to where it came from (RFC 862)."""

from __future__ import annotations

from typing import Any

from aionet.protocol.service import Deliveries


class Echo:
    """Sends back what a peer sends, and closes after a peer that has finished.

    It keeps nothing about anybody, so one instance serves streams and datagrams alike.
    """

    def connect(self, peer: Any) -> Deliveries:
        return ()

    def receive_data(self, peer: Any, data: bytes) -> Deliveries:
        return ((peer, data),)

    def receive_eof(self, peer: Any) -> Deliveries:
        return ((peer, b""),)


class EchoAndClose:
    """Sends back the first `size` bytes of a peer and then closes, before the peer does.

    So the server is the one that keeps the connection in TIME_WAIT (RFC 9293, 3.6).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._left: dict[Any, int] = {}

    def connect(self, peer: Any) -> Deliveries:
        self._left[peer] = self._size
        return ()

    def receive_data(self, peer: Any, data: bytes) -> Deliveries:
        left = self._left[peer]
        if len(data) < left:
            self._left[peer] = left - len(data)
            return ((peer, data),)
        self._left[peer] = 0
        return ((peer, data[:left]), (peer, b"")) if left else ()

    def receive_eof(self, peer: Any) -> Deliveries:
        del self._left[peer]
        return ((peer, b""),)
