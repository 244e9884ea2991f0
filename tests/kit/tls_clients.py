"""A client of a TLS server, whether it speaks TLS or not, and a witness of its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from aionet.hooks import Hooks
from aionet.limits import CloseReason
from aionet.server import Server

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Witness:
    """Sees who comes and how they go, and wakes who waits for that."""

    def __init__(self) -> None:
        self.opened = 0
        self.reasons: list[CloseReason] = []
        self.hooks = Hooks(on_open=self.open, on_close=self.close)
        self._changed = asyncio.Event()

    def open(self, peer: Any) -> None:
        self.opened += 1
        self._changed.set()

    def close(self, peer: Any, reason: CloseReason) -> None:
        self.reasons.append(reason)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def one_end(self) -> CloseReason:
        await self.until(lambda: self.reasons)
        return self.reasons[0]


@contextlib.asynccontextmanager
async def connect(
    server: Server, context: ssl.SSLContext | None, **options: Any
) -> AsyncIterator[Connection]:
    (address,) = server.addresses
    sock = socket.socket()
    try:
        if "receive_buffer" in options:  # only before connecting does it bound the window
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.pop("receive_buffer"))
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
        if context is not None:
            options["server_hostname"] = "127.0.0.1"
        reader, writer = await asyncio.open_connection(sock=sock, ssl=context, **options)
    except BaseException:
        sock.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
