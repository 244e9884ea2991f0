"""Tornado: a coroutine for each connection, on an IOStream over asyncio's loop.

As its page on TCPServer has it, but by read_bytes(partial=True) instead of by lines, so that any
bytes are echoed. `max_write_buffer_size` bounds what others may say to who does not read.
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable

from tornado.iostream import IOStream, StreamBufferFullError, StreamClosedError
from tornado.tcpserver import TCPServer

from aionet.command import Serve
from aionet.protocol import Deliveries
from aionet.sockets import RECV_SIZE


class Server(TCPServer):
    """Serves a service; its peers are the streams."""

    def __init__(self, task: Serve) -> None:
        super().__init__(max_buffer_size=RECV_SIZE, read_chunk_size=RECV_SIZE)
        self._service = task.make_service()
        self._outbox = task.limits.outbox
        self._closing: set[IOStream] = set()

    async def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        stream.max_write_buffer_size = self._outbox + RECV_SIZE
        try:
            await self._deliver(stream, self._service.connect(stream))
            while stream not in self._closing:
                data = await stream.read_bytes(RECV_SIZE, partial=True)
                await self._deliver(stream, self._service.receive_data(stream, data))
        except StreamClosedError:
            pass
        finally:
            self._closing.add(stream)
            await self._deliver(stream, self._service.receive_eof(stream))
            self._closing.discard(stream)
            stream.close()

    async def _deliver(self, stream: IOStream, deliveries: Deliveries) -> None:
        """Write what the service says; wait until `stream` has sent what is its own."""
        own = None
        for peer, data in deliveries:
            if peer in self._closing:
                continue
            if not data:
                self._closing.add(peer)
                continue
            try:
                written = peer.write(data)
            except StreamBufferFullError:
                peer.close()  # it reads slower than others talk
            except StreamClosedError:
                continue
            else:
                own = written if peer is stream else own
        if own is not None:
            await own


async def _serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    server, stopped = Server(task), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    sock.setblocking(False)
    server.add_socket(sock)
    ready()
    await stopped.wait()
    server.stop()


def serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    asyncio.run(_serve(task, sock, ready))
