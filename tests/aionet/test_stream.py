"""Stream: a peer as a coroutine sees it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aionet.connections import CANCEL_S
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.loops import LOOPS, loop_factory
from aionet.protocol import LineReader
from aionet.server import serve
from aionet.sockets import RECV_SIZE
from aionet.stream import BrokenStreamError, ClosedStreamError, Stream
from aionet.testing import MemoryServer

LIMIT = 8
DEADLINE_S = 20.0
PATIENT = Timeouts(idle=None, message=None, write=None, half_closed=None)


class Notes(list[Any]):
    """What a handler has seen, with the error that ended a step of it."""

    async def of(self, step: Awaitable[Any]) -> None:
        try:
            self.append(await step)
        except (BrokenStreamError, ClosedStreamError, RuntimeError) as error:
            self.append(error)

    @property
    def last_reason(self) -> CloseReason:
        assert isinstance(self[-1], BrokenStreamError), self
        return self[-1].reason


def records(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno >= logging.WARNING]


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


# What breaks it.


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (lambda server, peer: peer.reset(), CloseReason.RESET),
        (lambda server, peer: server.advance(25), CloseReason.IDLE),
        (lambda server, peer: (peer.send(b"x"), server.advance(13)), CloseReason.SLOW_MESSAGE),
        (lambda server, peer: peer.send(b"x" * 20), CloseReason.OVERSIZE),
    ],
)
def test_a_broken_stream_says_why_to_who_waits_and_who_asks_later(
    end: Callable[..., object], reason: CloseReason, caplog: pytest.LogCaptureFixture
) -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive_line())
        await seen.of(stream.receive())
        await seen.of(stream.receive_line())
        await seen.of(stream.send_all(b"hello?"))
        await stream.receive()

    timeouts = Timeouts(idle=20, message=10)
    with MemoryServer(handler, limits=Limits(message=LIMIT), timeouts=timeouts) as server:
        peer = server.connect()
        end(server, peer)
        assert [error.reason for error in seen] == [reason] * 4
        assert str(seen[0]) == f"the connection is gone ({reason})"
        peer.finish()
        assert peer.closed is reason
    assert records(caplog) == []


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


def test_the_use_of_a_stream_after_closing_it_is_a_mistake() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.send_all(b"bye")
        stream.close()
        stream.close()
        await seen.of(stream.receive())
        await seen.of(stream.receive_line())
        await seen.of(stream.send_all(b"hello?"))

    with MemoryServer(handler) as server:
        peer = server.connect()
        assert peer.received == b"bye"
        assert [type(error) for error in seen] == [ClosedStreamError] * 3
        peer.finish()
        assert peer.closed is CloseReason.DONE


def test_what_has_arrived_cannot_be_received_after_closing() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.receive(1)
        stream.close()
        await seen.of(stream.receive())
        await seen.of(stream.receive_line())

    with MemoryServer(handler) as server:
        server.connect().send(b"hello\n")
        assert [type(error) for error in seen] == [ClosedStreamError] * 2


def test_closing_wakes_who_receives_and_who_sends() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await stream.receive()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(seen.of(stream.receive()))
            tasks.create_task(seen.of(stream.send_all(bytes(1000))))
            await asyncio.sleep(1)
            stream.close()

    with MemoryServer(handler, limits=Limits(write_buffer=500), timeouts=PATIENT) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"go")
        assert seen == []
        server.advance(1)
        assert [type(error) for error in seen] == [ClosedStreamError] * 2
        peer.start_reading()
        assert len(peer.received) == 1000


# How a handler ends.


def test_a_handler_that_returns_closes_its_stream_once_all_is_sent() -> None:
    async def handler(stream: Stream) -> None:
        await stream.receive()
        await stream.send_all(bytes(1000))

    with MemoryServer(handler, timeouts=PATIENT) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"go")
        server.advance(60)
        assert peer.closed is None
        peer.start_reading()
        assert len(peer.received) == 1000
        assert peer.at_eof
        assert peer.closed is CloseReason.DONE


def test_what_a_handler_did_not_read_is_no_reset_for_its_peer() -> None:
    async def handler(stream: Stream) -> None:
        await stream.send_all(b"go away")

    with MemoryServer(handler) as server:
        peer = server.connect()
        for _ in range(10):
            peer.send(bytes(RECV_SIZE))
        assert peer.received == b"go away"
        assert peer.at_eof
        peer.finish()
        assert peer.closed is CloseReason.DONE
        assert not peer.was_reset


def test_a_handler_that_fails_costs_its_own_peer_and_one_message(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(stream: Stream) -> None:
        async for data in stream:
            await stream.send_all(bytes([100 // data[0]]))

    with MemoryServer(handler) as server:
        other, peer = server.connect(), server.connect()
        peer.send(b"\0")
        assert peer.was_reset
        assert peer.closed is CloseReason.ERROR
        other.send(b"\1")
        assert other.received == b"d"
    (record,) = records(caplog)
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_a_handler_that_fails_after_its_peer_has_gone_is_logged_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(stream: Stream) -> None:
        try:
            await stream.receive()
        except BrokenStreamError:
            raise LookupError("as told") from None

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.reset()
        assert peer.closed is CloseReason.RESET
    (record,) = records(caplog)
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


def test_tasks_of_a_handler_that_a_broken_stream_ends_are_not_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def ticks(stream: Stream) -> None:
        while True:
            await stream.send_all(b"tick\n")
            await asyncio.sleep(1)

    async def handler(stream: Stream) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ticks(stream))
            async for _ in stream:
                pass

    with MemoryServer(handler) as server:
        peer = server.connect()
        server.advance(2.5)
        assert peer.received == b"tick\n" * 3
        peer.reset()
        assert peer.closed is CloseReason.RESET
    assert records(caplog) == []


def test_a_failed_task_beside_a_broken_stream_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def cleans_up_badly() -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            raise LookupError("as told")

    async def handler(stream: Stream) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(cleans_up_badly())
            await stream.receive()

    with MemoryServer(handler) as server:
        server.connect().reset()
    assert len(records(caplog)) == 1


def test_a_misused_stream_fails_its_handler(caplog: pytest.LogCaptureFixture) -> None:
    async def handler(stream: Stream) -> None:
        stream.close()
        await stream.receive()

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.finish()
        assert peer.closed is CloseReason.DONE
    (record,) = records(caplog)
    assert record.exc_info is not None
    assert record.exc_info[0] is ClosedStreamError


# The server stops.


def test_a_handler_sees_the_drain_as_the_end_and_may_still_answer() -> None:
    async def handler(stream: Stream) -> None:
        async for data in stream:
            await stream.send_all(data)
        await asyncio.sleep(1)
        await stream.send_all(b"goodbye")

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"hello ")
        report = server.drain(3)
        assert peer.received == b"hello goodbye"
        assert peer.closed is CloseReason.DRAIN
        assert not peer.was_reset
        assert (report.finished, report.aborted) == (1, 0)


def test_a_handler_that_ignores_the_end_is_cancelled_at_the_deadline() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    with MemoryServer(handler) as server:
        peer = server.connect()
        report = server.drain(3)
        assert server.now == pytest.approx(3)
        assert seen == ["cancelled"]
        assert peer.closed is CloseReason.DRAIN
        assert peer.was_reset
        assert (report.finished, report.aborted) == (0, 1)


def test_a_handler_that_ignores_its_cancellation_is_left_behind(
    caplog: pytest.LogCaptureFixture,
) -> None:
    let_go = asyncio.Event()

    async def handler(stream: Stream) -> None:
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()

    with MemoryServer(handler) as server:
        server.connect()
        server.drain(3)
        assert server.now == pytest.approx(3 + CANCEL_S)
        let_go.set()
        server.advance(0)
    assert [record.getMessage() for record in caplog.records] == [
        "1 handlers ignored their cancellation and are left behind"
    ]


def test_a_handler_whose_peer_is_gone_may_tidy_up_until_the_deadline() -> None:
    seen = Notes()

    async def handler(stream: Stream) -> None:
        await seen.of(stream.receive())
        await asyncio.sleep(2)
        seen.append("tidy")

    with MemoryServer(handler) as server:
        server.connect().reset()
        server.drain(3)
        assert seen[1:] == ["tidy"]


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


def test_what_is_neither_a_service_nor_a_handler_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a service"):
        MemoryServer(42)  # type: ignore[arg-type]
