"""trio: a task for each connection, as its tutorial's echo server."""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import trio

from aionet.command import Serve
from aionet.core import Hub
from aionet.sockets import RECV_SIZE
from compare.contenders import task_each
from compare.contenders.answers import Answers

if TYPE_CHECKING:
    from ssl import SSLContext

    Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Connection(task_each.Connection):
    __slots__ = ()

    def __init__(self, hub: Hub, stream: Stream) -> None:
        tcp = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        super().__init__(hub, tcp.socket, trio.Event, stream.receive_some, stream.send_all)

    def close(self) -> None:
        self.sock.close()


class Server(task_each.Server):
    """`meet` is what trio.serve_listeners() takes. nursery: of second tasks."""

    def __init__(self, task: Serve, nursery: trio.Nursery) -> None:
        super().__init__(task, trio, nursery.start_soon, GONE)

    async def meet(self, stream: Stream) -> None:
        async with stream:
            await self.serve(Connection(self.hub, stream))


async def echo_datagrams(answers: Answers, sock: trio.socket.SocketType) -> None:
    with sock:
        while True:
            data, sender = await sock.recvfrom(RECV_SIZE)
            for peer, reply in answers.to(sender, data):
                with contextlib.suppress(OSError):  # no way there: that peer's loss
                    await sock.sendto(reply, peer)


async def _signalled(ready: Callable[[], None]) -> None:
    """Until SIGTERM or SIGINT; a second one is left to the kernel."""
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        ready()
        await anext(signals)


async def _serve(
    task: Serve, sock: socket.socket, ready: Callable[[], None], tls: SSLContext | None
) -> None:
    ours = trio.socket.from_stdlib_socket(sock)
    async with trio.open_nursery() as background:
        if task.datagrams:
            background.start_soon(echo_datagrams, Answers(task, ours), ours)
            await _signalled(ready)
        else:
            async with trio.open_nursery() as peers:  # it ends when all of them have
                server = Server(task, peers)
                background.start_soon(server.tick)
                background.start_soon(server.see_to_others)
                listener: Any = trio.SocketListener(ours)
                if tls:  # a peer may end without a close_notify
                    listener = trio.SSLListener(listener, tls, https_compatible=True)
                async with trio.open_nursery() as listening:
                    listen = partial(trio.serve_listeners, handler_nursery=peers)
                    listening.start_soon(listen, server.meet, [listener])
                    await _signalled(ready)
                    listening.cancel_scope.cancel()
                background.start_soon(server.drain, task.timeouts.drain)
        background.cancel_scope.cancel()


def serve(
    task: Serve, sock: socket.socket, ready: Callable[[], None], tls: SSLContext | None
) -> None:
    trio.run(_serve, task, sock, ready, tls)
