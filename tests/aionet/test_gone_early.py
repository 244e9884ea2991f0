"""Who has gone before it was accepted: uvloop, which asks the kernel, does not know it any more."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, RESET
from loop_runs import Run
from services import Noting

from aionet import Hooks, Limits, Listen
from aionet.limits import CloseReason
from aionet.server import Server, serve

MANY = 20
HEADER = b"PROXY TCP4 203.0.113.9 192.0.2.1 1000 443\r\nhello"


def connect(server: Server) -> socket.socket:
    (address,) = server.addresses
    return socket.create_connection((address.host, address.port))


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()


def come_and_go(server: Server) -> None:
    """Each is reset before the loop has had a turn to accept it."""
    for _ in range(MANY):
        client = connect(server)
        client.sendall(HEADER)
        reset(client)


async def until_closed(server: Server, many: int = MANY) -> None:
    while sum(server.stats.closed.values()) < many:
        await asyncio.sleep(0.01)


class Addresses(list[Any]):
    """Of all that the hooks are told about."""

    def __init__(self) -> None:
        self.hooks = Hooks(
            on_accept=lambda peer: self.append(peer.address) or True,
            on_open=lambda peer: self.append(peer.address),
            on_reject=lambda peer: self.append(peer.address),
        )


def test_stranger_that_has_gone_is_not_taken_for_a_proxy(run: Run[Any], caplog: Any) -> None:
    async def main() -> None:
        service, seen = Noting(), Addresses()
        place = Listen(ANY, proxies=("unix", "192.0.2.0/24"))
        async with serve(service, place, hooks=seen.hooks) as server:
            come_and_go(server)
            await until_closed(server)
            closed = server.stats.closed
            assert closed[CloseReason.RESET] + closed[CloseReason.REJECTED] == MANY
        assert service.calls == []
        assert None not in seen

    run(main())
    assert not [each for each in records(caplog) if "None" in each.getMessage()]


def test_proxy_that_has_gone_is_not_logged(run: Run[Any], caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with serve(Noting(), Listen(ANY, proxies=("127.0.0.0/8",))) as server:
            come_and_go(server)
            await until_closed(server)
            assert server.stats.accepted == MANY
            assert server.stats.closed[CloseReason.REJECTED] == 0

    run(main())
    assert records(caplog) == []


def test_who_has_gone_is_counted_or_met_by_nobody(run: Run[Any]) -> None:
    async def main() -> None:
        service, seen = Noting(), Addresses()
        async with serve(service, ANY, limits=Limits(peer_rate=1), hooks=seen.hooks) as server:
            come_and_go(server)
            await until_closed(server)
            assert server.stats.accepted == MANY
        assert None not in seen
        assert service.calls.count("connect") < MANY / 2

    run(main())


def test_who_goes_while_it_waits_for_a_place_is_not_told_as_nobody(run: Run[Any]) -> None:
    async def main() -> None:
        seen = Addresses()
        limits = Limits(connections=1)
        async with serve(Noting(), ANY, limits=limits, hooks=seen.hooks) as server:
            clients = [connect(server) for _ in range(3)]
            while not server.stats.waiting:
                await asyncio.sleep(0.01)
            for client in reversed(clients):
                reset(client)
            await until_closed(server, 3)
        assert None not in seen

    run(main())


def test_who_has_gone_when_the_server_stops_is_met_by_nobody(run: Run[Any]) -> None:
    async def main() -> None:
        service, seen = Noting(), Addresses()
        async with serve(service, ANY, hooks=seen.hooks) as server:
            server.pause()
            await asyncio.sleep(0.01)
            come_and_go(server)
            await server.drain()
            assert sum(server.stats.closed.values()) == server.stats.accepted
        assert None not in seen

    run(main())
