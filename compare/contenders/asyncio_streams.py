"""asyncio's streams: python -m compare.contenders.asyncio_streams serve {echo|chat} --loop LOOP

The API that most asyncio programs use, as its documentation teaches it. Reading and writing are
coroutines, so that a task and a buffer of its own stand between each connection and the loop: that
is what it costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING

from aionet.command import (
    USAGE,
    Chat,
    Serve,
    announce,
    context_or_exit,
    fail,
    listen_or_exit,
    log_to_stderr,
    parse,
)
from aionet.core import Hub, State, Todo
from aionet.loops import LOOPS, LoopError, keep_read_buffers, loop_factory
from aionet.sockets import BACKLOG, RECV_SIZE, address_of
from compare.contenders import SETTINGS, check, connection, on_a_loop

if TYPE_CHECKING:
    from ssl import SSLContext


class Connection(connection.Connection):
    """Two streams. changed: set when its task may go on. flushing: while it is full."""

    __slots__ = ("changed", "flushing", "reader", "writer")

    def __init__(
        self, hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        super().__init__(hub, writer.get_extra_info("socket"))
        self.reader = reader
        self.writer = writer
        writer.transport.set_write_buffer_limits(high=hub.limits.write_buffer)
        self.changed = asyncio.Event()
        self.flushing: asyncio.Task[None] | None = None

    def unacked(self) -> int:
        return super().unacked() + self.writer.transport.get_write_buffer_size()

    def settle(self) -> None:
        """Write what there is, and do what is to be done."""
        while self.dirty:
            self.dirty = False
            if data := self.hub.take(self):
                self.write(data)
            todo = self.pop_todo()
            # asyncio's TLS knows no half-close; a transport of its that is closed twice is broken.
            ends = todo is Todo.SHUT_WR and not self.writer.can_write_eof()
            if todo is Todo.CLOSE or ends:
                if not self.writer.is_closing():
                    self.writer.close()
            elif todo is Todo.SHUT_WR:
                with contextlib.suppress(OSError):  # it is gone, which reading tells
                    self.writer.write_eof()
            elif todo is not None:
                self.do(todo)
            self.changed.set()

    def write(self, data: bytes) -> None:
        if self.writer.is_closing():
            return
        self.writer.write(data)
        unsent = self.writer.transport.get_write_buffer_size()
        is_full = unsent > self.hub.limits.write_buffer
        self.hub.sent(self, unsent if is_full else 0)
        if is_full and self.flushing is None:
            self.flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        """Tell the hub when enough has gone, also while the connection's own task reads."""
        with contextlib.suppress(OSError):
            await self.writer.drain()
        self.flushing = None
        self.hub.sent(self, 0)
        self.settle()

    def close(self) -> None:
        self.writer.transport.abort()

    def gone(self) -> None:
        super().gone()
        self.changed.set()


class Server(on_a_loop.Server):
    """Serves a service; `meet` is what asyncio.start_server() takes."""

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection to its end."""
        conn = Connection(self.hub, reader, writer)
        self.hub.admit(conn)
        conn.settle()
        while conn.state is not State.GONE:
            if conn.reads:
                await self._read(conn)
            elif writer.is_closing():
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
                self.hub.lost(conn, None)
            else:
                conn.changed.clear()
                await conn.changed.wait()

    async def _read(self, conn: Connection) -> None:
        try:
            data = await conn.reader.read(RECV_SIZE)
            if not data:
                self.hub.receive_eof(conn)
            elif out := self.hub.receive_data(conn, data):
                conn.write(out)
                await conn.writer.drain()
        except OSError as error:  # a reset ends its own conversation and nothing else
            self.hub.lost(conn, error)
        conn.settle()


async def serve(task: Serve, sock: socket.socket, tls: SSLContext | None) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT; a second one ends at once."""
    peers = Server(task)
    server = await asyncio.start_server(peers.meet, sock=sock, backlog=BACKLOG, ssl=tls)
    await on_a_loop.signalled(lambda: announce([address_of(sock)]))
    server.close()
    await peers.drain()


def main(argv: list[str]) -> None:
    task = parse(
        "compare.contenders.asyncio_streams",
        argv,
        option="loop",
        choices=list(LOOPS),
        option_help="the event loop",
        named="MODULE:FACTORY",
        settings=SETTINGS,
    )
    log_to_stderr()
    if isinstance(task, Chat):
        fail("there is one client for all: python -m aionet chat")
    if task.datagrams:
        fail("asyncio has no streams for datagrams: python -m aionet serve udp-echo")
    check(task)
    try:
        factory = loop_factory(task.option)
    except ImportError as error:
        fail(str(error))
    except ValueError as error:
        fail(str(error), status=USAGE)
    tls = context_or_exit(task)
    sock = listen_or_exit(task.addresses[0], write_timeout=task.timeouts.write)
    keep_read_buffers()
    with asyncio.Runner(loop_factory=factory) as runner:
        try:
            runner.get_loop()
        except LoopError as error:
            fail(str(error))
        runner.run(serve(task, sock, tls))


if __name__ == "__main__":
    main(sys.argv[1:])
