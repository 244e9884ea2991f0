"""How handlers end that wait for something else than their peer, and what that costs."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, Client, let_the_loop_see_everything
from loop_runs import Run
from witnesses import Witness

from aionet.limits import CloseReason, Limits
from aionet.server import Server, serve
from aionet.stream import BrokenStreamError, Stream

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST


class Waits:
    """A handler that waits for what never happens, and how many of it there are."""

    def __init__(self) -> None:
        self.here = self.most = self.all = 0
        self.let_go = asyncio.Event()

    async def __call__(self, stream: Stream) -> None:
        await stream.receive()
        self.here += 1
        self.all += 1
        self.most = max(self.most, self.here)
        try:
            await self.let_go.wait()
        finally:
            self.here -= 1


def test_a_handler_that_waits_for_something_else_ends_with_its_peer(run: Run[Any]) -> None:
    visits = 20

    async def main() -> None:
        handler = Waits()
        async with serve(handler, ANY, limits=Limits(connections=2)) as server:
            for visit in range(1, visits + 1):
                async with Client(server) as client:
                    await client.send(b"hello")
                    while handler.all < visit:
                        await asyncio.sleep(0)
                    client.reset()
            while handler.here:
                await asyncio.sleep(0)
            assert handler.most <= 2
        assert server.stats.closed[CloseReason.RESET] == visits

    run(main())


def test_a_handler_that_is_not_cancelled_keeps_its_place(run: Run[Any]) -> None:
    async def main() -> None:
        handler = Waits()
        limits = Limits(connections=2)
        async with serve(handler, ANY, limits=limits, cancel_on_close=False) as server:
            for visit in (1, 2):
                async with Client(server) as client:
                    await client.send(b"hello")
                    while handler.all < visit:
                        await asyncio.sleep(0)
                    client.reset()
            async with Client(server) as third:
                await third.send(b"hello")
                await let_the_loop_see_everything()
                assert (handler.all, handler.here) == (2, 2)
                handler.let_go.set()
                assert await third.receive_rest() == b""
            assert (handler.all, handler.here) == (3, 0)

    run(main())


def test_the_broken_stream_of_another_fails_a_handler_and_is_logged(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        streams: list[Stream] = []
        errors: list[BrokenStreamError] = []

        async def handler(stream: Stream) -> None:
            streams.append(stream)
            async for data in stream:
                try:
                    await streams[0].send_all(data)
                except BrokenStreamError as error:
                    errors.append(error)
                    raise

        witness = Witness()
        async with serve(handler, ANY, hooks=witness.hooks) as server, Client(server) as talker:
            async with Client(server) as other:
                while len(streams) < 2:
                    await asyncio.sleep(0)
                if streams[0].address != other._sock.getsockname():
                    streams.reverse()
                other.reset()
            await witness.until(lambda: witness.closed)
            assert records(caplog) == []  # its own is no news
            await talker.send(b"hello")
            with pytest.raises(ConnectionResetError):
                await talker.receive_rest()
            assert witness.reasons == [CloseReason.RESET, CloseReason.ERROR]
        assert errors[0].stream is streams[0]

    run(main())
    assert len(records(caplog)) == 1


def test_a_handler_that_awaits_what_was_cancelled_has_failed(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async def handler(stream: Stream) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        witness = Witness()
        async with serve(handler, ANY, hooks=witness.hooks) as server, Client(server) as client:
            with pytest.raises(ConnectionResetError):
                await client.receive_rest()
            assert witness.reasons == [CloseReason.ERROR]

    run(main())
    assert len(records(caplog)) == 1


def test_a_handler_that_the_program_cancels_is_done_and_not_drained(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        tasks: list[Any] = []

        async def handler(stream: Stream) -> None:
            tasks.append(asyncio.current_task())
            await stream.receive()

        witness = Witness()
        async with serve(handler, ANY, hooks=witness.hooks) as server, Client(server) as client:
            while not tasks:
                await asyncio.sleep(0)
            tasks[0].cancel()
            with pytest.raises(ConnectionResetError):
                await client.receive_rest()
            assert witness.reasons == [CloseReason.DONE]

    run(main())
    assert records(caplog) == []


def test_a_handler_that_only_sends_is_told_of_the_drain(run: Run[Any]) -> None:
    async def main() -> None:
        async def handler(stream: Stream) -> None:
            while not stream.draining.is_set():
                await stream.send_all(b"tick\n")
                await asyncio.sleep(0)
            await stream.send_all(b"goodbye\n")

        async with serve(handler, ANY) as server, Client(server) as client:
            assert (await client.receive()).startswith(b"tick\n")
            draining = asyncio.create_task(server.drain())
            rest = await client.receive_rest()
            assert rest.endswith(b"tick\ngoodbye\n") or rest == b"goodbye\n"
            report = await draining
            assert (report.finished, report.aborted) == (1, 0)

    run(main())


async def come_and_reset(server: Server) -> None:
    """Gone before the handler begins, and perhaps before the kernel was asked whose it is."""
    client = socket.create_connection(("127.0.0.1", server.addresses[0].port))
    client.send(b"x")
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
    await let_the_loop_see_everything()


def test_who_resets_before_his_handler_begins_is_gone_and_no_more(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(stream: Stream) -> None:
        while await stream.receive():
            pass

    async def main() -> None:
        async with serve(handler, ANY) as server:
            for _ in range(20):
                await come_and_reset(server)

    run(main())
    assert records(caplog) == []


def test_failure_of_a_handler_whose_peer_had_gone_before_is_logged_as_any_other(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(stream: Stream) -> None:
        raise ValueError("of its own")

    async def main() -> None:
        async with serve(handler, ANY) as server:
            for _ in range(20):
                await come_and_reset(server)

    run(main())
    assert {record.name for record in records(caplog)} == {"aionet"}
