"""Exact reads, separators, frames and messages of a stream."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet import IncompleteError, LengthPrefixed, Limits, Stream, Timeouts
from aionet.limits import CloseReason
from aionet.stream_errors import BrokenStreamError
from aionet.testing import MemoryServer

FRAMES = LengthPrefixed(4)


def test_exact_sizes_separators_and_frames_may_follow_each_other() -> None:
    got: list[Any] = []

    async def handler(stream: Stream) -> None:
        got.append(await stream.receive_exactly(3))
        got.append(await stream.receive_until(b"\r\n\r\n"))
        got.append(await stream.receive_frame())
        got.append(await stream.receive_frame(2, byteorder="little"))
        got.append(await stream.receive_line())
        got.append(await stream.receive_exactly(2))
        got.append(await stream.receive_exactly(0))
        got.append(await stream.receive_frame())

    sent = b"abcGET /\r\n\r\n\0\0\0\1x\2\0yzline\r\nde"
    for cut in range(len(sent)):
        got.clear()
        with MemoryServer(handler) as server:
            peer = server.connect()
            peer.send(sent[:cut])
            peer.send(sent[cut:])
            peer.finish()
        assert got == [b"abc", b"GET /", b"x", b"yz", b"line", b"de", b"", None]


@given(
    messages=st.lists(st.binary(max_size=300), max_size=6),
    cuts=st.lists(st.integers(0, 2000), max_size=8),
)
def test_frames_go_and_come_whole_however_they_are_cut(
    messages: list[bytes], cuts: list[int]
) -> None:
    async def handler(stream: Stream) -> None:
        async for frame in stream.frames():
            await stream.send_frame(frame[::-1])

    sent = b"".join(map(FRAMES.encode, messages))
    with MemoryServer(handler) as server:
        peer = server.connect()
        start = 0
        for cut in [*sorted(cut % (len(sent) + 1) for cut in cuts), len(sent)]:
            peer.send(sent[start:cut])
            start = cut
        peer.finish()
        assert peer.received == b"".join(FRAMES.encode(each[::-1]) for each in messages)
        assert peer.closed is CloseReason.EOF


CALLS = {
    "exactly": lambda stream: stream.receive_exactly(10),
    "until": lambda stream: stream.receive_until(b";"),
    "frame": lambda stream: stream.receive_frame(1),
}


@pytest.mark.parametrize("call", CALLS)
def test_end_within_a_message_tells_what_there_was(call: str) -> None:
    errors: list[IncompleteError] = []

    async def handler(stream: Stream) -> None:
        try:
            await CALLS[call](stream)
        except IncompleteError as error:
            errors.append(error)
            raise

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"\x09abc")
        peer.finish()
        assert peer.closed is CloseReason.EOF  # and nothing is logged
    assert [error.partial for error in errors] == [b"\x09abc"]
    assert errors[0].reason is CloseReason.EOF


@pytest.mark.parametrize("call", CALLS)
def test_end_between_messages(call: str) -> None:
    got: list[Any] = []

    async def handler(stream: Stream) -> None:
        try:
            got.append(await CALLS[call](stream))
        except IncompleteError as error:
            got.append(error.partial)

    with MemoryServer(handler) as server:
        server.connect().finish()
    assert got == [b"" if call == "exactly" else None]


@pytest.mark.parametrize(
    ("call", "sent"),
    [
        (lambda stream: stream.receive_frame(), b"\xff\xff\xff\xff"),
        (lambda stream: stream.receive_frame(8, byteorder="little"), b"\xff" * 8),
        (lambda stream: stream.receive_frame(limit=3), b"\0\0\0\4"),
        (lambda stream: stream.receive_until(b";", 3), b"abcd"),
        (lambda stream: stream.receive_until(b";"), bytes(4097)),
    ],
)
def test_what_is_too_long_ends_it_at_once(call: Any, sent: bytes) -> None:
    async def handler(stream: Stream) -> None:
        await call(stream)

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(sent)
        assert peer.at_eof
        peer.finish()
        assert peer.closed is CloseReason.OVERSIZE


@pytest.mark.parametrize("call", CALLS)
def test_message_that_trickles_is_held_to_its_time(call: str) -> None:
    async def handler(stream: Stream) -> None:
        await CALLS[call](stream)

    with MemoryServer(handler, timeouts=Timeouts(message=5)) as server:
        peer = server.connect()
        server.advance(100)
        for _ in range(7):
            peer.send(b"\x20")
            server.advance(1)
        assert peer.closed is CloseReason.SLOW_MESSAGE


def test_message_of_several_calls_is_held_to_one_time() -> None:
    async def handler(stream: Stream) -> None:
        while True:
            with stream.message():
                size = await stream.receive_exactly(1)
                await stream.receive_exactly(size[0])
                await stream.receive()
            await stream.send_all(b"ok")

    with MemoryServer(handler, timeouts=Timeouts(message=5)) as server:
        prompt, slow = server.connect(), server.connect()
        server.advance(100)
        for _ in range(3):
            prompt.send(b"\3abcd")
            server.advance(4)
        assert prompt.received == b"ok" * 3
        for piece in (b"\3", b"a", b"b", b"c", b"d"):
            slow.send(piece)
            server.advance(2)
        assert slow.closed is CloseReason.SLOW_MESSAGE
        assert slow.received == b""


def test_message_within_a_message_is_a_mistake() -> None:
    errors: list[Exception] = []

    async def handler(stream: Stream) -> None:
        with stream.message():
            try:
                with stream.message():
                    pass
            except RuntimeError as error:
                errors.append(error)

    with MemoryServer(handler) as server:
        server.connect()
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda stream: stream.receive_exactly(-1), "size is -1"),
        (lambda stream: stream.receive_until(b""), "separator is empty"),
        (lambda stream: stream.receive_frame(3), "prefix is 3"),
        (lambda stream: stream.send_frame(bytes(256), 1), "256 bytes is over 255"),
        (lambda stream: stream.receive_frame(1, limit=256), "of 1 byte says at most 255"),
        (lambda stream: stream.receive_frame(limit=0), "limit is 0"),
        (lambda stream: stream.receive_until(b";", 0), "limit is 0"),
        (lambda stream: stream.receive_line(0), "limit is 0"),
        (lambda stream: stream.receive_line(limit=-1), "limit is -1"),
        (lambda stream: anext(stream.lines(0)), "limit is 0"),
        (lambda stream: anext(stream.frames(limit=0)), "limit is 0"),
        (lambda stream: stream.receive("all"), "max_bytes is 'all'"),
        (lambda stream: stream.receive_message(LengthPrefixed), "framing is <class"),
        (lambda stream: stream.receive_message("lines"), "framing is 'lines'"),
    ],
)
def test_what_cannot_be_meant_is_a_value_error(call: Any, said: str) -> None:
    errors: list[str] = []

    async def handler(stream: Stream) -> None:
        try:
            await call(stream)
        except ValueError as error:
            errors.append(str(error))

    with MemoryServer(handler) as server:
        server.connect()
    assert said in errors[0]


def test_two_tasks_that_collect_messages_are_a_mistake() -> None:
    async def handler(stream: Stream) -> None:
        first = asyncio.create_task(stream.receive_frame())
        await asyncio.sleep(0)
        for call in (stream.receive_frame, stream.receive, stream.receive_line):
            with pytest.raises(RuntimeError, match="another task is receiving"):
                await call()
        assert await first == b"x"
        await stream.send_all(b"ok")

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"\0\0\0\1x")
        assert peer.received == b"ok"


def test_frame_of_many_megabytes_is_received_within_its_limit() -> None:
    size = 8 << 20

    async def handler(stream: Stream) -> None:
        frame = await stream.receive_frame(limit=size)
        assert frame is not None
        await stream.send_all(str(len(frame)).encode())
        with pytest.raises(BrokenStreamError):
            await stream.receive_frame(limit=size)

    with MemoryServer(handler, limits=Limits(message=10)) as server:
        peer = server.connect()
        peer.send(size.to_bytes(4, "big"))
        for _ in range(size >> 16):
            peer.send(bytes(1 << 16))
        assert peer.received == str(size).encode()
        peer.send((size + 1).to_bytes(4, "big"))
        assert peer.at_eof


@pytest.mark.parametrize(
    "call",
    [
        lambda stream: stream.receive_frame(limit=1 << 20),
        lambda stream: stream.receive_until(b";", 1 << 20),
        lambda stream: stream.receive_exactly(1 << 20),
    ],
)
def test_large_message_that_trickles_is_held_to_its_time(call: Any) -> None:
    async def handler(stream: Stream) -> None:
        await call(stream)

    with MemoryServer(handler, timeouts=Timeouts(message=5)) as server:
        peer = server.connect()
        peer.send((1 << 19).to_bytes(4, "big") + bytes(200_000))
        for _ in range(7):
            peer.send(b"x")
            server.advance(1)
        assert peer.closed is CloseReason.SLOW_MESSAGE


def test_handler_that_goes_on_after_the_end_does_not_keep_the_loop_busy(caplog: Any) -> None:
    async def handler(stream: Stream) -> None:
        while True:
            await stream.receive_line()

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.finish()
        assert peer.closed is CloseReason.ERROR
    assert "100 calls after the peer had finished sending" in caplog.text
