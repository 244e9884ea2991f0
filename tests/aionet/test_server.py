"""The server on real sockets: accepting, pausing, being full, and stopping."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
import random
import signal
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from aionet import listener
from aionet.address import Address
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.listen import listen
from aionet.listener import Gate
from aionet.loops import LOOPS, loop_factory
from aionet.protocol import Deliveries, Echo, Room
from aionet.server import Server, serve
from aionet.stats import DrainReport
from aionet.stream import Stream

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

DEADLINE_S = 20.0  # for what takes much less, on a machine that is busy with other things
ANY = "tcp://127.0.0.1:0"


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Runs a coroutine on each loop, with a deadline."""

    def run(work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(DEADLINE_S):
                return await work

        with asyncio.Runner(loop_factory=loop_factory(request.param)) as runner:
            return runner.run(bounded())

    return run


class Client:
    """A connection to the first address of a server on the same loop, as a context manager."""

    def __init__(self, server: Server) -> None:
        (address, *_) = server.addresses
        unix = address.scheme == "unix"
        self._where = address.path if unix else (address.host, address.port)
        self._sock = socket.socket(socket.AF_UNIX if unix else socket.AF_INET)
        self._sock.setblocking(False)
        self._loop = asyncio.get_running_loop()

    async def __aenter__(self) -> Client:
        try:
            await self._loop.sock_connect(self._sock, self._where)
        except BaseException:
            self._sock.close()
            raise
        return self

    async def __aexit__(self, *ignored: object) -> None:
        self._sock.close()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self, size: int = 1 << 16) -> bytes:
        return await self._loop.sock_recv(self._sock, size)

    async def receive_rest(self) -> bytes:
        received = b""
        while data := await self.receive():
            received += data
        return received

    def finish(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._sock.close()

    async def exchange(self, data: bytes) -> bytes:
        await self.send(data)
        received = b""
        while len(received) < len(data) and (piece := await self.receive()):
            received += piece
        return received


async def let_the_loop_see_everything() -> None:
    """Return when whatever is ready on this loop has been dealt with, by a server beside."""
    async with serve(Echo(), ANY) as other:
        for _ in range(3):
            async with Client(other) as client:
                assert await client.exchange(b"ping") == b"ping"


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
    with pytest.raises(ValueError, match="neither a service"):
        serve(service, ANY)


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
            server = serve(Echo(), ANY, ANY)
            opened: list[socket.socket] = []
            open_one = server._open

            async def fail_at_the_second(loop: Any, sock: socket.socket) -> None:
                opened.append(sock)
                if len(opened) == 2:
                    raise OSError(errno.EMFILE, "as told")
                await open_one(loop, sock)

            monkeypatch.setattr(server, "_open", fail_at_the_second)
            with pytest.raises(OSError, match="as told"):
                await server.__aenter__()
            await let_the_loop_see_everything()
            assert not server.stats.accepting

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


# Full.


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
        monkeypatch.setattr(listener, "_descriptors_are_short", lambda **more: short)
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


# The end.


class Deaf(Echo):
    """Goes on after its peer has finished."""

    def receive_eof(self, peer: Any) -> Deliveries:
        return ()


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

    before = signal.getsignal(number)
    try:
        run(main())
    finally:
        signal.signal(number, before)


def test_run_until_signal_reports_how_it_ended(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server, Client(server) as client:
            assert await client.exchange(b"hello") == b"hello"
            running = asyncio.create_task(server.run_until_signal())
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGTERM)
            assert await running == DrainReport(1, 0)

    before = {each: signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        run(main())
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


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
