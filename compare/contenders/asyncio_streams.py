"""asyncio's streams: python -m compare.contenders.asyncio_streams serve {echo|chat} --loop LOOP

The API that most asyncio programs use, as its documentation teaches it. Reading and writing are
coroutines, so that a task and a buffer of its own stand between each connection and the loop: that
is what it costs.
"""

from __future__ import annotations

import asyncio
import signal
import socket
import sys
from typing import Any

from aionet.command import Chat, Serve, announce, fail, listen_or_exit, log_to_stderr, parse
from aionet.core import Hub, Peer, State, Todo
from aionet.descriptors import descriptor_room
from aionet.limits import Limits, Timeouts
from aionet.loops import LOOPS, keep_read_buffers, loop_factory
from aionet.protocol import Service
from aionet.signals import end_at_once
from aionet.sockets import BACKLOG, RECV_SIZE, address_of, set_reset_on_close, stop_reading

SETTINGS = ("message", "write_buffer", "outbox", "write", "drain", "linger")


class Connection(Peer):
    """One connection: its two streams. over: set when it is gone, or is read from again."""

    __slots__ = ("over", "reader", "writer")

    def __init__(self, hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        super().__init__(hub)
        self.reader = reader
        self.writer = writer
        self.over = asyncio.Event()

    @property
    def address(self) -> Any:
        return self.writer.get_extra_info("peername")

    def unacked(self) -> int:
        return self.writer.transport.get_write_buffer_size()

    def gone(self) -> None:
        self.over.set()

    def settle(self) -> None:
        """Write what there is, and do what is to be done."""
        while self.dirty:
            self.dirty = False
            data = self.hub.take(self)
            if data and not self.writer.is_closing():
                self.writer.write(data)
                self.hub.sent(self, self.unacked())
            if (todo := self.todo) is not None:
                self.todo = None
                self._do(todo)
            if self.reads:
                self.over.set()

    def _do(self, todo: Todo) -> None:
        sock = self.writer.get_extra_info("socket")
        if self.writer.is_closing() or sock.fileno() < 0:
            return
        if todo is Todo.CLOSE:
            self.writer.close()
        elif todo is Todo.SHUT_WR:
            self.writer.write_eof()
        elif todo is Todo.RESET:
            set_reset_on_close(sock)
            self.writer.transport.abort()
        else:  # uvloop's stand-in for a socket cannot shut down
            duplicate = socket.socket(fileno=sock.fileno())
            try:
                stop_reading(duplicate)
            finally:
                duplicate.detach()


class StreamServer:
    """Serves `service`: `meet` is what asyncio.start_server() takes."""

    def __init__(self, service: Service, limits: Limits, timeouts: Timeouts) -> None:
        self._loop = asyncio.get_running_loop()
        self._timeouts = timeouts
        self._tasks: set[asyncio.Task[Any]] = set()
        places = limits.connections or descriptor_room()
        self._hub = Hub(service, limits, timeouts, self, places=places, now=self._loop.time())
        self._tick()

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        hub, conn = self._hub, Connection(self._hub, reader, writer)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        hub.admit(conn)
        conn.settle()
        while conn.state is not State.GONE:
            try:
                if conn.reads:
                    data = await reader.read(RECV_SIZE)
                    if not data:
                        hub.receive_eof(conn)
                    elif out := hub.receive_data(conn, data):
                        writer.write(out)
                        await writer.drain()
                    conn.settle()
                    if writer.is_closing():
                        await writer.wait_closed()
                        hub.lost(conn, None)
                elif conn.state is State.OPEN:
                    await writer.drain()
                    hub.sent(conn, conn.unacked())
                    conn.settle()
                else:
                    conn.over.clear()
                    await conn.over.wait()
            except OSError as error:  # a reset ends its own conversation and nothing else
                hub.lost(conn, error)
        writer.close()
        self._tasks.discard(task)

    # What the hub wants.

    def wake(self) -> None:
        self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        dirty, self._hub.dirty = self._hub.dirty, []
        for conn in dirty:
            conn.settle()

    def accept(self, more: bool) -> None:
        """asyncio's servers accept whoever comes."""

    def _tick(self) -> None:
        self._ticking = self._loop.call_later(self._hub.tick(self._loop.time()), self._tick)

    async def drain(self) -> None:
        """Treat every peer as having finished sending; reset who is not done in time."""
        self._hub.drain()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=self._timeouts.drain)
        self._hub.end()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._ticking.cancel()


async def serve(task: Serve, sock: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT; a second one ends at once."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()

    def stop(number: signal.Signals) -> None:
        stopped.set()
        for each in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(each, end_at_once, each)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)
    peers = StreamServer(task.make_service(), task.limits, task.timeouts)
    server = await asyncio.start_server(peers.meet, sock=sock, backlog=BACKLOG)
    announce([address_of(sock)])
    await stopped.wait()
    server.close()
    await peers.drain()


def main(argv: list[str]) -> None:
    task = parse(
        "compare.contenders.asyncio_streams",
        argv,
        option="loop",
        choices=list(LOOPS),
        option_help="the event loop",
        settings=SETTINGS,
    )
    log_to_stderr()
    if isinstance(task, Chat):
        fail("there is one client for all: python -m aionet chat")
    if task.datagrams:
        fail("asyncio has no streams for datagrams: python -m aionet serve udp-echo")
    try:
        factory = loop_factory(task.option)
    except ModuleNotFoundError as error:
        fail(str(error))
    sock = listen_or_exit(task.addresses[0], write_timeout=task.timeouts.write)
    keep_read_buffers()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(serve(task, sock))


if __name__ == "__main__":
    main(sys.argv[1:])
