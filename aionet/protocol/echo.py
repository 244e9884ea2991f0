"""Echo: every byte goes back to where it came from (RFC 862)."""

from __future__ import annotations

from typing import Any

from aionet.protocol.service import CLOSE, Answer, Service


class Echo(Service):
    """Sends back what a peer sends, and closes after a peer that has finished.

    It keeps nothing about anybody, so one instance serves streams and datagrams alike.
    """

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return data


class EchoAndClose(Service):
    """Sends back the first `size` bytes of a peer and then closes, before the peer does.

    So the server is the one that keeps the connection in TIME_WAIT (RFC 9293, 3.6).
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._left: dict[Any, int] = {}

    def connect(self, peer: Any) -> Answer:
        self._left[peer] = self._size
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        left = self._left[peer]
        if len(data) < left:
            self._left[peer] = left - len(data)
            return data
        self._left[peer] = 0
        return [(peer, data[:left]), (peer, CLOSE)] if left else None

    def receive_eof(self, peer: Any) -> Answer:
        del self._left[peer]
        return CLOSE
