"""UDP on an asyncio transport: any `Service` that answers datagrams."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from aionet.protocol import Service
from aionet.sockets import RECV_SIZE


class DatagramEndpoint(asyncio.DatagramProtocol):
    """Answers every datagram on `sock` as `service` says.

    Replies go out on the socket itself. `transport.sendto` drops empty datagrams (asyncio up
    to 3.12, and uvloop), and it keeps without bound what the kernel does not take, where a
    datagram is better lost.
    """

    def __init__(self, sock: socket.socket, service: Service) -> None:
        self._sock = sock
        self._sendto = sock.sendto
        self._receive_data = service.receive_data

    def datagram_received(self, data: bytes, addr: Any) -> None:
        for peer, reply in self._receive_data(addr, data):
            # A full buffer, a port of 0: that peer's loss, and nobody else's.
            with contextlib.suppress(OSError):
                self._sendto(reply, peer)

    def answer_pending(self) -> None:
        """Answer what has arrived already."""
        with contextlib.suppress(OSError):
            for _ in range(RECV_SIZE):  # more than a receive buffer can hold
                self.datagram_received(*self._sock.recvfrom(RECV_SIZE))
