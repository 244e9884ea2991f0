"""Many who come at once: when the server stops, and when descriptors are few."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import subprocess
import sys
from typing import Any

import pytest
from loop_clients import ANY
from loop_runs import Run
from run_program import Program, Start, each_loop

from aionet.limits import CloseReason, Limits
from aionet.loops import LOOPS
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


SLOW = """
class Slow(aionet.Echo):
    def receive_data(self, peer, data):
        time.sleep(0.05)

run(WHERE, factory=Slow, loop=%r, timeouts=aionet.Timeouts(drain=0.1))
"""


@each_loop
def test_drain_that_a_flood_delays_resets_who_is_left_and_ends_well(
    start: Start, loop: str
) -> None:
    program = Program(start, SLOW % loop)
    with contextlib.ExitStack() as stack:
        for _ in range(5):  # so that a turn of the loop takes a quarter of a second
            flooder = stack.enter_context(program.connect())
            flooder.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    flooder.send(bytes(1 << 16))
        program.stop()


FEW = """
import asyncio, logging, resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
logging.basicConfig(level=logging.INFO)
from aionet.limits import Limits
from aionet.loops import loop_factory
from aionet.protocol import Echo
from aionet.server import serve

async def main():
    async with serve(Echo(), "tcp://127.0.0.1:0", limits=Limits(connections=1000)) as server:
        print(server.addresses[0].port, flush=True)
        await server.run_until_signal()

with asyncio.Runner(loop_factory=loop_factory(sys.argv[1])) as runner:
    runner.run(main())
"""


@pytest.mark.parametrize("loop", LOOPS)
def test_who_comes_when_descriptors_are_few_waits_and_is_served(loop: str) -> None:
    clients = 70

    async def visit(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"hello")
        answer = await reader.read(100)
        writer.close()
        await writer.wait_closed()
        return answer

    async def visits(port: int) -> list[bytes]:
        async with asyncio.timeout(40):  # whose SYN is dropped sends it again after 1, 2, 4 s
            return await asyncio.gather(*(visit(port) for _ in range(clients)))

    with subprocess.Popen(
        [sys.executable, "-c", FEW, loop], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            port = int(process.stdout.readline())
            assert asyncio.run(visits(port)) == [b"hello"] * clients
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=10)
        finally:
            process.kill()
    assert "Traceback" not in said
    assert all("newcomers wait" in line for line in said.splitlines())
