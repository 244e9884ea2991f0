"""anyio: a task for each connection, as its page on networking, on asyncio, which is its default.

A stream can be closed by who may wait only: so each has a scope, which is cancelled for that.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from functools import partial

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream, TaskGroup, UDPSocket

from aionet.command import Serve
from aionet.core import Hub
from aionet.loops import keep_read_buffers
from compare.contenders import task_each
from compare.contenders.answers import Answers

GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class Connection(task_each.Connection):
    """scope: of its own task."""

    __slots__ = ("scope",)

    def __init__(self, hub: Hub, stream: SocketStream) -> None:
        sock = stream.extra(SocketAttribute.raw_socket)
        super().__init__(hub, sock, anyio.Event, stream.receive, stream.send)
        self.scope = anyio.CancelScope()

    def close(self) -> None:
        self.scope.cancel()


class Server(task_each.Server):
    """`meet` is what a listener's serve() takes. group: of second tasks."""

    def __init__(self, task: Serve, group: TaskGroup) -> None:
        super().__init__(task, anyio, group.start_soon, GONE, (anyio.EndOfStream,))

    async def meet(self, stream: SocketStream) -> None:
        conn = Connection(self.hub, stream)
        async with stream:
            with conn.scope:
                await self.serve(conn)


async def echo_datagrams(answers: Answers, endpoint: UDPSocket) -> None:
    async with endpoint:
        async for data, sender in endpoint:
            for peer, reply in answers.to(sender, data):
                with contextlib.suppress(OSError):  # no way there: that peer's loss
                    await endpoint.send((reply, peer))


async def _signalled(ready: Callable[[], None]) -> None:
    """Until SIGTERM or SIGINT; a second one is left to the kernel."""
    with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        ready()
        await anext(signals)


async def _serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    async with anyio.create_task_group() as background:
        if task.datagrams:
            endpoint = await UDPSocket.from_socket(sock)
            background.start_soon(echo_datagrams, Answers(task, sock), endpoint)
            await _signalled(ready)
        else:
            async with anyio.create_task_group() as peers:  # it ends when all of them have
                server = Server(task, peers)
                background.start_soon(server.tick)
                background.start_soon(server.see_to_others)
                async with (
                    await SocketListener.from_socket(sock) as listener,
                    anyio.create_task_group() as listening,
                ):
                    listening.start_soon(partial(listener.serve, server.meet, task_group=peers))
                    await _signalled(ready)
                    listening.cancel_scope.cancel()
                background.start_soon(server.drain, task.timeouts.drain)
        background.cancel_scope.cancel()


def serve(task: Serve, sock: socket.socket, ready: Callable[[], None], tls: None) -> None:
    keep_read_buffers()
    anyio.run(_serve, task, sock, ready)
