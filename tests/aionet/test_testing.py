"""MemoryServer: what it promises to those who test their own services with it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from aionet import testing
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import Answer, Deliveries, Echo, Room
from aionet.stats import DrainReport
from aionet.stream import Stream
from aionet.testing import MemoryServer, clock


def test_the_example_of_the_module_runs() -> None:
    assert testing.__doc__ is not None
    _, _, example = testing.__doc__.partition("\n\n")
    code, _, _ = example.partition("\n\nDatagrams")
    source = "\n".join(line[4:] for line in code.splitlines())
    assert "with MemoryServer(Room())" in source
    names = {"MemoryServer": MemoryServer, "Room": Room, "CloseReason": CloseReason}
    exec(source, names)


def test_every_call_returns_when_all_it_causes_has_happened() -> None:
    with MemoryServer(Room()) as server:
        ann, bob = server.connect(), server.connect()
        for peer, name in ((ann, b"ann\n"), (bob, b"bob\n")):
            peer.send(name)
            assert b"The room contains" in peer.take()
        assert ann.take() == b"* bob has entered the room\n"
        ann.send(b"hello\n")
        assert bob.take() == b"[ann] hello\n"
        ann.reset()
        assert bob.take() == b"* ann has left the room\n"
        assert ann.closed is CloseReason.RESET
        assert bob.closed is None


def test_time_stands_still_until_it_is_moved() -> None:
    ticks: list[float] = []

    async def handler(stream: Stream) -> None:
        while True:
            await asyncio.sleep(2)
            ticks.append(asyncio.get_running_loop().time())

    with MemoryServer(handler, timeouts=Timeouts(idle=None)) as server:
        assert server.now == 0
        server.connect()
        server.connect().send(b"hello")
        assert server.now == 0
        server.advance(1.5)
        server.advance(1.5)
        assert (server.now, ticks) == (3, [2, 2])
        server.advance(3600)
        assert server.now == 3603
        assert ticks == sorted([2.0 * number for number in range(1, 1802)] * 2)


def test_a_peer_has_the_address_it_is_given() -> None:
    seen: list[Any] = []
    with MemoryServer(
        Echo(), hooks=Hooks(on_open=lambda peer: seen.append(peer.address))
    ) as server:
        server.connect()
        server.connect(("2001:db8::1", 7))
    assert seen == [("192.0.2.1", 40000), ("2001:db8::1", 7)]


def test_a_peer_that_does_not_read_takes_nothing_and_sees_no_end() -> None:
    with MemoryServer(Echo(), timeouts=Timeouts(write=None)) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"hello")
        peer.finish()
        server.advance(10)
        assert (peer.received, peer.at_eof, peer.closed) == (b"", False, None)
        peer.start_reading()
        assert (peer.received, peer.at_eof, peer.closed) == (b"hello", True, CloseReason.EOF)


def test_a_peer_that_does_not_read_is_not_listened_to() -> None:
    heard = 0

    class Counting(Echo):
        def receive_data(self, peer: Any, data: bytes) -> Deliveries:
            nonlocal heard
            heard += len(data)
            return super().receive_data(peer, data)

    limits, timeouts = Limits(write_buffer=1000), Timeouts(write=None, idle=None)
    with MemoryServer(Counting(), limits=limits, timeouts=timeouts) as server:
        peer = server.connect()
        peer.stop_reading()
        for _ in range(10):
            peer.send(bytes(600))
        assert heard == 1200
        peer.start_reading()
        assert len(peer.received) == heard == 6000


def test_a_closed_peer_says_and_gets_nothing_more() -> None:
    with MemoryServer(Echo()) as server:
        peer = server.connect()
        peer.finish()
        assert peer.closed is CloseReason.EOF
        peer.send(b"hello?")
        peer.reset()
        peer.start_reading()
        assert peer.received == b""
        assert peer.closed is CloseReason.EOF
        assert server.stats.accepted == server.stats.closed[CloseReason.EOF] == 1


def test_a_drain_passes_as_much_time_as_it_needs() -> None:
    async def handler(stream: Stream) -> None:
        await stream.receive()
        await asyncio.sleep(2)

    with MemoryServer(handler) as server:
        peer = server.connect()
        assert server.drain() == DrainReport(finished=1, aborted=0)
        assert server.now == pytest.approx(2)
        assert peer.closed is CloseReason.DRAIN
        assert server.drain() == DrainReport(finished=1, aborted=0)
        assert server.connect().closed is CloseReason.DRAIN


def test_leaving_resets_whoever_is_left() -> None:
    class Deaf(Echo):
        def receive_eof(self, peer: Any) -> Deliveries:
            return ()

    with MemoryServer(Deaf()) as server:
        peer = server.connect()
    assert peer.was_reset
    assert peer.closed is CloseReason.DRAIN


def test_a_failed_assertion_inside_leaves_nothing_behind() -> None:
    async def handler(stream: Stream) -> None:
        await asyncio.sleep(1000)

    with contextlib.suppress(LookupError), MemoryServer(handler) as server:
        server.connect()
        raise LookupError("as told")
    assert server.stats.open == 0


def test_without_limits_ten_thousand_fit() -> None:
    with MemoryServer(Echo()) as server:
        for _ in range(10_000):
            server.connect()
        assert server.stats.open == 10_000
        assert server.stats.accepting


def test_who_is_over_the_limit_waits_in_memory_too() -> None:
    with MemoryServer(Echo(), limits=Limits(connections=1)) as server:
        first, second = server.connect(), server.connect()
        second.send(b"hello")
        second.finish()
        assert (second.received, server.stats.waiting) == (b"", 1)
        first.finish()
        assert (second.received, second.closed) == (b"hello", CloseReason.EOF)


def test_a_test_is_told_of_a_failure_that_another_test_had_before(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Failing(Echo):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            raise LookupError("as told")

    for _ in range(2):
        with MemoryServer(Failing()) as server:
            server.connect().send(b"hello")
    assert [record.exc_info is not None for record in caplog.records] == [True, True]


async def talk_for_ever(stream: Stream) -> None:
    while True:
        await stream.send_all(bytes(1000))


def test_a_peer_may_read_nothing_from_the_start() -> None:
    limits = Limits(write_buffer=10_000)
    with MemoryServer(talk_for_ever, limits=limits, timeouts=Timeouts(write=3)) as server:
        peer = server.connect(reads=False)
        assert peer.received == b""
        server.advance(10)
        assert peer.closed is CloseReason.SLOW_READER


def test_what_never_comes_to_rest_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with MemoryServer(talk_for_ever) as server, monkeypatch.context() as patch:
        patch.setattr(clock, "REST_S", 0.1)
        with pytest.raises(RuntimeError, match=r"^it has not come to rest in 0\.1 s"):
            server.connect()
