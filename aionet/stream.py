"""A coroutine for each connection: read and write in order, under the same limits."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING, Any

from aionet.connection import Connection
from aionet.limits import CloseReason
from aionet.protocol import Deliveries
from aionet.sockets import RECV_SIZE

if TYPE_CHECKING:
    from aionet.connections import Connections

log = logging.getLogger("aionet")

Handler = Callable[["Stream"], Awaitable[None]]


class ClosedStreamError(Exception):
    """The stream was used after it was closed here: a mistake of the program."""


class BrokenStreamError(Exception):
    """The peer is gone, or was dropped: `reason` says which. No mistake of the program."""

    def __init__(self, reason: CloseReason) -> None:
        super().__init__(f"the connection is gone ({reason})")
        self.reason = reason


class Stream:
    """One peer, as a handler sees it. One task may receive while another sends.

    Its errors are trio's: what the peer or a limit did raises BrokenStreamError, also from a
    call that is waiting; a mistake of the program raises ClosedStreamError or RuntimeError.
    A handler need not catch BrokenStreamError: it ends the handler, and nothing is logged.
    """

    def __init__(self, conn: StreamConnection, limit: int) -> None:
        self._conn = conn
        self._limit = limit
        self._buffer = bytearray()
        self._searched = 0  # of the buffer, for the end of a line
        self._lines = 0
        self._ended = False  # the peer has finished sending
        self._closed = False
        self._broken: CloseReason | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._in_line = False

    @property
    def address(self) -> Any:
        """The peer's address as the socket gives it."""
        return self._conn.address

    def get_extra_info(self, name: str) -> Any:
        """As asyncio's transports: "peername", "sockname", "socket", "ssl_object", ..."""
        return self._conn.get_extra_info(name)

    # Receive.

    async def receive(self, max_bytes: int = RECV_SIZE) -> bytes:
        """At least one byte and at most `max_bytes`; b"" once the peer has finished sending."""
        self._check_receiving()
        while not self._buffer:
            if not await self._more():
                return b""
        data = bytes(self._buffer[:max_bytes])
        self._take(len(data))
        return data

    async def receive_line(self) -> bytes | None:
        """The next line without its end; None once the peer has finished sending.

        LF ends a line and a CR before it is dropped; what stands after the last LF is a line,
        too. A line over Limits.message ends the connection: BrokenStreamError, `oversize`.
        """
        self._check_receiving()
        self._in_line = True
        try:
            while True:
                end = self._buffer.find(b"\n", self._searched)
                length = (end if end >= 0 else len(self._buffer)) - self._ends_in_cr(end)
                self._hold_to_limit(length)
                if end >= 0:
                    break
                self._searched = len(self._buffer)
                if not await self._more():
                    if not self._buffer:
                        return None
                    end = length = len(self._buffer)  # a CR at the very end was no line end
                    self._hold_to_limit(length)
                    break
        finally:
            self._in_line = False
        line = bytes(self._buffer[:length])
        self._take(end + 1)
        self._lines += 1
        return line

    def _hold_to_limit(self, length: int) -> None:
        if length > self._limit:
            self._conn.finish(CloseReason.OVERSIZE)
            raise BrokenStreamError(CloseReason.OVERSIZE)

    def _ends_in_cr(self, end: int) -> bool:
        return self._buffer.endswith(b"\r", 0, end if end >= 0 else len(self._buffer))

    async def lines(self) -> AsyncIterator[bytes]:
        """Every line, as `receive_line` gives them."""
        while (line := await self.receive_line()) is not None:
            yield line

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> bytes:
        """What comes, in arbitrary pieces: `async for data in stream`."""
        if data := await self.receive():
            return data
        raise StopAsyncIteration

    async def _more(self) -> bool:
        """Wait until more has come; False if nothing will."""
        self._check_receiving()
        if self._ended:
            return False
        if self._arrival is not None:
            raise RuntimeError("another task is receiving from this stream")
        self._conn.listen()  # whatever there is, it does not suffice
        self._arrival = asyncio.get_running_loop().create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None
        self._check_receiving()
        return True

    def _take(self, size: int) -> None:
        del self._buffer[:size]
        self._searched = 0
        if len(self._buffer) < RECV_SIZE:
            self._conn.listen()

    # Send.

    async def send_all(self, data: bytes) -> None:
        """Send all of `data`; waits while the peer has not read what was sent before."""
        self._check()
        self._conn.send(data)
        if self._conn.paused:
            if self._room is None:
                self._room = asyncio.get_running_loop().create_future()
            await asyncio.shield(self._room)
            self._check()

    def close(self) -> None:
        """Close once all is sent. It may be called twice; the end of the handler does it, too."""
        if not self._closed:
            self._closed = True
            _wake(self._arrival)
            self.writable()
            if self._broken is None:
                self._conn.finish(CloseReason.DONE)

    def _check(self) -> None:
        if self._closed:
            raise ClosedStreamError("the stream was closed by this program")
        if self._broken is not None:
            raise BrokenStreamError(self._broken)

    def _check_receiving(self) -> None:
        # What a peer had sent when it finished is still there, whatever became of it since.
        if self._closed or not self._ended or self._broken is CloseReason.OVERSIZE:
            self._check()

    # What the connection tells.

    @property
    def unfinished(self) -> int | None:
        """The line that has begun and for whose end the handler waits."""
        return self._lines if self._in_line and self._buffer else None

    def feed(self, data: bytes) -> int:
        """Keep `data`; the number of bytes not taken yet."""
        self._buffer += data
        _wake(self._arrival)
        return len(self._buffer)

    def feed_eof(self) -> None:
        self._ended = True
        _wake(self._arrival)

    def writable(self) -> None:
        _wake(self._room)
        self._room = None

    def broken(self, reason: CloseReason) -> None:
        self._broken = self._broken or reason
        _wake(self._arrival)
        self.writable()


