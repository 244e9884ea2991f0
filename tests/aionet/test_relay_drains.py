"""Bytes between two streams while the server drains: what is under way is finished, or reset."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from loop_clients import ANY, Client
from loop_runs import Run

from aionet import BrokenStreamError, CloseReason, Stream, Timeouts, connect, relay, serve
from aionet.server import Server
from aionet.stats import DrainReport
from aionet.testing import MemoryServer

pytestmark = pytest.mark.timeout(60)


async def echo(stream: Stream) -> None:
    async for data in stream:
        await stream.send_all(data)


class Upload:
    """A server that answers a whole upload, and knows how each ended."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.ends: list[str] = []

    async def handler(self, stream: Stream) -> None:
        size = 0
        try:
            async for data in stream:
                size += len(data)
                self.begun.set()
        except BrokenStreamError as error:
            self.ends.append(str(error.reason))
        else:
            self.ends.append(f"whole {size}")
            await stream.send_all(b"%d bytes" % size)


@asynccontextmanager
async def proxied(
    upstream: Any, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[Server, Server]]:
    """A proxy before a server of the handler `upstream`, and that."""

    async def proxy(stream: Stream) -> None:
        await relay(stream, await connect(behind.addresses[0]))

    async with serve(upstream, ANY) as behind, serve(proxy, ANY, tls=tls) as server:
        yield server, behind


async def draining(server: Server, timeout: float | None = None) -> asyncio.Task[DrainReport]:
    """A drain that has begun, and has told everybody."""
    drain = asyncio.create_task(server.drain(timeout))
    await server.draining.wait()
    for _ in range(10):
        await asyncio.sleep(0)
    return drain


async def gone(server: Server) -> None:
    while server.stats.open:
        await asyncio.sleep(0.001)


def test_kept_alive_connection_goes_on_in_a_drain_until_its_peer_ends_it(run: Run[Any]) -> None:
    async def main() -> None:
        async with proxied(echo) as (server, behind), Client(server) as client:
            assert await client.exchange(b"before") == b"before"
            drain = await draining(server, 20)
            assert await client.exchange(b"in the midst") == b"in the midst"
            assert await client.exchange(b"once more") == b"once more"
            assert not drain.done()
            client.finish()
            assert await client.receive_rest() == b""
            assert await drain == DrainReport(finished=1, aborted=0)
            await gone(behind)
            assert behind.stats.closed[CloseReason.EOF] == 1

    run(main())


def test_upload_under_way_when_a_drain_begins_is_finished_and_answered(run: Run[Any]) -> None:
    async def main() -> None:
        upload = Upload()
        async with proxied(upload.handler) as (server, _), Client(server) as client:
            await client.send(b"half of it ")
            await upload.begun.wait()
            drain = await draining(server, 20)
            await client.send(bytes(100_000))
            client.finish()
            assert await client.receive_rest() == b"100011 bytes"
            assert await drain == DrainReport(finished=1, aborted=0)
        assert upload.ends == ["whole 100011"]

    run(main())


@pytest.mark.parametrize("sent", [b"half an upload", b""])
def test_who_has_not_finished_at_the_deadline_is_reset_on_both_sides(
    run: Run[Any], sent: bytes
) -> None:
    async def main() -> None:
        upload = Upload()
        async with proxied(upload.handler) as (server, behind), Client(server) as client:
            await client.send(sent or b"x")
            await upload.begun.wait()
            assert await server.drain(0.2) == DrainReport(finished=0, aborted=1)
            with pytest.raises(ConnectionResetError):
                await client.receive_rest()
            await gone(behind)
        assert upload.ends == ["reset"]

    run(main())


