"""The server on real sockets: opening, accepting, pausing, and serving."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from loop_clients import ANY, Client, let_the_loop_see_everything
from loop_runs import Run
from machine import needs_ipv6

from aionet.address import Address
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits
from aionet.listen import listen
from aionet.protocol import Deliveries, Echo
from aionet.server import Server, serve


@contextlib.contextmanager
def descriptors_do_not_leak() -> Iterator[None]:
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) <= before


# Where.


def test_a_server_needs_an_address() -> None:
    with pytest.raises(ValueError, match="an address, such as"):
        serve(Echo())


@pytest.mark.parametrize("service", [42, object(), "echo"])
def test_a_server_needs_a_service_or_a_handler(service: Any) -> None:
    with pytest.raises(ValueError, match="neither a Service"):
        serve(service, ANY)


@needs_ipv6
def test_every_kind_of_address_is_served_at_once(run: Run[Any], tmp_path: Path) -> None:
    async def main() -> None:
        mine = listen(Address.parse(ANY))
        port = mine.getsockname()[1]
        unix = f"unix://{tmp_path}/socket"
        async with serve(Echo(), unix, mine, ANY, Address.parse("tcp://[::1]:0")) as server:
            assert [address.scheme for address in server.addresses] == ["unix", *["tcp"] * 3]
            assert str(server.addresses[0]) == unix
            assert server.addresses[1] == Address("tcp", "127.0.0.1", port)
            async with Client(server) as client:
                assert await client.exchange(b"hello") == b"hello"
            for address in server.addresses[1:]:
                reader, writer = await asyncio.open_connection(address.host, address.port)
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"
                writer.close()
                await writer.wait_closed()
        assert server.stats.accepted == 4
        assert not (tmp_path / "socket").exists()

    run(main())


def test_an_address_that_is_taken_leaves_nothing_behind(run: Run[Any]) -> None:
    async def main() -> None:
        with listen(Address.parse(ANY)) as taken:
            port = taken.getsockname()[1]
            with descriptors_do_not_leak(), pytest.raises(OSError) as error:  # noqa: PT011
                async with serve(Echo(), ANY, f"tcp://127.0.0.1:{port}"):
                    pytest.fail("it listens")
            assert error.value.errno == errno.EADDRINUSE

    run(main())


def test_a_failure_halfway_into_opening_leaves_nothing_behind(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        await let_the_loop_see_everything()  # it opens some things once, and keeps them
        with descriptors_do_not_leak():
            server = serve(Echo(), ANY, "udp://127.0.0.1:0", ANY)
            opened: list[socket.socket] = []
            open_one = server._open

            def fail_at_the_third(loop: Any, sock: socket.socket, *more: Any) -> None:
                opened.append(sock)
                if len(opened) == 3:
                    raise OSError(errno.EMFILE, "as told")
                open_one(loop, sock, *more)

            monkeypatch.setattr(server, "_open", fail_at_the_third)
            with pytest.raises(OSError, match="as told"):
                await server.__aenter__()
            await let_the_loop_see_everything()
            assert not server.stats.accepting

    run(main())


def test_no_unix_file_is_left_where_a_later_address_is_taken(run: Run[Any], tmp_path: Path) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
            with pytest.raises(OSError, match=f"in use: '{address}'"):
                await serve(Echo(), f"unix://{tmp_path}/socket", address).__aenter__()
        assert list(tmp_path.iterdir()) == []

    run(main())


# Pause and resume.


def test_a_paused_server_leaves_newcomers_to_the_kernel_until_it_resumes(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server, Client(server) as before:
            assert await before.exchange(b"hello") == b"hello"
            server.pause()
            assert not server.stats.accepting
            await let_the_loop_see_everything()
            async with Client(server) as newcomer:
                await newcomer.send(b"anybody there?")
                await let_the_loop_see_everything()
                assert server.stats.accepted == 1
                assert await before.exchange(b"still") == b"still"
                server.resume()
                assert server.stats.accepting
                assert await newcomer.receive() == b"anybody there?"
                assert server.stats.accepted == 2

    run(main())


def test_pausing_and_resuming_twice_is_as_good_as_once(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server:
            for call, accepting in ((server.pause, False), (server.resume, True)):
                call()
                call()
                assert server.stats.accepting is accepting
            async with Client(server) as client:
                assert await client.exchange(b"hello") == b"hello"

    run(main())


def test_full_and_asked_to_pause_must_both_be_over(run: Run[Any]) -> None:
    async def main() -> None:
        gone = asyncio.Event()
        hooks = Hooks(on_close=lambda peer, reason: gone.set())
        async with serve(Echo(), ANY, limits=Limits(connections=1), hooks=hooks) as server:
            async with Client(server) as first:
                assert await first.exchange(b"one") == b"one"
                assert not server.stats.accepting  # full
                server.pause()
                server.resume()
                assert not server.stats.accepting  # still full
                server.pause()
            await gone.wait()
            assert not server.stats.accepting  # still asked
            async with Client(server) as second:
                await second.send(b"two")
                await let_the_loop_see_everything()
                assert server.stats.accepted == 1
                server.resume()
                assert await second.receive() == b"two"

    run(main())


def test_no_connection_is_lost_however_often_it_is_paused(run: Run[Any]) -> None:
    clients = 200

    async def main() -> None:
        done = 0

        async def visit(server: Server, number: int) -> None:
            nonlocal done
            async with Client(server) as client:
                said = b"%d" % number
                assert await client.exchange(said) == said
                client.finish()
                assert await client.receive_rest() == b""
            done += 1

        async def toggle(server: Server) -> None:
            turns = random.Random(7)
            while done < clients:
                server.pause()
                for _ in range(turns.randrange(4)):
                    await asyncio.sleep(0)
                server.resume()
                for _ in range(turns.randrange(6)):  # two are needed to accept anybody
                    await asyncio.sleep(0)

        async with serve(Echo(), ANY) as server, asyncio.TaskGroup() as tasks:
            tasks.create_task(toggle(server))
            for number in range(clients):
                tasks.create_task(visit(server, number))
        assert server.stats.accepted == server.stats.closed[CloseReason.EOF] == clients

    run(main())


# Served.


def test_a_greeting_of_any_size_is_delivered(run: Run[Any]) -> None:
    greeting = random.Random(7).randbytes(8 * 1024 * 1024)

    class Host(Echo):
        def connect(self, peer: Any) -> Deliveries:
            return ((peer, greeting),)

    async def main() -> None:
        async with serve(Host(), ANY) as server, Client(server) as client:
            received = bytearray()
            while len(received) < len(greeting):
                received += await client.receive()
            assert received == greeting
            assert await client.exchange(b"hello") == b"hello"

    run(main())


def test_a_picture_of_the_stats_does_not_change(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server:
            before = server.stats
            async with Client(server) as client:
                assert await client.exchange(b"hello") == b"hello"
            assert (before.accepted, server.stats.accepted) == (0, 1)
            with pytest.raises(TypeError):
                before.closed[CloseReason.EOF] = 7  # type: ignore[index]

    run(main())


@pytest.mark.parametrize(
    "ask",
    [
        lambda server: server.addresses,
        lambda server: server.run_until_signal(),
        lambda server: server.catch_signals(),
        lambda server: server.send_to(b"x", ("127.0.0.1", 7)),
        lambda server: server.stats,
        lambda server: server.pause(),
    ],
)
def test_server_that_has_not_been_entered_says_so(run: Run[Any], ask: Any) -> None:
    async def main() -> None:
        if asyncio.iscoroutine(answer := ask(serve(Echo(), ANY))):
            await answer

    with pytest.raises(RuntimeError, match=r"not been entered: async with serve\(...\)"):
        run(main())
