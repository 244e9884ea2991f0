"""A client of a TLS server, whether it speaks TLS or not, and a witness of its end."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from typing import Any

from loop_clients import Client

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


class TLSClient(Client):
    """A client whose TLS is its own: each end, and each packet, is what a test wants it to be."""

    def __init__(
        self,
        server: Server,
        context: ssl.SSLContext,
        *,
        session: ssl.SSLSession | None = None,
        receive_buffer: int | None = None,
        name: str = "127.0.0.1",
    ) -> None:
        super().__init__(server)
        if receive_buffer is not None:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._in, self._out, server_hostname=name, session=session)

    async def __aenter__(self) -> TLSClient:
        await super().__aenter__()
        return self

    def beginning(self) -> bytes:
        """The first packet of a handshake."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.do_handshake()
        return self._out.read()

    async def answer(self) -> bytes:
        """Begin a handshake; what ends it, which is still to be sent."""
        await self.send_packet(self.beginning())
        while True:
            self._in.write(await super().receive())
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                await self.send_packet(self._out.read())
            else:
                return self._out.read()

    async def shake_hands(self) -> None:
        await self.send_packet(await self.answer())

    async def send_packet(self, data: bytes) -> None:
        """Send it as it is."""
        await super().send(data)

    def wrapped(self, data: bytes, *, end: bool = False) -> bytes:
        """The packet that says `data`, and its close_notify if that is the `end`."""
        self.tls.write(data)
        if end:
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.unwrap()
        return self._out.read()

    async def send(self, data: bytes, *, end: bool = False) -> None:
        await self.send_packet(self.wrapped(data, end=end))

    async def receive(self, size: int = 1 << 16) -> bytes:
        """As Client.receive. Raises ssl.SSLEOFError for an end without a close_notify."""
        while True:
            try:
                return self.tls.read(size)
            except ssl.SSLWantReadError:
                if data := await super().receive():
                    self._in.write(data)
                else:
                    self._in.write_eof()
            except ssl.SSLZeroReturnError:  # and so have we
                return b""

    async def receive_packet(self) -> bytes:
        return await super().receive()
