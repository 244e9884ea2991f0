"""Stream: a peer as a coroutine sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from deadline import DEADLINE_S
from handler_notes import Notes
from patience import PATIENT

from aionet.limits import CloseReason, Limits, Timeouts
from aionet.loops import LOOPS, loop_factory
from aionet.server import serve
from aionet.sockets import RECV_SIZE
from aionet.stream import Stream
from aionet.testing import MemoryServer

# Receive.


def test_receive_gives_what_came_in_pieces_of_at_most_what_is_asked_for() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        for size in (2, 1, 100, 100):
            await seen.of(stream.receive(size))

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"hello")
        assert seen == [b"he", b"l", b"lo"]
        peer.send(b"world")
        assert seen[3:] == [b"world"]


def test_receive_gives_nothing_after_the_end_however_often_it_is_asked() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        for _ in range(3):
            await seen.of(stream.receive())

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"hello")
        peer.finish()
        assert seen == [b"hello", b"", b""]
        assert peer.closed is CloseReason.EOF


def test_what_arrived_before_the_end_is_received_by_who_comes_late() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await asyncio.sleep(5)
        async for data in stream:
            seen.append(data)
        await stream.send_all(b"thanks")

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"hello")
        peer.finish()
        server.advance(5)
        assert seen == [b"hello"]
        assert peer.received == b"thanks"


def test_async_for_over_a_stream_gives_all_that_comes() -> None:
    async def echo(stream: Stream) -> None:
        async for data in stream:
            await stream.send_all(data.upper())

    with MemoryServer(echo) as server:
        peer = server.connect()
        for piece in (b"one ", b"two ", b"three"):
            peer.send(piece)
        peer.finish()
        assert peer.received == b"ONE TWO THREE"
        assert peer.closed is CloseReason.EOF


def test_a_second_receiver_is_a_mistake_and_the_first_goes_on() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(seen.of(stream.receive()))
            tasks.create_task(seen.of(stream.receive_line()))

    with MemoryServer(handler) as server:
        peer = server.connect()
        assert isinstance(seen[0], RuntimeError)
        peer.send(b"hello")
        assert seen[1:] == [b"hello"]


def test_a_receiver_that_gave_up_leaves_the_stream_to_the_next() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        try:
            async with asyncio.timeout(3):
                await stream.receive_line()
        except TimeoutError:
            seen.append("too late")
        await seen.of(stream.receive_line())

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"hel")
        server.advance(3)
        assert seen == ["too late"]
        peer.send(b"lo\n")
        assert seen[1:] == [b"hello"]


def test_a_peer_that_nobody_listens_to_is_not_read_beyond_a_bound() -> None:
    received = 0
    pieces, piece = 50, bytes(RECV_SIZE // 2)
    go = asyncio.Event()

    async def handler(stream: Stream) -> None:
        nonlocal received
        await go.wait()
        async for data in stream:
            received += len(data)

    with MemoryServer(handler) as server:
        peer = server.connect()
        for _ in range(pieces):
            peer.send(piece)
        left_in_the_kernel = sum(map(len, peer._transport._arrived))
        assert left_in_the_kernel >= (pieces - 2) * len(piece)
        go.set()
        peer.finish()
        assert received == pieces * len(piece)
        assert peer.closed is CloseReason.EOF


# Send.


def test_send_all_waits_while_the_peer_does_not_read() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.receive()
        for number in range(10):
            await stream.send_all(bytes(1000))
            seen.append(number)

    with MemoryServer(handler, limits=Limits(write_buffer=2500), timeouts=PATIENT) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"go")
        server.advance(1000)
        assert seen == [0, 1]
        peer.start_reading()
        assert seen == list(range(10))
        assert len(peer.received) == 10_000


def test_several_senders_wait_and_all_go_on() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.receive()
        async with asyncio.TaskGroup() as tasks:
            for _ in range(3):
                tasks.create_task(seen.of(stream.send_all(bytes(1000))))

    with MemoryServer(handler, limits=Limits(write_buffer=500), timeouts=PATIENT) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"go")
        assert seen == []
        peer.start_reading()
        assert seen == [None] * 3


def test_a_sender_that_gave_up_does_not_take_the_others_with_it() -> None:
    seen = Notes()

    async def impatient(stream: Stream) -> None:
        try:
            async with asyncio.timeout(1):
                await stream.send_all(bytes(1000))
        except TimeoutError:
            seen.append("too late")

    async def handler(stream: Stream) -> None:
        await stream.receive()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(impatient(stream))
            tasks.create_task(seen.of(stream.send_all(bytes(1000))))

    with MemoryServer(handler, limits=Limits(write_buffer=500), timeouts=PATIENT) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"go")
        server.advance(2)
        assert seen == ["too late"]
        peer.start_reading()
        assert seen == ["too late", None]


def test_a_peer_that_never_reads_breaks_a_waiting_send() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.receive()
        await seen.of(stream.send_all(bytes(1000)))

    timeouts = Timeouts(idle=None, message=None, write=8)
    with MemoryServer(handler, limits=Limits(write_buffer=500), timeouts=timeouts) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"go")
        server.advance(8)
        assert seen == []
        server.advance(2)
        assert seen.last_reason is CloseReason.SLOW_READER
        assert peer.closed is CloseReason.SLOW_READER


# On real sockets.


def run(name: str, work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await work

    with asyncio.Runner(loop_factory=loop_factory(name)) as runner:
        runner.run(bounded())


@pytest.mark.parametrize("loop", LOOPS)
def test_more_than_all_buffers_hold_goes_there_and_back(loop: str) -> None:
    size = 20_000_000

    async def echo(stream: Stream) -> None:
        async for data in stream:
            await stream.send_all(data)

    async def main() -> None:
        async with serve(echo, "tcp://127.0.0.1:0") as server:
            (address,) = server.addresses
            reader, writer = await asyncio.open_connection(address.host, address.port)
            data = bytes(range(256)) * (size // 256)
            writer.write(data)
            writer.write_eof()
            assert await reader.read() == data
            writer.close()
            await writer.wait_closed()
        assert server.stats.closed[CloseReason.EOF] == 1

    run(loop, main())


@pytest.mark.parametrize("loop", LOOPS)
def test_a_line_in_two_pieces_is_answered_on_a_real_socket(loop: str) -> None:
    async def handler(stream: Stream) -> None:
        assert stream.address == stream.get_extra_info("peername")
        async for line in stream.lines():
            await stream.send_all(b"<%b>\n" % line)

    async def main() -> None:
        async with serve(handler, "tcp://127.0.0.1:0") as server:
            (address,) = server.addresses
            reader, writer = await asyncio.open_connection(address.host, address.port)
            for piece in (b"one\ntw", b"o\n"):
                writer.write(piece)
                assert await reader.readline() == (b"<one>\n" if b"w" in piece else b"<two>\n")
            writer.close()
            await writer.wait_closed()

    run(loop, main())
