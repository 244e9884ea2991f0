"""How handlers end that wait for something else than their peer, and what that costs."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, RESET, Client, let_the_loop_see_everything
from loop_runs import Run
from witnesses import Witness

from aionet.handlers import TOLD_S
from aionet.limits import CloseReason, Limits
from aionet.server import serve
from aionet.stream import BrokenStreamError, Stream
from aionet.testing import MemoryServer


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


def test_a_handler_ends_with_its_peer_though_another_one_is_sending_to_that() -> None:
    streams: list[Stream] = []
    ended: list[str] = []

    async def handler(stream: Stream) -> None:
        streams.append(stream)
        try:
            if len(streams) == 1:
                await asyncio.Event().wait()
            with pytest.raises(BrokenStreamError):
                await streams[0].send_all(bytes(1 << 20))
        finally:
            ended.append("first" if stream is streams[0] else "second")

    with MemoryServer(handler, limits=Limits(connections=2)) as server:
        victim = server.connect(reads=False)
        server.connect()
        assert ended == []
        victim.reset()
        server.advance(TOLD_S)  # who sends to it might be a task of the first one's
        assert sorted(ended) == ["first", "second"]


def test_a_handler_ends_with_its_peer_though_only_a_task_of_its_own_was_told() -> None:
    ended: list[str] = []

    async def handler(stream: Stream) -> None:
        task = asyncio.create_task(stream.receive())
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(type(task.exception()).__name__)

    with MemoryServer(handler) as server:
        peer = server.connect()
        peer.reset()
        assert ended == []  # it may be told by its task yet
        server.advance(TOLD_S)
        assert ended == ["BrokenStreamError"]


def test_a_handler_that_was_told_by_a_task_of_its_own_may_tidy_up() -> None:
    ended: list[str] = []

    async def handler(stream: Stream) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(stream.receive())
        except* BrokenStreamError:
            await asyncio.sleep(3)
            ended.append("tidied up")

    with MemoryServer(handler) as server:
        server.connect().reset()
        server.advance(3)
        assert ended == ["tidied up"]


def test_a_handler_ends_with_a_peer_that_another_task_has_closed() -> None:
    streams: list[Stream] = []
    ended: list[str] = []

    async def handler(stream: Stream) -> None:
        streams.append(stream)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("it")

    with MemoryServer(handler) as server:
        peer = server.connect()
        streams[0].close()
        peer.finish()
        assert (peer.closed, ended) == (CloseReason.DONE, ["it"])


def test_a_handler_knows_who_it_was_when_its_connection_is_gone(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        known: list[Any] = []
        ended = asyncio.Event()

        async def handler(stream: Stream) -> None:
            await stream.send_all(b"hello")
            with pytest.raises(BrokenStreamError, match="is gone"):
                await stream.receive()
            await let_the_loop_see_everything()
            known.extend([stream.address, stream.get_extra_info("peername")])
            stream.get_extra_info("sockname")
            stream.get_extra_info("socket")
            ended.set()

        async with serve(handler, ANY) as server:
            async with Client(server) as client:
                assert await client.receive() == b"hello"
                address = client._sock.getsockname()
                client.reset()
            await ended.wait()
        assert known == [address] * 2

    run(main())
    assert records(caplog) == []


def test_a_handler_of_a_peer_that_was_gone_before_it_began_ends_without_a_word(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        many, begun, ends = 20, 0, 0
        gone = asyncio.Event()

        async def handler(stream: Stream) -> None:
            nonlocal begun, ends
            begun += 1
            await gone.wait()
            for name in ("peername", "sockname", "socket"):
                stream.get_extra_info(name)
            ends += 1
            await stream.receive()

        async with serve(handler, ANY, cancel_on_close=False) as server:
            (address,) = server.addresses
            there = [socket.create_connection((address.host, address.port)) for _ in range(many)]
            while server.stats.handlers < many:
                await asyncio.sleep(0)
            for _ in range(many):  # without a turn of the loop between the two
                there.append(socket.create_connection((address.host, address.port)))
                there[-1].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                there[-1].close()
            for sock in there[:many]:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                sock.close()
            while server.stats.closed[CloseReason.RESET] < 2 * many:
                await asyncio.sleep(0)
            await let_the_loop_see_everything()
            gone.set()
        assert ends == begun >= many  # uvloop's do not begin where nobody knows for whom

    run(main())
    assert records(caplog) == []
