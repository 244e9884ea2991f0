"""A client of a UDP server on the same loop."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

from aionet.server import Server

ANY = "udp://127.0.0.1:0"


class Client:
    """A UDP socket that hears only the server."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    @property
    def address(self) -> Any:
        return self._sock.getsockname()

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
def client_of(
    server: Server, host: str | None = None, scope: int = 0, source: str | None = None
) -> Iterator[Client]:
    """One that asks `host`, else the address where the server listens; from `source`."""
    (address,) = server.addresses
    host = host or address.host
    rest = (0, scope) if ":" in host else ()
    with socket.socket(
        socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_DGRAM
    ) as sock:
        sock.setblocking(False)
        if source:
            sock.bind((source, 0))
        sock.connect((host, address.port, *rest))
        yield Client(sock)
