"""Many who come at once: when the server stops, and when descriptors are few."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Any

from loop_clients import ANY
from loop_runs import Run

from aionet.limits import CloseReason, Limits
from aionet.protocol import Echo
from aionet.server import Server, serve

CLIENTS = 20


def crowd(server: Server, stack: contextlib.ExitStack) -> list[socket.socket]:
    """Who is connected by the kernel and has said something, before the loop could look."""
    (address,) = server.addresses
    clients = []
    for number in range(CLIENTS):
        client = socket.create_connection((address.host, address.port))
        clients.append(stack.enter_context(client))
        client.sendall(b"%d" % number)
        client.setblocking(False)
    return clients


async def answers(clients: list[socket.socket]) -> list[bytes | None]:
    """What each was told before its end; None for who was reset."""
    loop = asyncio.get_running_loop()

    async def rest_of(client: socket.socket) -> bytes | None:
        received = b""
        try:
            while data := await loop.sock_recv(client, 1000):
                received += data
        except ConnectionResetError:
            return None
        return received

    return await asyncio.gather(*map(rest_of, clients))


def test_who_was_connected_when_the_server_stopped_is_answered(run: Run[Any]) -> None:
    async def main() -> None:
        with contextlib.ExitStack() as stack:
            async with serve(Echo(), ANY) as server:
                clients = crowd(server, stack)
                report = await server.drain()
            assert (report.finished, report.aborted) == (CLIENTS, 0)
            assert await answers(clients) == [b"%d" % number for number in range(CLIENTS)]

    run(main())


def test_who_waits_for_a_place_when_the_server_stops_is_answered(run: Run[Any]) -> None:
    async def main() -> None:
        with contextlib.ExitStack() as stack:
            async with serve(Echo(), ANY, limits=Limits(connections=1)) as server:
                clients = crowd(server, stack)
                while not server.stats.accepted:
                    await asyncio.sleep(0)
                report = await server.drain()
            stats = server.stats
            assert (report.finished, report.aborted) == (stats.accepted, 0)
            assert stats.closed[CloseReason.DRAIN] == stats.accepted
            told = [answer for answer in await answers(clients) if answer is not None]
            assert told == [b"%d" % number for number in range(stats.accepted)]

    run(main())