def test_answer_that_takes_its_time_comes_whole_in_a_drain(run: Run[Any]) -> None:
    async def upstream(stream: Stream) -> None:
        await stream.receive()
        asked.set()
        await answering.wait()
        await stream.send_all(bytes(300_000))
        await stream.send_eof()
        await stream.receive()

    async def main() -> None:
        async with proxied(upstream) as (server, _), Client(server) as client:
            await client.send(b"?")
            await asked.wait()
            drain = await draining(server, 20)
            answering.set()
            assert await client.receive_rest() == bytes(300_000)
            client.finish()
            assert await drain == DrainReport(finished=1, aborted=0)

    asked, answering = asyncio.Event(), asyncio.Event()
    run(main())


def test_relay_that_begins_in_a_drain_hands_on_what_had_come_and_the_answer(run: Run[Any]) -> None:
    ends: list[str] = []
    there = asyncio.Event()
    behind: Any = None

    async def upstream(stream: Stream) -> None:
        await stream.send_all(b"answer to " + await stream.receive())
        await stream.send_eof()
        try:
            ends.append(repr(await stream.receive()))
        except BrokenStreamError as error:
            ends.append(str(error.reason))

    async def proxy(stream: Stream) -> None:
        there.set()
        await stream.draining.wait()
        await relay(stream, await connect(behind.addresses[0]))

    async def main() -> None:
        nonlocal behind
        async with (
            serve(upstream, ANY) as behind,
            serve(proxy, ANY) as server,
            Client(server) as client,
        ):
            await client.send(b"question")
            await there.wait()
            drain = await draining(server, 20)
            assert await client.receive_rest() == b"answer to question"
            assert await drain == DrainReport(finished=1, aborted=0)
            await gone(behind)
        assert ends == ["reset"]  # nobody knows whether the question was all

    run(main())


def test_relay_of_tls_goes_on_in_a_drain(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with proxied(echo, tls) as (server, _):
            client = await connect(server.addresses[0], tls=trusting)
            await client.send_all(b"before")
            assert await client.receive_exactly(6) == b"before"
            drain = await draining(server, 20)
            await client.send_all(b"within")
            assert await client.receive_exactly(6) == b"within"
            await client.send_eof()
            assert await client.receive() == b""
            client.close()
            assert await drain == DrainReport(finished=1, aborted=0)

    run(main())


class Pairs:
    """Relays every two that come, on one server."""

    def __init__(self) -> None:
        self._waiting: asyncio.Future[Stream] | None = None

    async def handler(self, stream: Stream) -> None:
        if self._waiting is None:
            self._waiting = asyncio.get_running_loop().create_future()
            other, self._waiting = await self._waiting, None
            await relay(stream, other)
        else:
            self._waiting.set_result(stream)
            await stream.wait_closed()


def test_in_memory_two_peers_of_one_server_are_relayed_in_a_drain() -> None:
    async def later() -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(1, ann._transport.arrive, b"hello")
        loop.call_later(2, bob._transport.arrive, b"hello yourself")
        loop.call_later(3, ann._transport.arrive, b"")
        loop.call_later(4, bob._transport.arrive, b"")

    with MemoryServer(Pairs().handler, timeouts=Timeouts(drain=30)) as server:
        ann, bob = server.connect(), server.connect()
        ann.send(b"? ")
        server.run(later())
        assert server.drain() == DrainReport(finished=2, aborted=0)
        assert server.now == pytest.approx(4)
        assert (ann.received, bob.received) == (b"hello yourself", b"? hello")
        assert ann.at_eof
        assert bob.at_eof
        assert not ann.was_reset
        assert not bob.was_reset
        assert ann.closed is bob.closed is CloseReason.DRAIN


def test_in_memory_who_is_idle_is_reset_at_the_deadline_and_not_before() -> None:
    with MemoryServer(Pairs().handler, timeouts=Timeouts(drain=30)) as server:
        ann, bob = server.connect(), server.connect()
        ann.send(b"half a mess")
        assert server.drain() == DrainReport(finished=0, aborted=2)
        assert server.now == pytest.approx(30)
        assert (ann.was_reset, bob.was_reset) == (True, True)
        assert (bob.received, bob.at_eof) == (b"half a mess", False)
