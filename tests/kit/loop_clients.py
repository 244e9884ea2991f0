"""A client of a server on the same loop."""

from __future__ import annotations

import asyncio
import socket
import struct

from aionet.protocol import Echo
from aionet.server import Server, serve

ANY = "tcp://127.0.0.1:0"
RESET = struct.pack("ii", 1, 0)


class Client:
    """A connection to the first address of a server on the same loop, as a context manager."""

    def __init__(self, server: Server) -> None:
        (address, *_) = server.addresses
        unix = address.scheme == "unix"
        self._where = address.path if unix else (address.host, address.port)
        self._sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self._sock.setblocking(False)
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Client:
        try:
            await self._loop.sock_connect(self._sock, self._where)
        except BaseException:
            self._sock.close()
            raise
        return self

    async def __aexit__(self, *ignored: object) -> None:
        self._sock.close()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self, size: int = 1 << 16) -> bytes:
        return await self._loop.sock_recv(self._sock, size)

    async def receive_rest(self) -> bytes:
        received = b""
        while data := await self.receive():
            received += data
        return received

    def finish(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._sock.close()

    async def exchange(self, data: bytes) -> bytes:
        await self.send(data)
        received = b""
        while len(received) < len(data) and (piece := await self.receive()):
            received += piece
        return received


async def let_the_loop_see_everything() -> None:
    """Return when whatever is ready on this loop has been dealt with, by a server beside."""
    async with serve(Echo(), ANY) as other:
        for _ in range(3):
            async with Client(other) as client:
                assert await client.exchange(b"ping") == b"ping"
