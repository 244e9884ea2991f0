"""Bytes between two streams: ends, resets and back-pressure go through."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, Client
from loop_runs import Run

from aionet import BrokenStreamError, CloseReason, Stream, connect, relay, serve
from aionet.server import Server


@asynccontextmanager
async def proxied(upstream: Any) -> AsyncIterator[tuple[Server, Server]]:
    """A proxy before a server of the handler `upstream`, and that."""

    async def proxy(stream: Stream) -> None:
        await relay(stream, await connect(behind.addresses[0]))

    async with serve(upstream, ANY) as behind, serve(proxy, ANY) as server:
        yield server, behind


def test_client_that_finishes_gets_its_answer(run: Run[Any]) -> None:
    async def upstream(stream: Stream) -> None:
        data = b"".join([data async for data in stream])
        await stream.send_all(data[::-1])

    async def main() -> None:
        async with proxied(upstream) as (server, _), Client(server) as client:
            await client.send(b"abc" * 1000)
            client.finish()
            assert await client.receive_rest() == b"cba" * 1000

    run(main())


def test_server_that_finishes_is_still_sent_to(run: Run[Any]) -> None:
    async def upstream(stream: Stream) -> None:
        await stream.send_all(b"all")
        await stream.send_eof()
        heard.append(b"".join([data async for data in stream]))

    heard: list[bytes] = []

    async def main() -> None:
        async with proxied(upstream) as (server, behind), Client(server) as client:
            assert await client.receive_rest() == b"all"
            await client.send(bytes(200_000))
            client.finish()
            while behind.stats.open:
                await asyncio.sleep(0.001)
        assert heard == [bytes(200_000)]

    run(main())


def test_who_does_not_read_is_not_read_for(run: Run[Any]) -> None:
    sent = 0

    async def upstream(stream: Stream) -> None:
        nonlocal sent
        while True:
            await stream.send_all(bytes(1 << 16))
            sent += 1 << 16

    async def main() -> None:
        async with proxied(upstream) as (server, _), Client(server) as client:
            await client.send(b"go")
            before = -1
            while sent != before:
                before = sent
                await asyncio.sleep(0.2)
            assert (
                0 < sent < 32 << 20
            )  # what the kernel's buffers hold on two ways, and little more

    run(main())


@pytest.mark.parametrize("who", ["client", "upstream"])
def test_reset_is_handed_on_as_one_and_nothing_is_logged(
    run: Run[Any], who: str, caplog: Any
) -> None:
    ended: list[str] = []

    async def upstream(stream: Stream) -> None:
        await stream.send_all(b"half an answer")
        with contextlib.suppress(BrokenStreamError):
            await stream.receive()
        if who == "upstream":
            stream.abort()
        ended.append(str(await stream.wait_closed()))

    async def main() -> None:
        async with proxied(upstream) as (server, _), Client(server) as client:
            assert await client.receive(100) == b"half an answer"
            if who == "client":
                client.reset()
            else:
                await client.send(b"go")
                with pytest.raises(ConnectionResetError):
                    await client.receive_rest()
            while not ended:
                await asyncio.sleep(0.001)
        assert ended == ["reset" if who == "client" else "aborted"]
        assert records(caplog) == []

    run(main())


def test_cancelled_relay_resets_both(run: Run[Any]) -> None:
    async def upstream(stream: Stream) -> None:
        async for data in stream:
            await stream.send_all(data)
        while True:  # it sees the end of its peer by sending: a half-closed one is not read from
            await stream.send_all(b"x")
            await asyncio.sleep(0.001)

    async def main() -> None:
        async with proxied(upstream) as (server, behind), Client(server) as client:
            assert await client.exchange(b"x") == b"x"
            await server.drain(0.05)
            with pytest.raises(ConnectionResetError):
                await client.receive_rest()
            while behind.stats.open:
                await asyncio.sleep(0.001)
            assert behind.stats.closed[CloseReason.RESET] == 1

    run(main())


def test_upload_that_a_drain_cuts_is_reset_and_not_ended(run: Run[Any]) -> None:
    ends: list[str] = []

    async def upstream(stream: Stream) -> None:
        try:
            async for _ in stream:
                begun.set()
            ends.append("end")
        except BrokenStreamError as error:
            ends.append(str(error.reason))

    async def main() -> None:
        async with proxied(upstream) as (server, behind), Client(server) as client:
            await client.send(b"half an upload")
            await begun.wait()
            await server.drain(0.1)
            with pytest.raises(ConnectionResetError):
                await client.receive_rest()
            while behind.stats.open:
                await asyncio.sleep(0.001)
        assert ends == ["reset"]

    begun = asyncio.Event()
    run(main())


def test_upload_that_was_whole_when_a_drain_began_is_handed_on_and_answered(run: Run[Any]) -> None:
    whole = bytes(50_000)

    async def upstream(stream: Stream) -> None:
        data = b"".join([data async for data in stream])
        await stream.send_all(b"%d bytes" % len(data))

    async def main() -> None:
        async with proxied(upstream) as (server, _), Client(server) as client:
            while not server.stats.open:
                await asyncio.sleep(0.001)
            await client.send(whole)
            client.finish()  # which the server has not read when it drains
            await server.drain()
            assert await client.receive_rest() == b"%d bytes" % len(whole)

    run(main())