def _wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)


def _tells_only_of_broken_streams(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):  # of tasks, one of which receives and one sends
        return error.split(BrokenStreamError)[1] is None
    return isinstance(error, BrokenStreamError)


class StreamConnection(Connection):
    """A connection whose peer is served by a coroutine of its own."""

    __slots__ = ("_full", "_stream")

    def __init__(self, connections: Connections) -> None:
        super().__init__(connections)
        self._full = False  # the handler has enough to read
        self._stream = Stream(self, connections.limits.message)

    def serve(self, transport: asyncio.Transport) -> None:
        super().serve(transport)
        task = self._all.loop.create_task(self._run(self._all.service.handler))
        self._all.tasks.add(task)
        task.add_done_callback(self._all.tasks.discard)

    async def _run(self, handler: Handler) -> None:
        stream = self._stream
        try:
            await handler(stream)
        except asyncio.CancelledError:
            if self.index >= 0:
                self.drop(CloseReason.DRAIN)
            return
        except Exception as error:
            if not _tells_only_of_broken_streams(error):
                self.fail()
        if self.index >= 0 and not self.closing:
            stream.close()

    def fail(self) -> None:
        if self.index < 0 or self.closing:
            log.exception("the handler failed; its connection had ended already")
            return
        log.exception("the handler failed; the connection is reset")
        self.drop(CloseReason.ERROR)

    def data_received(self, data: bytes) -> None:
        if self.closing:
            return
        if self.eof:
            self.keep_early(data)
            return
        self.seen = self._all.now
        if self._stream.feed(data) >= RECV_SIZE:
            self._full = True
            self._transport.pause_reading()

    def listen(self) -> None:
        """The handler has taken what there was, or needs more than that."""
        if self._full and not self.closing:
            self._full = False
            if not self.eof:
                self._transport.resume_reading()

    def eof_received(self) -> bool:
        more = super().eof_received()
        self._stream.feed_eof()
        return more

    def send(self, data: bytes) -> None:
        self.seen = self._all.now
        self._transport.write(data)

    def pause_writing(self) -> None:
        self.paused = True  # reading is the handler's business

    def resume_writing(self) -> None:
        self.paused = False
        self._stuck = None
        self._stream.writable()

    def _end(self, reason: CloseReason) -> None:
        super()._end(reason)
        if reason is not CloseReason.DONE:
            self._stream.broken(reason)

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._stream.broken(self.reason or CloseReason.RESET)

    @property
    def unfinished(self) -> int | None:
        return self._stream.unfinished


class Handlers:
    """A coroutine function as the service behind StreamConnections."""

    def __init__(self, handler: Handler) -> None:
        self.handler = handler

    def connect(self, peer: StreamConnection) -> Deliveries:
        return ()

    def receive_data(self, peer: StreamConnection, data: bytes) -> Deliveries:
        return ()  # the stream has them

    def receive_eof(self, peer: StreamConnection) -> Deliveries:
        return ()

    def unfinished(self, peer: StreamConnection) -> int | None:
        return peer.unfinished


def shell_of(service: Any) -> tuple[Any, type[Connection]]:
    """The service to ask, and what kind of connection it wants.

    A sans-I/O service is known by its `receive_data`; what can only be called is a handler.
    """
    if hasattr(service, "receive_data"):
        return service, Connection
    if not callable(service):
        raise ValueError(f"{service!r} is neither a service, with receive_data(), nor a handler")
    return Handlers(service), StreamConnection
