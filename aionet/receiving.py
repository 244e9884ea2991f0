"""The half of a stream that receives: bytes as they come, or whole messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, NoReturn, cast

from aionet.given import check_whole
from aionet.limits import CloseReason
from aionet.protocol.framing import (
    ByteOrder,
    Exactly,
    Framing,
    LengthPrefixed,
    Lines,
    OversizeError,
    Until,
    check_framing,
    length_prefixed,
)
from aionet.sockets import RECV_SIZE
from aionet.stream_errors import BrokenStreamError, ClosedStreamError, IncompleteError

if TYPE_CHECKING:
    from aionet.handlers import StreamConnection
    from aionet.stream import Stream

TURN = 64  # sends, or messages, in a row; then others have their turn
ENDS = 100  # of a stream that a program may be told; it need not know that it was told before
AGAIN_S = 0.1  # then who passes over that, too, waits, or he would keep the loop for ever
LOW = RECV_SIZE // 2  # bytes that a handler has not taken, below which there is room for more

up_to = lru_cache(length_prefixed)  # a handler asks for the same ones all the time
_prefixed = lru_cache(LengthPrefixed)
_lines = lru_cache(Lines)
_exactly = lru_cache(Exactly)
_until = lru_cache(Until)


class ReceiveHalf:
    """What has come from the peer, and how a task takes it. One task receives at a time."""

    def __init__(self, conn: StreamConnection, limit: int) -> None:
        self._conn = conn
        self._limit = limit
        self._buffer: bytes | bytearray = b""
        self._messages = 0
        self._turn = 0  # calls in a row that had not to wait
        self._ended = False  # the peer has finished sending
        self._stopped = False  # or rather the server has stopped to listen to it
        self._ends = 0  # that the program was told
        self._refused = 0  # calls since the loop last had its turn
        self._arrival: asyncio.Future[None] | None = None
        self._collecting = False  # a message, in one call
        self._in_message = False  # of several calls
        self.closed = False
        self._broken: CloseReason | None = None

    # Bytes.

    async def receive(self, max_bytes: int = RECV_SIZE) -> bytes:
        """At least one byte and at most `max_bytes`; b"" once the peer has finished sending.

        Raises ValueError for less than one byte.
        """
        if max_bytes.__class__ is not int or max_bytes < 1:
            check_whole("max_bytes", max_bytes)
        if self.closed or self._broken is not None:
            await self._refuse(self._check_receiving)
        if self._collecting:
            raise RuntimeError("another task is receiving from this stream")
        if self._buffer:
            await self._take_turns()
        while not self._buffer:
            if not await self._more():
                await self._note_end()
                return b""
        buffer = self._buffer
        if len(buffer) <= max_bytes:
            self._buffer = b""
            self._conn.listen()
            return bytes(buffer)
        return self._cut(0, max_bytes, max_bytes)

    def __aiter__(self) -> Stream:
        return cast("Stream", self)

    async def __anext__(self) -> bytes:
        """What comes, in arbitrary pieces: `async for data in stream`."""
        if data := await self.receive():
            return data
        raise StopAsyncIteration

    async def receive_exactly(self, size: int) -> bytes:
        """The next `size` bytes.

        Raises IncompleteError if the peer finishes sending before that: with what there was, which
        is b"" between two messages. It ends a handler without a word, as any BrokenStreamError.
        """
        if size == 0:
            await self._refuse(self._check_receiving)
            return b""
        data = await self.receive_message(_exactly(size))
        if data is None:
            raise self._incomplete(b"")
        return data

    # Messages.

    async def receive_message(self, framing: Framing) -> bytes | None:
        """The next message of `framing`, without what marks its end; None once there are no more.

        From its first byte on it is under Timeouts.message, which trickling does not extend. One
        over the limit ends the connection: BrokenStreamError, `oversize`. One that the peer has
        not ended when it finished sending, or when the server stopped, raises IncompleteError.
        """
        if self.closed or self._broken is not None:
            await self._refuse(self._check_receiving)
        if self._collecting or self._arrival is not None:
            raise RuntimeError("another task is receiving from this stream")
        await self._take_turns()
        self._collecting = True
        searched = 0
        try:
            while (found := framing.find(self._buffer, searched)) is None:
                searched = max(0, len(self._buffer) - framing.overlap)
                if self._buffer:
                    self._conn.expect(self._messages)
                if not await self._more():
                    if not self._buffer:
                        await self._note_end()
                        return None
                    if self._stopped or (found := framing.find_last(self._buffer)) is None:
                        partial, self._buffer = bytes(self._buffer), b""
                        raise self._incomplete(partial)
                    break
        except OversizeError:
            self._conn.close(CloseReason.OVERSIZE)
            self.broken(CloseReason.OVERSIZE)
            raise BrokenStreamError(CloseReason.OVERSIZE, cast("Stream", self)) from None
        except (AttributeError, TypeError):
            check_framing(framing)
            raise
        finally:
            self._collecting = False
            if not self._in_message:
                self._conn.expect(None)
        if not self._in_message:
            self._messages += 1
        return self._cut(*found)

    async def receive_line(self, limit: int | None = None) -> bytes | None:
        """The next line without its end; None once the peer has finished sending.

        LF ends a line and a CR before it is dropped; what stands after the last LF when the peer
        finishes sending is a line, too, but not when the server stops (IncompleteError). A line
        over the limit ends the connection: BrokenStreamError, `oversize`. limit: bytes of a line,
        without its end; Limits.message if it is not given.
        """
        return await self.receive_message(_lines(self._limit if limit is None else limit))

    async def receive_until(self, separator: bytes, limit: int | None = None) -> bytes | None:
        """What comes before the next `separator`, which is dropped; None once there is no more.

        As `receive_message`. limit: bytes before the separator; Limits.message if it is not given.
        """
        limit = self._limit if limit is None else limit
        return await self.receive_message(_until(separator, limit))

    async def receive_frame(
        self, prefix: int = 4, *, byteorder: ByteOrder = "big", limit: int | None = None
    ) -> bytes | None:
        """The next message that says in its first `prefix` bytes how many follow; None at the end.

        As `receive_message`, and the limit is looked at before anything is kept. byteorder: of the
        length; "big" is network byte order, see LengthPrefixed. limit: Limits.message if not given.
        """
        return await self.receive_message(self._length_prefixed(prefix, byteorder, limit))

    async def messages(self, framing: Framing) -> AsyncIterator[bytes]:
        """Every message, as `receive_message` gives them."""
        while (message := await self.receive_message(framing)) is not None:
            yield message

    async def lines(self, limit: int | None = None) -> AsyncIterator[bytes]:
        """Every line, as `receive_line` gives them."""
        framing = _lines(self._limit if limit is None else limit)
        while (line := await self.receive_message(framing)) is not None:
            yield line

    async def frames(
        self, prefix: int = 4, *, byteorder: ByteOrder = "big", limit: int | None = None
    ) -> AsyncIterator[bytes]:
        """Every message, as `receive_frame` gives them."""
        framing = self._length_prefixed(prefix, byteorder, limit)
        while (frame := await self.receive_message(framing)) is not None:
            yield frame

    @contextmanager
    def message(self) -> Iterator[None]:
        """Within it all that is received is one message, under Timeouts.message as one.

        For parsers of one's own: `with stream.message(): head = await stream.receive_until(...)`.
        The time begins with the first byte, not with the waiting for it.
        """
        if self._in_message:
            raise RuntimeError("this is within stream.message() already")
        self._in_message = True
        if self._buffer:
            self._conn.expect(self._messages)
        try:
            yield
        finally:
            self._in_message = False
            self._messages += 1
            self._conn.expect(None)

    # How it is done.

    def _incomplete(self, partial: bytes) -> IncompleteError:
        reason = CloseReason.DRAIN if self._stopped else CloseReason.EOF
        return IncompleteError(partial, cast("Stream", self), reason)

    def _length_prefixed(
        self, prefix: int, byteorder: ByteOrder, limit: int | None
    ) -> LengthPrefixed:
        if limit is None:
            return up_to(prefix, byteorder, self._limit)
        return _prefixed(prefix, byteorder=byteorder, limit=limit)

    def _cut(self, start: int, end: int, size: int) -> bytes:
        """The bytes from `start` to `end`; `size` leave the buffer."""
        buffer = self._buffer
        if size == len(buffer):
            self._buffer = b""
            self._conn.listen()
            return bytes(memoryview(buffer)[start:end])
        if not isinstance(buffer, bytearray):
            self._buffer = buffer = bytearray(buffer)  # which forgets its beginning at no cost
        data = bytes(memoryview(buffer)[start:end])
        del buffer[:size]
        if len(buffer) < LOW:
            self._conn.listen()
        return data

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
        self._check_after_waiting()
        self._check_receiving()
        if self._in_message and self._buffer:
            self._conn.expect(self._messages)
        return True

    async def _refuse(self, check: Callable[[], None]) -> None:
        """Raise what `check` does. Who passes over that, again and again, would keep the loop."""
        try:
            check()
        except (BrokenStreamError, ClosedStreamError) as error:
            if not self._refused:
                self._conn.connections.loop.call_soon(self._have_waited)
            self._refused += 1
            if self._refused <= ENDS:
                raise
            if self._refused > ENDS + 1:
                await asyncio.sleep(AGAIN_S)
            raise RuntimeError(
                f"{ENDS} calls in a row of a stream that is closed or broken: what they raise is "
                f"to end a loop ({error})"
            ) from error

    def _have_waited(self) -> None:
        self._refused = 0

    async def _note_end(self) -> None:
        """Who goes on and on after the end would keep a core busy for a peer that is done."""
        self._ends += 1
        if self._ends > ENDS + 1:
            await asyncio.sleep(AGAIN_S)
        if self._ends > ENDS:
            raise RuntimeError(
                f'{ENDS} calls after the peer had finished sending: what receive() gives as b"", '
                "and others as None, is to end a loop"
            )

    async def _take_turns(self) -> None:
        """Who always finds something to do lets others do something now and then."""
        self._turn += 1
        if self._turn >= TURN:
            self._turn = 0
            await asyncio.sleep(0)
            self._check_after_waiting()
            self._check_receiving()

    def _check(self) -> None:
        if self.closed:
            raise ClosedStreamError("the stream was closed by this program")
        if self._broken is not None:
            self._raise_broken(self._broken)

    def _raise_broken(self, reason: CloseReason) -> NoReturn:
        error = BrokenStreamError(reason, cast("Stream", self))
        if (why := self._conn.tls_error) is not None:
            raise error from why
        raise error

    def _check_after_waiting(self) -> None:
        """That another task has closed the stream meanwhile is no mistake."""
        if self.closed:
            raise BrokenStreamError(CloseReason.DONE, cast("Stream", self))

    def _check_receiving(self) -> None:
        # What a peer had sent when it finished is still there, whatever became of it since.
        if self.closed or not self._ended or self._broken is CloseReason.OVERSIZE:
            self._check()

    # What the connection tells.

    def feed(self, data: bytes) -> int:
        """Keep `data`; the number of bytes not taken yet."""
        if not self._buffer:
            self._buffer = data
        else:
            if not isinstance(self._buffer, bytearray):
                self._buffer = bytearray(self._buffer)
            self._buffer += data
        if self._arrival is not None:
            wake(self._arrival)
        return len(self._buffer)

    def feed_eof(self, *, cut: bool) -> None:
        """Nothing more comes. cut: since the server stops, and not as the peer has finished."""
        self._ended, self._stopped = True, cut
        wake(self._arrival)

    def broken(self, reason: CloseReason) -> None:
        self._broken = self._broken or reason
        wake(self._arrival)


def wake(future: asyncio.Future[None] | None) -> None:
    if future is not None and not future.done():
        future.set_result(None)
