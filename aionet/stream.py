"""One peer, as a coroutine sees it: read and write in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from aionet.limits import CloseReason
from aionet.sockets import RECV_SIZE

if TYPE_CHECKING:
    from aionet.handlers import StreamConnection

TURN = 64  # sends, or lines, in a row; then others have their turn
LOW = RECV_SIZE // 2  # bytes that a handler has not taken, below which there is room for more


class ClosedStreamError(Exception):
    """The stream was used after it was closed here: a mistake of the program."""


class BrokenStreamError(ConnectionError):
    """The peer of `stream` is gone, or was dropped: `reason` says which. No mistake of the program.

    An OSError, as what asyncio's streams raise.
    """

    def __init__(self, reason: CloseReason, stream: Stream | None = None) -> None:
        address = stream.address if stream is not None else None
        who = f" to {address}" if address is not None else ""
        super().__init__(f"the connection{who} is gone ({reason})")
        self.reason = reason
        self.stream = stream


class Stream:
    """One peer, as a handler sees it. One task receives; any number may send, also other tasks.

    Its errors are trio's: what the peer or a limit did raises BrokenStreamError, also from a
    call that is waiting; a mistake of the program raises ClosedStreamError or RuntimeError.
    A handler need not catch BrokenStreamError of its own stream: it ends the handler, and nothing
    is logged. A handler that waits for something else when its peer goes is cancelled.
    """

    def __init__(self, conn: StreamConnection, limit: int) -> None:
        self._conn = conn
        self._limit = limit
        self._buffer: bytes | bytearray = b""
        self._searched = 0  # of the buffer, for the end of a line
        self._lines = 0
        self._turn = 0  # calls in a row that had not to wait
        self._ended = False  # the peer has finished sending
        self.closed = False
        self._broken: CloseReason | None = None
        self._arrival: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._in_line = False

    @property
    def address(self) -> Any:
        """The peer's address as the socket gives it; None of who had gone before it was asked."""
        return self._conn.address

    @property
    def draining(self) -> asyncio.Event:
        """Set when the server begins to stop: whoever only sends had better come to an end."""
        return self._conn.connections.draining

    def get_extra_info(self, name: str) -> Any:
        """As asyncio's transports: "peername", "sockname", "socket", "ssl_object", ..."""
        return self._conn.get_extra_info(name)

    # Receive.

    async def receive(self, max_bytes: int = RECV_SIZE) -> bytes:
        """At least one byte and at most `max_bytes`; b"" once the peer has finished sending.

        Raises ValueError for less than one byte.
        """
        if max_bytes < 1:
            raise ValueError(f"max_bytes is {max_bytes}; it must be at least 1")
        self._check_receiving()
        if self._in_line:
            raise RuntimeError("another task is receiving from this stream")
        if self._buffer:
            await self._take_turns()
        while not self._buffer:
            if not await self._more():
                return b""
        buffer = self._buffer
        if len(buffer) <= max_bytes:
            self._buffer, self._searched = b"", 0
            self._conn.listen()
            return bytes(buffer)
        return self._cut(max_bytes, max_bytes)

    async def receive_line(self) -> bytes | None:
        """The next line without its end; None once the peer has finished sending.

        LF ends a line and a CR before it is dropped; what stands after the last LF is a line,
        too. A line over Limits.message ends the connection: BrokenStreamError, `oversize`.
        """
        self._check_receiving()
        if self._in_line or self._arrival is not None:
            raise RuntimeError("another task is receiving from this stream")
        await self._take_turns()
        self._in_line = True
        try:
            while True:
                buffer = self._buffer
                end = buffer.find(b"\n", self._searched)
                if end >= 0:
                    length = end - (end > 0 and buffer[end - 1] == 13)  # a CR
                    self._hold_to_limit(length)
                    break
                length = len(buffer)
                self._hold_to_limit(length - buffer.endswith(b"\r"))
                self._searched = length
                if buffer:
                    self._conn.expect(self._lines)
                if not await self._more():
                    if not self._buffer:
                        return None
                    end = length = len(self._buffer)  # a CR at the very end was no line end
                    self._hold_to_limit(length)
                    break
        finally:
            self._in_line = False
            self._conn.expect(None)
        self._lines += 1
        return self._cut(length, end + 1)

    def _hold_to_limit(self, length: int) -> None:
        if length > self._limit:
            self._conn.close(CloseReason.OVERSIZE)
            self.broken(CloseReason.OVERSIZE)
            raise BrokenStreamError(CloseReason.OVERSIZE, self)

    def _cut(self, length: int, size: int) -> bytes:
        """The first `length` bytes; `size` leave the buffer."""
        buffer = self._buffer
        if not isinstance(buffer, bytearray):
            self._buffer = buffer = bytearray(buffer)  # which forgets its beginning at no cost
        data = bytes(memoryview(buffer)[:length])
        del buffer[:size]
        self._searched = 0
        if len(buffer) < LOW:
            self._conn.listen()
        return data

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
        self._turn = 0
        self._arrival = self._conn.connections.loop.create_future()
        try:
            await self._arrival
        finally:
            self._arrival = None
        self._check_receiving()
        return True

    async def _take_turns(self) -> None:
        """Who always finds something to do lets others do something now and then."""
        self._turn += 1
        if self._turn >= TURN:
            self._turn = 0
            await asyncio.sleep(0)
            self._check_receiving()

    # Send.

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send all of `data`; waits while the peer has not read what was sent before.

        What several tasks send is never mixed. `data` may be changed afterwards.
        """
        self._check()
        if data.__class__ is not bytes:
            data = bytes(data)
        conn = self._conn
        if conn.is_full:  # another task waits for the same
            await self._wait_for_room()
        if not conn.send(data):
            raise BrokenStreamError(conn.reason or CloseReason.RESET, self)
        if conn.is_full:
            await self._wait_for_room()
        else:
            self._turn += 1
            if self._turn >= TURN:
                self._turn = 0
                await asyncio.sleep(0)
                self._check()

    async def _wait_for_room(self) -> None:
        self._turn = 0
        self._check()
        while self._conn.is_full:
            if self._room is None:
                self._room = self._conn.connections.loop.create_future()
            await asyncio.shield(self._room)
            self._check()

    def close(self) -> None:
        """Close once all is sent. It may be called twice; the end of the handler does it, too."""
        if not self.closed and self._broken is None:
            self.closed = True
            _wake(self._arrival)
            self.writable()
            self._conn.close(CloseReason.DONE)

    def _check(self) -> None:
        if self.closed:
            raise ClosedStreamError("the stream was closed by this program")
        if self._broken is not None:
            raise BrokenStreamError(self._broken, self)

    def _check_receiving(self) -> None:
        # What a peer had sent when it finished is still there, whatever became of it since.
        if self.closed or not self._ended or self._broken is CloseReason.OVERSIZE:
            self._check()

    # What the connection tells.

    @property
    def waits(self) -> bool:
        """Whether a task waits in a call of this stream."""
        return self._arrival is not None or self._room is not None

    def feed(self, data: bytes) -> int:
        """Keep `data`; the number of bytes not taken yet."""
        if not self._buffer:
            self._buffer = data
        else:
            if not isinstance(self._buffer, bytearray):
                self._buffer = bytearray(self._buffer)
            self._buffer += data
        if self._arrival is not None:
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
