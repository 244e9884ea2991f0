"""The lines of a stream: which there are, how long they may be, and how long they may take."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from handler_notes import Notes
from hypothesis import example, given
from hypothesis import strategies as st

from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import LineReader
from aionet.sockets import RECV_SIZE
from aionet.stream import BrokenStreamError, Stream
from aionet.testing import MemoryServer

LIMIT = 8


def test_async_for_over_its_lines_gives_every_line() -> None:
    async def echo(stream: Stream) -> None:
        async for line in stream.lines():
            await stream.send_all(b"<%b>" % line)

    with MemoryServer(echo) as server:
        peer = server.connect()
        peer.send(b"one\r\n\ntw")
        peer.send(b"o\nthree")
        assert peer.take() == b"<one><><two>"
        peer.finish()
        assert peer.take() == b"<three>"


def test_lines_and_bytes_may_be_received_in_turn() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive_line())
        await seen.of(stream.receive(3))
        await seen.of(stream.receive_line())

    with MemoryServer(handler) as server:
        server.connect().send(b"length 3\nabc rest\n")
        assert seen == [b"length 3", b"abc", b" rest"]


streams = st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\xff", b"12345678"])).map(b"".join)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)))))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]


@given(cut_streams(), st.booleans())
@example([b"12345678\r", b"\n"], True)
@example([b"12345678\r", b"\r\n"], True)
@example([b"12345678", b"\r", b"a"], False)
@example([b"1234567", b"8", b"\n", b"x"], False)
@example([b"12345678\r"], False)
def test_lines_are_those_of_a_line_reader_and_the_unfinished_one(
    pieces: list[bytes], late: bool
) -> None:
    whole = b"".join(pieces)
    reader = LineReader(LIMIT)
    expected: list[Any] = [*reader.receive_data(whole)]
    if reader.too_long:
        expected.append(CloseReason.OVERSIZE)
    elif tail := whole.rpartition(b"\n")[2]:  # a CR at its end belongs to it: no LF followed
        expected.append(tail if len(tail) <= LIMIT else CloseReason.OVERSIZE)
    seen: list[Any] = []

    async def handler(stream: Stream) -> None:
        if late:
            await asyncio.sleep(1)
        try:
            while (line := await stream.receive_line()) is not None:
                seen.append(line)
        except BrokenStreamError as error:
            seen.append(error.reason)

    with MemoryServer(handler, limits=Limits(message=LIMIT)) as server:
        peer = server.connect()
        for piece in filter(None, pieces):
            peer.send(piece)
        peer.finish()
        server.advance(2)
        assert seen == expected
        too_long = CloseReason.OVERSIZE in expected
        assert peer.closed is (CloseReason.OVERSIZE if too_long else CloseReason.EOF)


@pytest.mark.parametrize("limit", [LIMIT, 4096, 3 * RECV_SIZE])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("excess", [-1, 0, 1])
@pytest.mark.parametrize("size", [1 << 10, RECV_SIZE, 1 << 30])
def test_a_line_up_to_the_limit_is_received(limit: int, end: bytes, excess: int, size: int) -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive_line())

    line = b"x" * (limit + excess)
    with MemoryServer(handler, limits=Limits(message=limit)) as server:
        peer = server.connect()
        data = line + end
        for start in range(0, len(data), size):
            peer.send(data[start : start + size])
        if excess <= 0:
            assert seen == [line]
        else:
            assert seen.last_reason is CloseReason.OVERSIZE
        peer.finish()
        assert peer.closed is (CloseReason.OVERSIZE if excess > 0 else CloseReason.DONE)


@pytest.mark.parametrize(("size", "fits"), [(LIMIT - 1, True), (LIMIT, False)])
def test_a_cr_at_the_very_end_counts_as_part_of_the_line(size: int, fits: bool) -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive_line())

    with MemoryServer(handler, limits=Limits(message=LIMIT)) as server:
        peer = server.connect()
        peer.send(b"x" * size + b"\r")
        peer.finish()
        if fits:
            assert seen == [b"x" * size + b"\r"]
        else:
            assert seen.last_reason is CloseReason.OVERSIZE


def test_a_line_over_the_limit_ends_the_stream_for_every_later_call() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive_line())
        await seen.of(stream.receive_line())
        await seen.of(stream.receive())
        await seen.of(stream.send_all(b"too long"))

    with MemoryServer(handler, limits=Limits(message=LIMIT)) as server:
        peer = server.connect()
        peer.send(b"x" * 20)
        assert [error.reason for error in seen] == [CloseReason.OVERSIZE] * 4
        assert peer.at_eof
        assert peer.received == b""
        server.advance(2)
        assert peer.closed is CloseReason.OVERSIZE


def test_a_line_that_the_handler_does_not_wait_for_is_not_timed() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await asyncio.sleep(100)
        await seen.of(stream.receive_line())

    with MemoryServer(handler, timeouts=Timeouts(idle=None, message=8)) as server:
        peer = server.connect()
        peer.send(b"hello")
        server.advance(101)
        assert peer.closed is None
        peer.send(b"\n")
        assert seen == [b"hello"]


def test_a_slow_line_is_timed_from_line_to_line() -> None:
    async def handler(stream: Stream) -> None:
        async for line in stream.lines():
            await stream.send_all(line + b"!")

    with MemoryServer(handler, timeouts=Timeouts(idle=None, message=8)) as server:
        peer = server.connect()
        for _ in range(10):
            peer.send(b"lo\nhel")
            server.advance(5)
            assert peer.closed is None
        server.advance(5)
        assert peer.closed is CloseReason.SLOW_MESSAGE


@pytest.mark.parametrize("receive", ["receive_line", "lines"])
@pytest.mark.parametrize("of_the_server", [3, 4096])
def test_a_limit_of_its_own_is_that_of_the_call(receive: str, of_the_server: int) -> None:
    seen: list[Any] = []

    async def handler(stream: Stream) -> None:
        try:
            while True:
                if receive == "lines":
                    seen.append(await anext(stream.lines(LIMIT)))
                else:
                    seen.append(await stream.receive_line(limit=LIMIT))
        except BrokenStreamError as error:
            seen.append(error.reason)

    with MemoryServer(handler, limits=Limits(message=of_the_server)) as server:
        peer = server.connect()
        peer.send(b"12345678\r\n1234567")
        assert seen == [b"12345678"]
        peer.send(b"89")
        assert seen == [b"12345678", CloseReason.OVERSIZE]
        peer.finish()
        assert peer.closed is CloseReason.OVERSIZE


def test_lines_of_one_stream_may_have_different_limits() -> None:
    seen: list[Any] = []

    async def handler(stream: Stream) -> None:
        seen.append(await stream.receive_line(100))
        while True:
            seen.append(await anext(stream.lines()))

    with MemoryServer(handler, limits=Limits(message=LIMIT)) as server:
        peer = server.connect()
        peer.send(b"x" * 100 + b"\n" + b"y" * LIMIT + b"\n" + b"z" * (LIMIT + 1))
        assert seen == [b"x" * 100, b"y" * LIMIT]
        peer.finish()
        assert peer.closed is CloseReason.OVERSIZE
