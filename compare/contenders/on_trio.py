"""trio: a task for each connection, as its tutorial's echo server.

A member of the chat has a second task, which sends what others say from a bounded channel: a
task that waits for one who does not read must not be that of another.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from functools import partial

import trio

from aionet.command import Serve
from aionet.protocol import Deliveries, Service
from aionet.sockets import RECV_SIZE

MESSAGES = 10_000  # waiting for a member; who has more reads slower than others talk


class Peer:
    """A connection and what is to be sent on it."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.closing = False
        self.put, self._outbox = trio.open_memory_channel[bytes](MESSAGES)

    async def send(self) -> None:
        """Send what others say, and then that there is no more."""
        async for data in self._outbox:
            await self.stream.send_all(data)
        await self.stream.send_eof()


class Chat:
    """Members hear each other, through their channels."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def meet(self, stream: trio.SocketStream) -> None:
        peer = Peer(stream)
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(peer.send)
                self._deliver(self._service.connect(peer))
                async for data in stream:
                    if not peer.closing:
                        self._deliver(self._service.receive_data(peer, data))
                self._deliver(self._service.receive_eof(peer))
        except* trio.BrokenResourceError:
            self._deliver(self._service.receive_eof(peer))
        finally:
            peer.closing = True

    def _deliver(self, deliveries: Deliveries) -> None:
        for peer, data in deliveries:
            if peer.closing:
                continue
            try:
                if data:
                    peer.put.send_nowait(data)
                    continue
            except trio.WouldBlock:
                peer.stream.socket.close()
            except trio.BrokenResourceError:
                pass
            peer.closing = True
            peer.put.close()


async def echo(service: Service, stream: trio.SocketStream) -> None:
    """What a peer says concerns nobody else, so its own task sends the answer."""
    with contextlib.suppress(trio.BrokenResourceError):
        async for data in stream:
            for _, reply in service.receive_data(stream, data):
                await stream.send_all(reply)


async def echo_datagrams(service: Service, sock: trio.socket.SocketType) -> None:
    while True:
        data, sender = await sock.recvfrom(RECV_SIZE)
        for peer, reply in service.receive_data(sender, data):
            with contextlib.suppress(OSError):  # a port of 0: that peer's loss
                await sock.sendto(reply, peer)


async def _serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    service, ours = task.make_service(), trio.socket.from_stdlib_socket(sock)
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with trio.open_nursery() as nursery:
            if task.datagrams:
                nursery.start_soon(echo_datagrams, service, ours)
            else:
                meet = Chat(service).meet if task.service == "chat" else partial(echo, service)
                nursery.start_soon(trio.serve_listeners, meet, [trio.SocketListener(ours)])
            ready()
            async for _ in signals:
                nursery.cancel_scope.cancel()


def serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    trio.run(_serve, task, sock, ready)
