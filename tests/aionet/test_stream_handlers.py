"""Handlers of streams: how they end, by themselves and with the server."""

from __future__ import annotations

import asyncio
import contextlib

import pytest
from handler_notes import Notes, records
from patience import PATIENT

from aionet.connections import CANCEL_S
from aionet.limits import CloseReason
from aionet.sockets import RECV_SIZE
from aionet.stream import BrokenStreamError, ClosedStreamError, Stream
from aionet.testing import MemoryServer


def test_what_is_neither_a_service_nor_a_handler_is_refused() -> None:
    with pytest.raises(ValueError, match="neither a Service"):
        MemoryServer(42)  # type: ignore[arg-type]


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
        server.advance(2)  # Timeouts.linger, from when it had taken all
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


class Given(BaseException):
    """As gevent.Timeout, or pytest's Failed: what no `except Exception` catches."""


def test_what_is_no_exception_costs_its_own_peer_and_one_message_too(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def handler(stream: Stream) -> None:
        raise Given

    with MemoryServer(handler) as server:
        peer = server.connect()
        assert peer.was_reset
        assert peer.closed is CloseReason.ERROR
    (record,) = records(caplog)
    assert record.exc_info is not None
    assert record.exc_info[0] is Given


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
        "handlers that ignored their cancellation and are left behind: 1"
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
