"""Tornado: a coroutine for each connection, on an IOStream over asyncio's loop.

As its page on TCPServer has it, but by read_bytes(partial=True) instead of by lines, so that any
bytes are echoed. An IOStream knows no half-close: the peer's end is the end of both directions,
and what was not sent until then is dropped, so that nothing is read before it is.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpserver import TCPServer

from aionet.command import Serve
from aionet.core import Hub, State, Todo
from aionet.sockets import RECV_SIZE
from compare.contenders import connection, on_a_loop

if TYPE_CHECKING:
    from ssl import SSLContext


class Connection(connection.Connection):
    """An IOStream, and how much of what was written to it has not gone.

    changed: set when its coroutine may go on.
    """

    __slots__ = ("changed", "stream", "unsent")

    def __init__(self, hub: Hub, stream: IOStream) -> None:
        super().__init__(hub, stream.socket)
        self.stream = stream
        self.unsent = 0
        self.changed = asyncio.Event()

    def unacked(self) -> int:
        return super().unacked() + self.unsent

    def settle(self) -> None:
        """Write what there is, and do what is to be done."""
        while self.dirty:
            self.dirty = False
            if data := self.hub.take(self):
                self.write(data)
            if not self._has_more() and (todo := self.pop_todo()) is not None:
                if todo is Todo.CLOSE:
                    self.stream.close()
                    self.hub.lost(self, None)
                else:
                    self.do(todo)
            self.changed.set()

    def _has_more(self) -> bool:
        """Whether anything is to be written: when not, an IOStream looks for the peer's end.

        So that also to stop reading has to wait, which for others it has not.
        """
        if self.outbox or self.unsent:
            return True
        extra = self.extra
        return extra is not None and (extra.rest is not None or extra.paused)

    def write(self, data: bytes) -> None:
        if self.stream.closed():
            return
        written = self.stream.write(data)
        if not written.done():
            self.unsent += len(data)
            written.add_done_callback(lambda _: self._written(len(data)))
        self.hub.sent(self, self.unsent)

    def _written(self, size: int) -> None:
        self.unsent -= size
        self.hub.sent(self, self.unsent)
        if not self.unsent:
            self.dirty = True  # something may have waited for this
        self.settle()

    def close(self) -> None:
        self.stream.close()

    def gone(self) -> None:
        super().gone()
        self.changed.set()


class Server(TCPServer):
    """Serves a service."""

    def __init__(self, task: Serve, tls: SSLContext | None) -> None:
        super().__init__(
            ssl_options=tls,
            max_buffer_size=RECV_SIZE,
            read_chunk_size=RECV_SIZE,
        )
        self.shell = on_a_loop.Server(task)

    async def handle_stream(self, stream: IOStream, address: tuple[str, int]) -> None:
        """Serve one connection to its end."""
        hub = self.shell.hub
        conn = Connection(hub, stream)
        hub.admit(conn)
        conn.settle()
        while conn.state is not State.GONE:
            if conn.reads and not conn.unsent:
                try:
                    data = await stream.read_bytes(RECV_SIZE, partial=True)
                except StreamClosedError:
                    hub.lost(conn, stream.error)
                    break
                if out := hub.receive_data(conn, data):
                    conn.write(out)
                conn.settle()
            else:
                conn.changed.clear()
                await conn.changed.wait()
        stream.close()


async def _serve(
    task: Serve, sock: socket.socket, ready: Callable[[], None], tls: SSLContext | None
) -> None:
    server = Server(task, tls)
    sock.setblocking(False)
    server.add_socket(sock)
    await on_a_loop.signalled(ready)
    server.stop()
    await server.shell.drain()


def serve(
    task: Serve, sock: socket.socket, ready: Callable[[], None], tls: SSLContext | None
) -> None:
    asyncio.run(_serve(task, sock, ready, tls))
