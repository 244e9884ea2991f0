"""trio: a task for each connection, as its tutorial's echo server.

What a peer gets in answer is sent by its own task. Who is talked to by others has a second one,
from the first time on: a task that waits for one who does not read must not be that of another.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import trio

from aionet.command import Serve
from aionet.core import Hub, State, Todo
from aionet.sockets import RECV_SIZE
from compare.contenders import connection
from compare.contenders.answers import Answers

if TYPE_CHECKING:
    from ssl import SSLContext

    Stream: TypeAlias = trio.SocketStream | trio.SSLStream[trio.SocketStream]

GONE = (trio.BrokenResourceError, trio.ClosedResourceError)


class Connection(connection.Connection):
    """A stream. sending: a task does; whatever another one has for it is left to that.

    second: it has a second task. changed: set, and replaced, when one of the two has something to
    tell the other.
    """

    __slots__ = ("changed", "second", "sending", "stream")

    def __init__(self, hub: Hub, stream: Stream) -> None:
        tcp = stream.transport_stream if isinstance(stream, trio.SSLStream) else stream
        super().__init__(hub, tcp.socket)
        self.stream = stream
        self.sending = self.second = False
        self.changed = trio.Event()

    def notify(self) -> None:
        self.changed.set()
        self.changed = trio.Event()

    def close(self) -> None:
        self.sock.close()

    def gone(self) -> None:
        super().gone()
        self.notify()


class Server:
    """Serves a service; `meet` is what trio.serve_listeners() takes. nursery: of second tasks."""

    def __init__(self, task: Serve, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._woken = trio.Event()
        self.hub = connection.hub_of(task, self, trio.current_time())

    async def meet(self, stream: Stream) -> None:
        """Serve one connection to its end."""
        conn = Connection(self.hub, stream)
        async with stream:
            self.hub.admit(conn)
            await self._see_to(conn)
            while conn.state is not State.GONE:
                if conn.reads:
                    await self._read(conn)
                else:
                    await conn.changed.wait()

    async def _read(self, conn: Connection) -> None:
        try:
            data = await conn.stream.receive_some(RECV_SIZE)
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
            await conn.stream.send_all(data)
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
            self._woken = trio.Event()
            dirty, self.hub.dirty = self.hub.dirty, []
            for conn in cast(list[Connection], dirty):
                if not conn.second:
                    conn.second = True
                    self._nursery.start_soon(self._talk, conn)
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
            await trio.sleep(self.hub.tick(trio.current_time()))

    async def drain(self, timeout: float) -> None:
        """Treat every peer as having finished sending; after `timeout` s, reset who is left."""
        self.hub.drain()
        await trio.sleep(timeout)
        self.hub.end()


def _cause(error: Exception) -> Exception:
    """What the kernel said, where it did."""
    return error.__cause__ if isinstance(error.__cause__, OSError) else error


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
