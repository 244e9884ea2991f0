"""A client of a UDP server on the same loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator

from aionet.server import Server

ANY = "udp://127.0.0.1:0"


class Client:
    """A UDP socket that hears only the server."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    def send(self, data: bytes) -> None:
        assert self._sock.send(data) == len(data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, 1 << 16)

    async def exchange(self, data: bytes) -> bytes:
        self.send(data)
        return await self.receive()

    def answers(self) -> list[bytes]:
        """What has arrived already."""
        received = []
        with contextlib.suppress(BlockingIOError):
            while True:
                received.append(self._sock.recv(1 << 16))
        return received


@contextlib.contextmanager
def client_of(server: Server) -> Iterator[Client]:
    (address,) = server.addresses
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address.host, address.port))
        yield Client(sock)
