"""anyio: a task for each connection, as its page on networking, on asyncio, which is its default.

As with trio, what a peer gets in answer is sent by its own task, and who is talked to by others
has a second one. A stream can be closed by who may wait only: so each has a scope, which is
cancelled for that.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import cast

import anyio
from anyio.abc import SocketAttribute, SocketListener, SocketStream, TaskGroup, UDPSocket

from aionet.command import Serve
from aionet.core import Hub, State, Todo
from aionet.loops import keep_read_buffers
from aionet.sockets import RECV_SIZE
from compare.contenders import connection
from compare.contenders.answers import Answers

GONE = (anyio.BrokenResourceError, anyio.ClosedResourceError)


class Connection(connection.Connection):
    """A stream. sending: a task does; whatever another one has for it is left to that.

    second: it has a second task. changed: set, and replaced, when one of the two has something to
    tell the other. scope: of its own task.
    """

    __slots__ = ("changed", "scope", "second", "sending", "stream")

    def __init__(self, hub: Hub, stream: SocketStream) -> None:
        super().__init__(hub, stream.extra(SocketAttribute.raw_socket))
        self.stream = stream
        self.sending = self.second = False
        self.changed = anyio.Event()
        self.scope = anyio.CancelScope()

    def notify(self) -> None:
        self.changed.set()
        self.changed = anyio.Event()

    def close(self) -> None:
        self.scope.cancel()

    def gone(self) -> None:
        super().gone()
        self.notify()


class Server:
    """Serves a service; `meet` is what a listener's serve() takes. group: of second tasks."""

    def __init__(self, task: Serve, group: TaskGroup) -> None:
        self._group = group
        self._woken = anyio.Event()
        self.hub = connection.hub_of(task, self, anyio.current_time())

    async def meet(self, stream: SocketStream) -> None:
        """Serve one connection to its end."""
        conn = Connection(self.hub, stream)
        async with stream:
            with conn.scope:
                self.hub.admit(conn)
                await self._see_to(conn)
                while conn.state is not State.GONE:
                    if conn.reads:
                        await self._read(conn)
                    else:
                        await conn.changed.wait()

    async def _read(self, conn: Connection) -> None:
        data = b""
        try:
            with contextlib.suppress(anyio.EndOfStream):
                data = await conn.stream.receive(RECV_SIZE)
            while conn.sending:  # the second task: what others have said goes first
                await conn.changed.wait()
        except GONE as error:
            self.hub.lost(conn, _cause(error))
            return
        if not data:
            self.hub.receive_eof(conn)
        elif out := self.hub.receive_data(conn, data):
            await self._send(conn, out)
        await self._see_to(conn)

    async def _send(self, conn: Connection, data: bytes) -> None:
        """Send all of it. Nothing is read meanwhile: who does not read is not listened to."""
        conn.sending = True
        try:
            await conn.stream.send(data)
            self.hub.sent(conn, 0)
        except GONE as error:
            self.hub.lost(conn, _cause(error))
        conn.sending = False

    async def _see_to(self, conn: Connection) -> None:
        """Send what else there is, and do what is to be done."""
        while conn.dirty and not conn.sending:
            conn.dirty = False
            if data := self.hub.take(conn):
                await self._send(conn, data)
            todo = conn.pop_todo()
            if todo is Todo.CLOSE:
                conn.close()
                self.hub.lost(conn, None)
            elif todo is not None:
                conn.do(todo)

    # What others say to a peer, while its own task waits for it to speak.

    async def see_to_others(self) -> None:
        while True:
            await self._woken.wait()
            self._woken = anyio.Event()
            dirty, self.hub.dirty = self.hub.dirty, []
            for conn in cast(list[Connection], dirty):
                if not conn.second:
                    conn.second = True
                    self._group.start_soon(self._talk, conn)
                conn.notify()

    async def _talk(self, conn: Connection) -> None:
        """Its second task."""
        while True:
            await self._see_to(conn)
            conn.notify()
            if conn.state is State.GONE:  # asked here, for nobody tells of it a second time
                break
            await conn.changed.wait()

    # What the hub wants, and time.

    def wake(self) -> None:
        self._woken.set()

    def accept(self, more: bool) -> None:
        """As Shell.accept: who comes when there is no place waits for one."""

    async def tick(self) -> None:
        while True:
            await anyio.sleep(self.hub.tick(anyio.current_time()))

    async def drain(self, timeout: float) -> None:
        """Treat every peer as having finished sending; after `timeout` s, reset who is left."""
        self.hub.drain()
        await anyio.sleep(timeout)
        self.hub.end()


def _cause(error: Exception) -> Exception:
    """What the kernel said, where it did."""
    return error.__cause__ if isinstance(error.__cause__, OSError) else error


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
