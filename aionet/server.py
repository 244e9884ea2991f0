"""Listen, serve, drain: the same on asyncio and uvloop."""

from __future__ import annotations

import asyncio
import signal
import socket
from types import TracebackType
from typing import Any

from aionet.command import end_at_once
from aionet.datagram import DatagramEndpoint
from aionet.limits import Limits, Timeouts
from aionet.loops import keep_read_buffers
from aionet.protocol import Service
from aionet.sockets import BACKLOG, BURST
from aionet.stream import Connection, Connections


class Server:
    """Serves `service` on `sock`, TCP or UDP, within `async with`; leaving it drains.

    `sock` is bound, and listening if it is TCP; the server owns and closes it.
    """

    def __init__(
        self,
        sock: socket.socket,
        service: Service,
        *,
        limits: Limits | None = None,
        timeouts: Timeouts | None = None,
    ) -> None:
        self._sock = sock
        self._service = service
        self._limits = limits or Limits()
        self._timeouts = timeouts or Timeouts()

    async def __aenter__(self) -> Server:
        loop = asyncio.get_running_loop()
        keep_read_buffers()
        self._sock.setblocking(False)
        self._connections = Connections(loop, self._service, self._limits, self._timeouts)
        if self._sock.type == socket.SOCK_DGRAM:
            self._listener: Any = None
            self._datagrams, self._endpoint = await loop.create_datagram_endpoint(
                lambda: DatagramEndpoint(self._sock, self._service), sock=self._sock
            )
            return self
        # asyncio accepts up to `backlog` times in a row, so this says how many; the kernel's
        # backlog is then set to what it should be.
        self._listener = await loop.create_server(
            lambda: Connection(self._connections), sock=self._sock, backlog=BURST
        )
        self._sock.listen(BACKLOG)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.drain()

    async def drain(self, timeout: float | None = None) -> None:
        """Accept no more, send what is pending for `timeout` s, then reset who is left."""
        if self._listener is None:
            self._endpoint.answer_pending()
            self._datagrams.close()
            return
        self._listener.close()
        await asyncio.sleep(0)  # who was accepted in this turn becomes a connection
        await self._connections.drain(self._timeouts.drain if timeout is None else timeout)

    async def run_until_signal(self) -> None:
        """Wait for SIGTERM or SIGINT; from then on a second one ends the process at once."""
        loop = asyncio.get_running_loop()
        stopped = asyncio.Event()

        def stop() -> None:
            for each in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(each)
                signal.signal(each, end_at_once)
            stopped.set()

        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, stop)
        await stopped.wait()
