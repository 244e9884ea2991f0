"""rloop: an asyncio.Protocol for each connection, on an event loop in Rust.

As asyncio's page on protocols has it, with the loop that rloop's own page says to use, and with
what asyncio documents for a peer that does not read: it is not listened to until it has.
rloop 0.5 closes no socket when it is told to, neither when eof_received() returns False, nor on
close() or abort(): it collects what was closed, and closes many at a time. So we shut it before,
which its peer sees; but up to some hundreds of descriptors stay open meanwhile, and a reset
comes late. For the hub a connection has ended when we close it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import rloop

from aionet.command import Serve
from aionet.core import State, Todo
from aionet.loops import keep_read_buffers
from aionet.sockets import borrowed
from compare.contenders import connection, on_a_loop
from compare.contenders.answers import Answers

LOOK_S = 0.01  # between two looks whether all is sent


class Connection(connection.Connection, asyncio.Protocol):
    """One connection.

    _came: data, and b"" for its end. rloop 0.5 reads on until the kernel has no more, also when
    told not to. _full: the transport's buffer is, and the hub keeps what else there is.
    """

    __slots__ = ("_came", "_full", "_transport")

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=self.hub.limits.write_buffer)
        self._came: deque[bytes] = deque()
        self._full = False
        self.sock = transport.get_extra_info("socket")
        self.hub.admit(self)
        self.settle()

    def data_received(self, data: bytes) -> None:
        self._came.append(data)
        self.settle()

    def eof_received(self) -> bool:
        self._came.append(b"")
        self.settle()
        return True  # when to close is not the loop's affair

    def settle(self) -> None:
        """Hear what has come, write what there is, and do what is to be done."""
        while self.dirty or (self._came and self.reads):
            if self.dirty:
                self._see_to()
            elif not (data := self._came.popleft()):
                self.hub.receive_eof(self)
            elif out := self.hub.receive_data(self, data):
                self._write(out)

    def _see_to(self) -> None:
        self.dirty = False
        if not self._full and (data := self.hub.take(self)):
            self._write(data)
        todo = self.pop_todo(self._full)
        if todo is Todo.CLOSE:
            self._end()
        elif todo is Todo.SHUT_WR:
            with contextlib.suppress(OSError):  # it is gone, which reading tells
                self._transport.write_eof()
        elif todo is not None:
            self.do(todo)
        if self.reads is not self._transport.is_reading() and not self._transport.is_closing():
            if self.reads:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _write(self, data: bytes) -> None:
        self._transport.write(data)
        if not self._full:
            self.hub.sent(self, 0)

    def pause_writing(self) -> None:
        """Within write(), where rloop 0.5 ends the process if it is asked how much there is."""
        self._full = True
        self.hub.sent(self, self.hub.limits.write_buffer + 1)

    def resume_writing(self) -> None:
        self._full = False
        self.hub.sent(self, 0)
        self.dirty = True  # something may have waited for this
        self.settle()

    def connection_lost(self, exc: Exception | None) -> None:
        self.hub.lost(self, exc)

    def unacked(self) -> int:
        return super().unacked() + self._transport.get_write_buffer_size()

    def _end(self) -> None:
        """Close it after the last byte; rloop 0.5 tells nobody that this has gone."""
        if self._transport.get_write_buffer_size() and self.state is not State.GONE:
            asyncio.get_running_loop().call_later(LOOK_S, self._end)
            return
        if self.state is not State.GONE:
            self._shut()
            self._transport.close()
            self.hub.lost(self, None)

    def close(self) -> None:
        self._shut()
        self._transport.abort()

    def _shut(self) -> None:
        """The peer is to see the end now, not when rloop 0.5 gets to close the socket."""
        if self.sock.fileno() >= 0:
            # The peer may be gone already.
            with contextlib.suppress(OSError), borrowed(self.sock) as sock:
                sock.shutdown(socket.SHUT_RDWR)


class Datagrams(asyncio.DatagramProtocol):
    """Answers on `sock`, whoever there is no way to.

    rloop 0.5 ends an endpoint, and closes its socket, when the kernel does not take a datagram. So
    each endpoint has a duplicate of the socket, and another one follows it.
    """

    def __init__(self, answers: Answers, sock: socket.socket) -> None:
        self._answers = answers
        self._sock = sock
        self._opening: asyncio.Task[Any] | None = None

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(lambda: self, sock=self._sock.dup())

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        for peer, reply in self._answers.to(addr, data):
            if not self._transport.is_closing():
                self._transport.sendto(reply, peer)
            else:  # what was read together with that one
                with contextlib.suppress(OSError):
                    self._sock.sendto(reply, peer)

    def connection_lost(self, exc: Exception | None) -> None:
        self._opening = asyncio.get_running_loop().create_task(self.open())


async def _serve(task: Serve, sock: socket.socket, ready: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    if task.datagrams:
        await Datagrams(Answers(task, sock), sock).open()
        await on_a_loop.signalled(ready)
        return
    peers = on_a_loop.Server(task)
    server = await loop.create_server(lambda: Connection(peers.hub), sock=sock)
    await on_a_loop.signalled(ready)
    await peers.drain()  # which resets newcomers
    server.close()  # not before: rloop 0.5 cuts all connections by it


def serve(task: Serve, sock: socket.socket, ready: Callable[[], None], tls: None) -> None:
    sock.setblocking(False)
    keep_read_buffers()  # without it an echo costs three times as much, by the size of its reads
    with asyncio.Runner(loop_factory=rloop.new_event_loop) as runner:
        runner.run(_serve(task, sock, ready))
