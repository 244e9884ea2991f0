"""Listen, serve, drain: the same on asyncio and uvloop."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import TracebackType

from aionet.address import Address
from aionet.datagram import DatagramEndpoint
from aionet.limits import Limits, Timeouts
from aionet.loops import keep_read_buffers
from aionet.protocol import Service
from aionet.sockets import BACKLOG, BURST, address_of, listen
from aionet.stream import Connection, Connections


class Server:
    """Serves a service within `async with`, which drains it at the end. Made by `serve`."""

    def __init__(
        self,
        service: Service,
        where: tuple[Address | socket.socket, ...],
        limits: Limits,
        timeouts: Timeouts,
    ) -> None:
        self._service = service
        self._where = where
        self._limits = limits
        self._timeouts = timeouts
        self._sockets: list[socket.socket] = []
        self._listeners: list[asyncio.AbstractServer] = []
        self._endpoints: list[tuple[asyncio.BaseTransport, DatagramEndpoint]] = []
        self._drained = False

    @property
    def addresses(self) -> list[Address]:
        """Where it listens, with the ports that the kernel chose for port 0."""
        return [address_of(sock) for sock in self._sockets]

    async def __aenter__(self) -> Server:
        loop = asyncio.get_running_loop()
        keep_read_buffers()
        self._connections = Connections(loop, self._service, self._limits, self._timeouts)
        try:
            for place in self._where:
                self._sockets.append(listen(place) if isinstance(place, Address) else place)
            for sock in self._sockets:
                await self._open(loop, sock)
        except BaseException:
            for sock in self._sockets:
                sock.close()
            raise
        return self

    async def _open(self, loop: asyncio.AbstractEventLoop, sock: socket.socket) -> None:
        sock.setblocking(False)
        if sock.type == socket.SOCK_DGRAM:
            self._endpoints.append(
                await loop.create_datagram_endpoint(
                    lambda: DatagramEndpoint(sock, self._service), sock=sock
                )
            )
            return
        # asyncio accepts up to `backlog` times in a row, so this says how many; the kernel's
        # backlog is then set to what it should be.
        self._listeners.append(
            await loop.create_server(
                lambda: Connection(self._connections), sock=sock, backlog=BURST
            )
        )
        sock.listen(BACKLOG)

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.drain()

    async def drain(self, timeout: float | None = None) -> None:
        """Accept no more, send what is pending for `timeout` s, then reset who is left.

        The timeout is that of `Timeouts.drain` unless given. A second call does nothing.
        """
        if self._drained:
            return
        self._drained = True
        for transport, endpoint in self._endpoints:
            endpoint.answer_pending()
            transport.close()
        # asyncio makes a connection of who was accepted in this turn in the next but one, and
        # loses it if the listener is closed before the next. So: first no more readiness.
        loop = asyncio.get_running_loop()
        for sock in self._sockets:
            if sock.type == socket.SOCK_STREAM:
                loop.remove_reader(sock)
        await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
        await asyncio.sleep(0)
        await self._connections.drain(self._timeouts.drain if timeout is None else timeout)

    async def run_until_signal(self) -> None:
        """Wait for SIGTERM or SIGINT; from then on a second one ends the process at once."""
        await self.catch_signals().wait()

    def catch_signals(self) -> asyncio.Event:
        """As `run_until_signal`, for who has something to do before waiting for the event."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def stop() -> None:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
                signal.signal(each, signal.SIG_DFL)
            stopped.set()

        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop)
        return stopped


def serve(
    service: Service,
    *where: str | Address | socket.socket,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
) -> Server:
    """Serve `service` on every address of `where`, from `async with` on.

    An address is `tcp://HOST:PORT` or `udp://HOST:PORT`, or a socket that is bound, and
    listening if it is TCP; the server owns it from then on. Raises ValueError for an address
    that cannot be read, and on entering OSError where it cannot listen.
    """
    if not where:
        raise ValueError("serve() needs an address, such as 'tcp://127.0.0.1:0'")
    places = tuple(Address.parse(place) if isinstance(place, str) else place for place in where)
    return Server(service, places, limits or Limits(), timeouts or Timeouts())
