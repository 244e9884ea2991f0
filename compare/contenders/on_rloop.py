"""rloop: an asyncio.Protocol for each connection, on an event loop in Rust.

As asyncio's page on protocols has it, with the loop that rloop's own page says to use, and with
what asyncio documents for a peer that does not read: it is not listened to until it has.
rloop 0.5 never closes a connection whose peer has finished sending: neither when eof_received()
returns False, nor on close() or abort().
"""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from typing import cast

import rloop

from aionet.command import Serve
from aionet.loops import keep_read_buffers
from aionet.protocol import Deliveries, Service


class Peer(asyncio.Protocol):
    """One connection of a service."""

    def __init__(self, service: Service, outbox: int) -> None:
        self._service = service
        self._outbox = outbox
        self._eof = False  # the service knows that the peer has finished
        self._closing = False  # the service has said its last word

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._deliver(self._service.connect(self))

    def data_received(self, data: bytes) -> None:
        if not self._closing:
            self._deliver(self._service.receive_data(self, data))

    def eof_received(self) -> bool:
        self._end()
        return False  # the transport closes once all is sent, or so asyncio has it

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._end()

    def _end(self) -> None:
        if not self._eof:
            self._eof = True
            self._deliver(self._service.receive_eof(self))

    def _deliver(self, deliveries: Deliveries) -> None:
        for peer, data in deliveries:
            peer.put(data)

    def put(self, data: bytes) -> None:
        """Send `data`; nothing closes once all is sent."""
        if self._closing:
            return
        if not data:
            self._closing = True
            self._transport.close()
            return
        self._transport.write(data)
        if self._transport.get_write_buffer_size() > self._outbox:
            self._transport.abort()  # it reads slower than others talk

    def pause_writing(self) -> None:
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self, service: Service) -> None:
        self._service = service

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for peer, reply in self._service.receive_data(addr, data):
            self._transport.sendto(reply, peer)


async def _serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    service = task.make_service()
    if task.datagrams:
        await loop.create_datagram_endpoint(lambda: Datagrams(service), sock=sock)
    else:
        await loop.create_server(lambda: Peer(service, task.limits.outbox), sock=sock)
    ready()
    await stopped.wait()


def serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    sock.setblocking(False)
    keep_read_buffers()  # without it an echo costs three times as much, by the size of its reads
    with asyncio.Runner(loop_factory=rloop.new_event_loop) as runner:
        runner.run(_serve(task, sock, ready))
