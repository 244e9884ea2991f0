"""Servers in memory: an app that fails, and a server that is not there yet, or not any more."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from aionet import Echo, Stream, Timeouts, Worker
from aionet.limits import CloseReason
from aionet.testing import MemoryServer

pytestmark = pytest.mark.timeout(30)

EACH_CALL: dict[str, Callable[[MemoryServer], Any]] = {
    "connect": lambda server: server.connect(),
    "datagram": lambda server: server.datagram(b"?"),
    "advance": lambda server: server.advance(1),
    "run": lambda server: server.run(asyncio.sleep(1)),
    "deliver": lambda server: server.deliver([]),
    "send_to": lambda server: server.send_to(b"!", ("192.0.2.9", 9999)),
    "drain": lambda server: server.drain(),
    "peers": lambda server: server.peers,
    "stats": lambda server: server.stats,
    "sent": lambda server: server.sent,
    "draining": lambda server: server.draining,
}


class Failing:
    """An app whose task fails when it is told to, or after a time."""

    def __init__(self, service: Any, after: float | None = None) -> None:
        self.service, self.after = service, after
        self.fail = asyncio.Event()
        self.ended: list[str] = []

    @contextlib.asynccontextmanager
    async def app(self, worker: Worker) -> AsyncIterator[Any]:
        async def fail() -> None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.fail.wait(), self.after)
            raise LookupError("of a task")

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
                yield self.service
        finally:
            self.ended.append("app")


def test_a_task_of_an_app_that_fails_ends_the_server_in_the_call_where_it_does() -> None:
    failing = Failing(Echo(), after=5)
    with MemoryServer(failing.app) as server:
        ann = server.connect()
        server.advance(4)
        ann.send(b"hello")
        with pytest.raises(ExceptionGroup) as raised:
            server.advance(3600)
        assert raised.group_contains(LookupError, match="of a task")
        assert server.now == 5
        assert failing.ended == ["app"]
        assert (ann.received, ann.closed) == (b"hello", CloseReason.DRAIN)
        assert server.connect().closed is CloseReason.DRAIN
    assert failing.ended == ["app"]


def test_a_failure_that_a_peer_causes_is_raised_where_it_speaks() -> None:
    async def handler(stream: Stream) -> None:
        await stream.receive()
        failing.fail.set()

    failing = Failing(handler)
    with MemoryServer(failing.app) as server:
        peer = server.connect()
        with pytest.raises(ExceptionGroup) as raised:
            peer.send(b"x")
    assert raised.group_contains(LookupError)


def test_handlers_have_the_time_of_a_drain_when_the_app_fails() -> None:
    ends: list[float] = []

    async def handler(stream: Stream) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ends.append(asyncio.get_running_loop().time())

    failing = Failing(handler, after=1)
    with MemoryServer(failing.app, timeouts=Timeouts(drain=3)) as server:
        server.connect()
        with pytest.raises(ExceptionGroup):
            server.advance(1)
        assert ends == [pytest.approx(4)]


def test_a_failure_in_a_drain_is_raised_by_it_and_not_again() -> None:
    async def handler(stream: Stream) -> None:
        await stream.draining.wait()
        failing.fail.set()

    failing = Failing(handler)
    with MemoryServer(failing.app) as server:
        server.connect()
        with pytest.raises(ExceptionGroup):
            server.drain()
        assert server.drain().aborted == 0


def test_a_failure_of_the_last_moment_leaves_the_block() -> None:
    async def handler(stream: Stream) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            failing.fail.set()

    failing = Failing(handler)
    with pytest.raises(ExceptionGroup), MemoryServer(failing.app) as server:
        server.connect()


def test_a_deadline_of_the_app_ends_the_server() -> None:
    @contextlib.asynccontextmanager
    async def app(worker: Worker) -> AsyncIterator[Echo]:
        async with asyncio.timeout(7):
            yield Echo()

    with MemoryServer(app) as server:
        with pytest.raises(TimeoutError):
            server.advance(10)
        assert server.now == 7


@contextlib.asynccontextmanager
async def echo(worker: Worker) -> AsyncIterator[Echo]:
    yield Echo()


@pytest.mark.parametrize("service", [Echo(), echo], ids=["service", "app"])
@pytest.mark.parametrize("call", EACH_CALL)
def test_a_server_that_was_not_entered_says_so(call: str, service: Any) -> None:
    server = MemoryServer(service)
    with pytest.raises(RuntimeError, match=r"^the server has not been entered: with MemoryServer"):
        EACH_CALL[call](server)
    with server:
        EACH_CALL[call](server)


@pytest.mark.parametrize("call", ["connect", "datagram", "advance", "run", "deliver", "send_to"])
def test_a_server_that_has_ended_says_so(call: str) -> None:
    with MemoryServer(Echo()) as server:
        pass
    with pytest.raises(RuntimeError, match=r"^the server has ended"):
        EACH_CALL[call](server)
    with pytest.raises(RuntimeError, match="serves once"), server:
        pass
    assert server.stats.accepted == 0
    assert server.drain().finished == 0
