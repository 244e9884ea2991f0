"""A full server: who waits, who gives way, who is rejected, and when it accepts again."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from loop_clients import ANY, Client, let_the_loop_see_everything
from loop_runs import Run

from aionet import listener
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.listener import Gate
from aionet.protocol import Echo
from aionet.server import Server, serve


@pytest.mark.parametrize("places", [1, 3])
def test_who_is_over_the_limit_waits_and_everybody_is_served(run: Run[Any], places: int) -> None:
    clients = 30

    async def main() -> None:
        here = most = 0

        def come(peer: Any) -> None:
            nonlocal here, most
            here += 1
            most = max(most, here)

        def go(peer: Any, reason: CloseReason) -> None:
            nonlocal here
            here -= 1

        async def visit(server: Server, number: int) -> None:
            async with Client(server) as client:
                said = b"%d" % number
                assert await client.exchange(said) == said

        hooks = Hooks(on_open=come, on_close=go)
        async with serve(Echo(), ANY, limits=Limits(connections=places), hooks=hooks) as server:
            await asyncio.gather(*(visit(server, number) for number in range(clients)))
            await server.drain()
        assert most == places
        assert server.stats.accepted == clients

    run(main())


def test_what_a_peer_sent_while_it_waited_is_not_lost_nor_is_its_end(run: Run[Any]) -> None:
    async def main() -> None:
        limits = Limits(connections=1)
        async with serve(Echo(), ANY, limits=limits) as server, contextlib.AsyncExitStack() as all_:
            server.pause()
            await let_the_loop_see_everything()
            clients = [await all_.enter_async_context(Client(server)) for _ in range(5)]
            for number, client in enumerate(clients):
                await client.send(b"%d" % number)
                if number % 2:
                    client.finish()
            server.resume()
            for number, client in enumerate(clients):
                assert await client.receive() == b"%d" % number
                if not number % 2:
                    client.finish()
                assert await client.receive_rest() == b""
        assert server.stats.closed[CloseReason.EOF] == 5

    run(main())


@pytest.mark.parametrize("places", [1, 3])
@pytest.mark.parametrize("said", [b"", b"hello"])
def test_who_finished_while_it_waited_is_answered_and_closed(
    run: Run[Any], places: int, said: bytes
) -> None:
    clients = 50

    async def main() -> None:
        async def visit(server: Server) -> None:
            async with Client(server) as client:
                await client.send(said)
                client.finish()
                assert await client.receive_rest() == said

        async with serve(Echo(), ANY, limits=Limits(connections=places)) as server:
            await asyncio.gather(*(visit(server) for _ in range(clients)))
        assert server.stats.closed[CloseReason.EOF] == server.stats.accepted == clients

    run(main())


@pytest.mark.parametrize("places", [1, 3])
def test_who_left_while_it_waited_gives_way(run: Run[Any], places: int) -> None:
    clients = 50

    async def main() -> None:
        async def visit(server: Server, number: int) -> None:
            async with Client(server) as client:
                await client.send(b"hello")
                if number % 2:
                    client.reset()
                else:
                    assert await client.receive() == b"hello"

        async with serve(Echo(), ANY, limits=Limits(connections=places)) as server:
            await asyncio.gather(*(visit(server, number) for number in range(clients)))
            async with Client(server) as client:
                assert await client.exchange(b"hello") == b"hello"
        stats = server.stats
        assert stats.accepted == sum(stats.closed.values()) <= clients + 1
        assert stats.closed[CloseReason.ERROR] == 0

    run(main())


def test_who_comes_to_a_full_server_that_rejects_is_reset_at_once(run: Run[Any]) -> None:
    async def main() -> None:
        async def visit(server: Server) -> None:
            async with Client(server) as rejected:
                await rejected.receive()

        limits = Limits(connections=2, on_full="reject")
        async with serve(Echo(), ANY, limits=limits) as server, contextlib.AsyncExitStack() as all_:
            inside = [await all_.enter_async_context(Client(server)) for _ in range(2)]
            for client in inside:
                assert await client.exchange(b"hello") == b"hello"
            for _ in range(20):
                with pytest.raises(ConnectionResetError):  # by the first call that can tell
                    await visit(server)
            assert server.stats.accepting
            for client in inside:
                assert await client.exchange(b"hello") == b"hello"
        assert server.stats.closed[CloseReason.REJECTED] == 20

    run(main())


def test_a_server_short_of_descriptors_stops_accepting_until_there_are_some(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        short = True
        monkeypatch.setattr(listener, "descriptors_are_short", lambda *ignored: short)
        async with serve(Echo(), ANY, timeouts=Timeouts(idle=1)) as server, Client(server) as first:
            assert await first.exchange(b"hello") == b"hello"
            assert not server.stats.accepting
            assert server.stats.out_of_descriptors == 1
            short = False
            async with Client(server) as second:
                assert await second.exchange(b"hello") == b"hello"
                assert server.stats.accepting

    run(main())


def test_a_gate_is_open_when_nobody_holds_it_and_never_after_its_end() -> None:
    gate = Gate()
    gate.hold(Gate.FULL)
    gate.hold(Gate.FULL)
    gate.hold(Gate.ASKED)
    gate.release(Gate.FULL)
    assert not gate.open
    gate.release(Gate.DESCRIPTORS)
    gate.release(Gate.ASKED)
    assert gate.open
    gate.close()
    gate.release(Gate.ASKED)
    assert not gate.open
