"""A task for each connection, as libraries of structured concurrency have it: trio and anyio.

What a peer gets in answer is sent by its own task. Who is talked to by others has a second one,
from the first time on: a task that waits for one who does not read must not be that of another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol, cast

from aionet.command import Serve
from aionet.core import Hub, State, Todo
from aionet.sockets import RECV_SIZE
from compare.contenders import connection


class Library(Protocol):
    """What trio and anyio have alike."""

    def Event(self) -> Any: ...  # noqa: N802

    def current_time(self) -> float: ...

    def sleep(self, seconds: float, /) -> Awaitable[object]: ...


class Connection(connection.Connection):
    """receive, send: of its stream. sending: a task does; what another one has is left to that.

    second: it has a second task. changed: set, and replaced, when one of the two has something to
    tell the other.
    """

    __slots__ = ("_event", "changed", "receive", "second", "send", "sending")

    def __init__(
        self,
        hub: Hub,
        sock: Any,
        event: Callable[[], Any],
        receive: Callable[[int], Awaitable[bytes]],
        send: Callable[[bytes], Awaitable[None]],
    ) -> None:
        super().__init__(hub, sock)
        self.receive = receive
        self.send = send
        self.sending = self.second = False
        self._event = event
        self.changed = event()

    def notify(self) -> None:
        self.changed.set()
        self.changed = self._event()

    def gone(self) -> None:
        super().gone()
        self.notify()


class Server:
    """Serves a service. start_soon: begins a second task. gone: what is raised of a lost peer.

    ended: what is raised where a peer has finished sending, in the place of no bytes.
    """

    def __init__(
        self,
        task: Serve,
        library: Library,
        start_soon: Callable[..., object],
        gone: tuple[type[Exception], ...],
        ended: tuple[type[Exception], ...] = (),
    ) -> None:
        self._library = library
        self._start_soon = start_soon
        self._gone = gone
        self._ended = ended
        self._woken = library.Event()
        self.hub = connection.hub_of(task, self, library.current_time())

    async def serve(self, conn: Connection) -> None:
        """One connection, to its end."""
        self.hub.admit(conn)
        await self._see_to(conn)
        while conn.state is not State.GONE:
            if conn.reads:
                await self._read(conn)
            else:
                await conn.changed.wait()

    async def _read(self, conn: Connection) -> None:
        try:
            data = await conn.receive(RECV_SIZE)
        except self._ended:
            data = b""
        except self._gone as error:
            self.hub.lost(conn, _cause(error))
            return
        while conn.sending:  # the second task: what others have said goes first
            await conn.changed.wait()
        if not data:
            self.hub.receive_eof(conn)
        elif out := self.hub.receive_data(conn, data):
            await self._send(conn, out)
        await self._see_to(conn)

    async def _send(self, conn: Connection, data: bytes) -> None:
        """Send all of it. Nothing is read meanwhile: who does not read is not listened to."""
        conn.sending = True
        try:
            await conn.send(data)
            self.hub.sent(conn, 0)
        except self._gone as error:
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
            self._woken = self._library.Event()
            dirty, self.hub.dirty = self.hub.dirty, []
            for conn in cast(list[Connection], dirty):
                if not conn.second:
                    conn.second = True
                    self._start_soon(self._talk, conn)
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
            await self._library.sleep(self.hub.tick(self._library.current_time()))

    async def drain(self, timeout: float) -> None:
        """Treat every peer as having finished sending; after `timeout` s, reset who is left."""
        self.hub.drain()
        await self._library.sleep(timeout)
        self.hub.end()


def _cause(error: Exception) -> Exception:
    """What the kernel said, where it did."""
    return error.__cause__ if isinstance(error.__cause__, OSError) else error
