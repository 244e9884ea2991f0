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
