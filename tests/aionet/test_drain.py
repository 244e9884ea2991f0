"""The end of a server: by draining, and by a signal."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from loop_clients import ANY, Client, let_the_loop_see_everything
from loop_runs import Run

from aionet.limits import CloseReason, Limits
from aionet.protocol import Deliveries, Echo, Room
from aionet.server import serve
from aionet.stats import DrainReport
from aionet.stream import Stream


class Deaf(Echo):
    """Goes on after its peer has finished."""

    def receive_eof(self, peer: Any) -> Deliveries:
        return ()


@pytest.fixture(autouse=True)
def signals_put_back() -> Iterator[None]:
    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    yield
    for each, handler in before.items():
        signal.signal(each, handler)


def test_draining_answers_what_has_arrived_and_accepts_nobody(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Room(), ANY) as server, Client(server) as ann, Client(server) as bob:
            for client, name in ((ann, b"ann\n"), (bob, b"bob\n")):
                await client.send(name)
                while b"The room contains" not in await client.receive():
                    pass
            report = await server.drain()
            assert report == DrainReport(finished=2, aborted=0)
            assert b"bob has entered" in await ann.receive_rest()
            with pytest.raises(OSError, match=r"refused|Connect call failed"):
                async with Client(server):
                    pass
        assert server.stats.closed[CloseReason.DRAIN] == 2

    run(main())


def test_who_waits_in_the_backlog_of_a_full_server_is_served_in_its_drain(run: Run[Any]) -> None:
    async def main() -> None:
        limits = Limits(connections=1)
        async with serve(Echo(), ANY, limits=limits) as server, Client(server) as first:
            assert await first.exchange(b"hello") == b"hello"
            async with Client(server) as second, Client(server) as third:
                for each in (second, third):
                    await each.send(b"hello")
                draining = asyncio.create_task(server.drain())
                for each in (first, second, third):
                    assert await each.receive_rest() == (b"" if each is first else b"hello")
                    each.finish()
                assert (await draining).aborted == 0

    run(main())


def test_newcomers_are_refused_while_datagrams_are_still_being_handled(run: Run[Any]) -> None:
    async def main() -> None:
        begun, go = asyncio.Event(), asyncio.Event()

        async def handler(received: Any) -> None:
            begun.set()
            await go.wait()

        async with serve(handler, ANY, "udp://127.0.0.1:0") as server:
            with socket.socket(type=socket.SOCK_DGRAM) as client:
                client.sendto(b"slow", (server.addresses[1].host, server.addresses[1].port))
                await begun.wait()
                draining = asyncio.create_task(server.drain())
                await let_the_loop_see_everything()
                with pytest.raises(OSError, match=r"refused|Connect call failed"):
                    async with Client(server):
                        pass
                go.set()
                await draining

    run(main())


def test_draining_resets_who_is_left_at_the_deadline(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Deaf(), ANY) as server, Client(server) as client:
            assert await client.exchange(b"hello") == b"hello"
            assert await server.drain(0.1) == DrainReport(finished=0, aborted=1)
            with pytest.raises(ConnectionResetError):
                await client.receive()

    run(main())


def test_drain_that_is_cancelled_resets_who_is_left(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Deaf(), ANY) as server, Client(server) as client:
            assert await client.exchange(b"hello") == b"hello"
            draining = asyncio.create_task(server.drain(1000))
            await let_the_loop_see_everything()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:  # as asyncio.run() does
                task.cancel()
            with pytest.raises(ConnectionResetError):
                await client.receive()
            with pytest.raises(asyncio.CancelledError):
                await draining
            assert server.stats.closed[CloseReason.DRAIN] == 1
            server._drained = None  # or it would be waited for once more

    run(main())


def test_every_drain_waits_for_the_end_and_tells_the_same(run: Run[Any]) -> None:
    async def main() -> None:
        goodbyes = 0

        class Polite(Echo):
            def say_goodbye(self) -> Deliveries:
                nonlocal goodbyes
                goodbyes += 1
                return ()

        async def slow(stream: Stream) -> None:
            async for data in stream:
                await stream.send_all(data)
            await asyncio.sleep(0.1)

        async with serve(Polite(), ANY) as server, Client(server) as client:
            assert await client.exchange(b"hello") == b"hello"
            first, second = await asyncio.gather(server.drain(), server.drain())
            assert first == second == await server.drain() == DrainReport(1, 0)
            assert server.stats.open == 0
        assert goodbyes == 1
        async with serve(slow, ANY) as server, Client(server) as client:
            assert await client.exchange(b"hello") == b"hello"
            draining = asyncio.create_task(server.drain())
            await asyncio.sleep(0)
        assert server.stats.open == 0  # leaving waits for it
        assert await draining == DrainReport(1, 0)

    run(main())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains(run: Run[Any], number: signal.Signals) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server, Client(server) as client:
            assert await client.exchange(b"hello") == b"hello"
            stopped = server.catch_signals()
            os.kill(os.getpid(), number)
            await stopped.wait()
            assert signal.getsignal(number) is signal.SIG_DFL  # a second one ends the process
            assert await server.drain() == DrainReport(1, 0)

    run(main())


def test_a_signal_is_for_all_servers_that_wait_for_it(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as one, serve(Echo(), ANY) as other:
            running = asyncio.gather(one.run_until_signal(), other.run_until_signal())
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            assert await running == [DrainReport(0, 0)] * 2

    run(main())


def test_run_until_signal_reports_how_it_ended(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server, Client(server) as client:
            assert await client.exchange(b"hello") == b"hello"
            running = asyncio.create_task(server.run_until_signal())
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            assert await running == DrainReport(1, 0)

    run(main())
