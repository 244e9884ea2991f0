"""A loop that passes over what its stream tells it costs itself its peer, and nobody the loop."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from loop_clients import ANY, Client
from loop_runs import Run

import aionet
from aionet.limits import CloseReason
from aionet.protocol import Lines
from aionet.server import serve
from aionet.stream import Stream
from aionet.testing import MemoryServer

Call = Callable[[Stream], Awaitable[Any]]
CALLS: list[Call] = [
    lambda stream: stream.receive(),
    lambda stream: stream.receive_line(),
    lambda stream: stream.receive_exactly(0),
    lambda stream: stream.receive_frame(),
    lambda stream: stream.receive_message(Lines(10)),
    lambda stream: stream.send_all(b"x"),
    lambda stream: stream.send_frame(b"x"),
    lambda stream: stream.send_eof(),
    lambda stream: stream.start_tls(),
]


@pytest.mark.parametrize("call", CALLS)
def test_handler_that_passes_over_a_broken_stream_is_told(call: Call, caplog: Any) -> None:
    async def handler(stream: Stream) -> None:
        await stream.wait_closed()
        while True:
            try:
                await call(stream)
            except OSError:
                continue

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.reset()
        server.advance(1)
        assert peer.closed is CloseReason.RESET
        assert server.stats.handlers == 0
    assert "100 calls in a row of a stream that is closed or broken" in caplog.text


@pytest.mark.parametrize(
    ("call", "end"),
    [
        *((call, end) for call in CALLS for end in ("reset", "close")),
        *((call, "finish") for call in (CALLS[0], CALLS[1], CALLS[3])),
    ],
)
def test_handler_that_passes_over_everything_lets_others_go_on(call: Call, end: str) -> None:
    async def handler(stream: Stream) -> None:
        if await stream.receive(1) == b"e":
            await stream.send_all(b"e")
            return
        if end == "close":
            stream.close()
        elif end == "reset":
            await stream.wait_closed()
        while True:
            with contextlib.suppress(Exception):
                await call(stream)

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.send(b"x")
        if end == "finish":
            peer.finish()
        elif end == "reset":
            peer.reset()
        server.advance(1)
        other = server.connect()
        other.send(b"e")
        assert other.take() == b"e"


def test_stream_that_is_gone_may_be_told_something_now_and_then_for_ever() -> None:
    async def handler(stream: Stream) -> None:
        await stream.wait_closed()
        for _ in range(1000):
            with pytest.raises(aionet.BrokenStreamError):
                await stream.send_all(b"tick")
            await asyncio.sleep(0.01)

    with MemoryServer(handler) as server:
        server.connect().reset()
        server.advance(20)
        assert server.stats.handlers == 0


def test_client_that_passes_over_its_broken_stream_is_told(run: Run[Any]) -> None:
    async def hang_up(stream: Stream) -> None:
        stream.abort()

    async def go_on(stream: Stream) -> None:
        while True:
            with contextlib.suppress(OSError):
                await stream.send_all(b"x")

    async def main() -> None:
        async with serve(hang_up, ANY) as server:
            stream = await aionet.connect(server.addresses[0])
            with pytest.raises(RuntimeError, match="100 calls in a row"):
                await go_on(stream)

    run(main())


def test_datagram_client_that_is_closed_does_not_keep_the_loop(run: Run[Any]) -> None:
    async def main() -> None:
        client = await aionet.connect_datagram("udp://127.0.0.1:9")

        async def listen() -> None:
            while True:
                try:
                    await client.receive()
                except OSError:
                    continue

        listening = asyncio.create_task(listen())
        await asyncio.sleep(0)
        client.close()
        async with serve(aionet.Echo(), ANY) as server, Client(server) as other:
            assert await other.exchange(b"x") == b"x"
        listening.cancel()

    run(main())
