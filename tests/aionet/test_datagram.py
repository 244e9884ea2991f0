"""UDP: every datagram is answered, as far as the limits and the kernel allow."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import pytest

from aionet import datagram
from aionet.address import Address
from aionet.datagram import Datagram, DatagramEndpoint, RateLimit
from aionet.limits import Limits
from aionet.listen import listen
from aionet.loops import LOOPS, loop_factory
from aionet.protocol import Deliveries, Echo
from aionet.server import Server, serve

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

DEADLINE_S = 20.0  # for what takes much less, on a machine that is busy with other things
ANY = "udp://127.0.0.1:0"


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
    """A UDP socket that hears only the server."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    def send(self, data: bytes) -> None:
        assert self._sock.send(data) == len(data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, 1 << 16)

    async def exchange(self, data: bytes) -> bytes:
        self.send(data)
        return await self.receive()

    def answers(self) -> list[bytes]:
        """What has arrived already."""
        received = []
        with contextlib.suppress(BlockingIOError):
            while True:
                received.append(self._sock.recv(1 << 16))
        return received


@contextlib.contextmanager
def client_of(server: Server) -> Iterator[Client]:
    (address,) = server.addresses
    family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.setblocking(False)
        sock.connect((address.host, address.port))
        yield Client(sock)


class FakeSocket:
    """Keeps what is sent; fails as it is told to."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Any]] = []
        self.failure: OSError | None = None

    def sendto(self, data: bytes, peer: Any) -> int:
        if self.failure is not None:
            raise self.failure
        self.sent.append((data, peer))
        return len(data)


class FakeLoop:
    """Its only timer rings when it is told to."""

    def call_later(self, delay: float, callback: Callable[[], None]) -> FakeLoop:
        self.delay, self.ring = delay, callback
        return self

    def cancel(self) -> None:
        del self.ring


def endpoint(**limits: Any) -> tuple[DatagramEndpoint, FakeSocket, FakeLoop]:
    loop, sock = FakeLoop(), FakeSocket()
    made = DatagramEndpoint(loop, sock, Echo(), Limits(**limits))  # type: ignore[arg-type]
    made.connection_made(asyncio.BaseTransport())
    return made, sock, loop


# The rate limit.


def allowed(limit: RateLimit, peer: Any, tries: int = 10) -> int:
    return sum(limit.allows(peer) for _ in range(tries))


def test_a_source_is_answered_up_to_its_rate_whatever_its_port() -> None:
    limit = RateLimit(Limits(udp_rate=3))
    assert [limit.allows(("192.0.2.1", 5000 + number)) for number in range(5)] == [
        *(True, True, True),
        *(False, False),
    ]
    assert allowed(limit, ("192.0.2.2", 5000)) == 3


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("2001:db8::1", 5000, 0, 0), ("2001:db8::ffff:1", 5000, 0, 0), True),
        (("2001:db8::1", 5000, 0, 0), ("2001:db8:0:1::1", 5000, 0, 0), False),
        (("192.0.2.1", 5000), ("::ffff:192.0.2.1", 5000, 0, 0), True),
        (("::ffff:192.0.2.1", 5000, 0, 0), ("::ffff:192.0.2.2", 5000, 0, 0), False),
        (("fe80::1%eth0", 5000, 0, 2), ("fe80::2%eth0", 5000, 0, 2), True),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_64(one: Any, other: Any, same: bool) -> None:
    limit = RateLimit(Limits(udp_rate=3))
    assert allowed(limit, one) == 3
    assert allowed(limit, other) == (0 if same else 3)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
def test_this_machine_has_a_rate_of_its_own_by_default_none(host: str) -> None:
    assert allowed(RateLimit(Limits(udp_rate=1)), (host, 5000), 5000) == 5000
    limit = RateLimit(Limits(udp_rate=1, udp_rate_loopback=3))
    assert allowed(limit, (host, 5000)) == 3


def test_without_a_rate_everybody_is_answered() -> None:
    limit = RateLimit(Limits(udp_rate=None, udp_rate_loopback=1))
    assert allowed(limit, ("192.0.2.1", 5000), 5000) == 5000


@pytest.mark.parametrize("host", ["192.0.2.1", "127.0.0.1", "::1"])
@pytest.mark.parametrize(("port", "answers"), [(0, 0), (7, 0), (1023, 0), (1024, 10)])
def test_ports_of_services_that_might_answer_back_get_no_answer(
    host: str, port: int, answers: int
) -> None:
    limit = RateLimit(Limits(udp_rate=None))
    assert allowed(limit, (host, port)) == answers


def test_every_second_all_is_forgotten() -> None:
    made, sock, loop = endpoint(udp_rate=2)
    assert loop.delay == 1.0
    for _ in range(3):
        sock.sent.clear()
        for number in range(5):
            made.datagram_received(b"%d" % number, ("192.0.2.1", 5000))
        assert [data for data, _ in sock.sent] == [b"0", b"1"]
        loop.ring()
    assert (made.datagrams, made.replies, made.unanswered) == (15, 6, 9)


def test_forgetting_gives_the_memory_back() -> None:
    limit = RateLimit(Limits())
    for number in range(1000):
        limit.allows((f"2001:db8:0:{number:x}::1", 5000, 0, 0))
    assert len(limit._of_host) == len(limit._of_source) == 1000
    limit.forget()
    assert len(limit._of_host) == len(limit._of_source) == 0


def test_a_reply_that_the_kernel_does_not_take_is_counted_and_lost() -> None:
    made, sock, _ = endpoint()
    for failure in (BlockingIOError(), ConnectionRefusedError(), OSError(113, "no route")):
        sock.failure = failure
        made.datagram_received(b"hello", ("192.0.2.1", 5000))
    sock.failure = None
    made.datagram_received(b"hello", ("192.0.2.1", 5000))
    assert (made.datagrams, made.replies, made.unanswered) == (4, 1, 3)


# On real sockets.


@pytest.mark.parametrize("at", [ANY, "udp://[::1]:0"])
def test_every_datagram_is_echoed_whole_the_empty_one_too(run: Run[Any], at: str) -> None:
    async def main() -> None:
        async with serve(Echo(), at) as server:
            with client_of(server) as client:
                for data in (b"hello", b"", bytes(60_000), b"", b"world"):
                    assert await client.exchange(data) == data
        assert server.stats.datagrams == server.stats.replies == 5
        assert server.stats.unanswered == 0

    run(main())


def test_a_service_may_answer_others_and_more_than_once(run: Run[Any]) -> None:
    class Gossip:
        def __init__(self) -> None:
            self.known: list[Any] = []

        def connect(self, peer: Any) -> Deliveries:
            raise AssertionError("there are no connections")

        receive_eof = connect

        def receive_data(self, peer: Any, data: bytes) -> Deliveries:
            if peer not in self.known:
                self.known.append(peer)
            return [(each, data) for each in self.known] * 2

    async def main() -> None:
        async with serve(Gossip(), ANY) as server:
            with client_of(server) as ann, client_of(server) as bob:
                assert await ann.exchange(b"one") == await ann.receive() == b"one"
                assert await bob.exchange(b"two") == await ann.receive() == b"two"

    run(main())


def test_the_rate_limit_holds_on_a_real_socket(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "WINDOW_S", 1000.0)

    async def main() -> None:
        async with serve(Echo(), ANY, limits=Limits(udp_rate_loopback=2)) as server:
            with client_of(server) as client, client_of(server) as same_host:
                for number in range(4):
                    client.send(b"%d" % number)
                same_host.send(b"me, too?")
                await server.drain()
                assert client.answers() == [b"0", b"1"]
                assert same_host.answers() == []
        stats = server.stats
        assert (stats.datagrams, stats.replies, stats.unanswered) == (5, 2, 3)

    run(main())


def test_a_service_that_fails_costs_one_answer(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    class Picky(Echo):
        def receive_data(self, peer: Any, data: bytes) -> Deliveries:
            if data == b"fail":
                raise LookupError("as told")
            return super().receive_data(peer, data)

    async def main() -> None:
        async with serve(Picky(), ANY) as server:
            with client_of(server) as client:
                client.send(b"fail")
                assert await client.exchange(b"hello") == b"hello"

    run(main())
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


def test_a_peer_that_has_gone_is_no_failure(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server:
            for _ in range(3):
                with client_of(server) as gone:
                    gone.send(b"hello")
                with client_of(server) as client:
                    assert await client.exchange(b"hello") == b"hello"

    run(main())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_the_kernel_drops_is_counted_beyond_the_end(run: Run[Any]) -> None:
    sent = 500

    async def main() -> None:
        sock = listen(Address.parse(ANY))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with serve(Echo(), sock) as server:
            with client_of(server) as client:
                for _ in range(sent):  # while nobody reads
                    client.send(bytes(100))
                await server.drain()
            assert server.stats.dropped > 0
        stats = server.stats
        assert stats.dropped + stats.datagrams == sent

    run(main())


def test_draining_answers_what_has_arrived(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server:
            with client_of(server) as client:
                for number in range(20):
                    client.send(b"%d" % number)
                await server.drain()
                assert client.answers() == [b"%d" % number for number in range(20)]

    run(main())


# Handlers.


def test_a_handler_is_called_for_every_datagram_and_may_take_its_time(run: Run[Any]) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def handler(received: Datagram) -> None:
            if received.data == b"slow":
                await go.wait()
            assert received.reply(received.data.upper())

        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                client.send(b"slow")
                for data in (b"quick", b"", b"quick, too"):
                    assert await client.exchange(data) == data.upper()
                go.set()
                assert await client.receive() == b"SLOW"
        assert server.stats.datagrams == server.stats.replies == 4

    run(main())


def test_a_handler_knows_the_sender_and_may_answer_several_times(run: Run[Any]) -> None:
    async def handler(received: Datagram) -> None:
        host, port = received.sender[:2]
        for word in (host, str(port), ""):
            received.reply(word.encode())

    async def main() -> None:
        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                assert await client.exchange(b"who am I?") == b"127.0.0.1"
                assert await client.receive() == str(client._sock.getsockname()[1]).encode()
                assert await client.receive() == b""

    run(main())


def test_a_reply_over_the_rate_is_told_to_the_handler(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "WINDOW_S", 1000.0)

    async def main() -> None:
        went: list[bool] = []

        async def handler(received: Datagram) -> None:
            went.extend(received.reply(b"again") for _ in range(3))

        async with serve(handler, ANY, limits=Limits(udp_rate_loopback=2)) as server:
            with client_of(server) as client:
                client.send(b"hello")
                await server.drain()
        assert went == [True, True, False]
        assert (server.stats.replies, server.stats.unanswered) == (2, 1)

    run(main())


def test_a_handler_that_fails_is_logged_and_others_go_on(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def handler(received: Datagram) -> None:
        received.reply(b"%d" % (100 // int(received.data)))

    async def main() -> None:
        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                client.send(b"0")
                assert await client.exchange(b"5") == b"20"

    run(main())
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert record.exc_info[0] is ZeroDivisionError


def test_what_comes_while_too_many_are_at_work_is_not_handled(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "HANDLERS", 2)

    async def main() -> None:
        go = asyncio.Event()

        async def handler(received: Datagram) -> None:
            await go.wait()
            received.reply(received.data)

        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                for number in range(5):
                    client.send(b"%d" % number)
                while server.stats.unanswered < 3:
                    await asyncio.sleep(0)
                go.set()
                assert sorted([await client.receive(), await client.receive()]) == [b"0", b"1"]
                assert await client.exchange(b"room again") == b"room again"

    run(main())


def test_draining_waits_for_handlers_until_the_deadline(run: Run[Any]) -> None:
    async def main() -> None:
        begun, go, ended = asyncio.Event(), asyncio.Event(), []

        async def handler(received: Datagram) -> None:
            begun.set()
            try:
                if received.data == b"stuck":
                    await asyncio.Event().wait()
                await go.wait()
                ended.append(received.reply(b"done"))
            except asyncio.CancelledError:
                ended.append("cancelled")
                raise

        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                client.send(b"slow")
                await begun.wait()
                asyncio.get_running_loop().call_soon(go.set)
                await server.drain()
                assert await client.receive() == b"done"
        begun.clear()
        async with serve(handler, ANY) as server:
            with client_of(server) as client:
                client.send(b"stuck")
                await begun.wait()
                await server.drain(0.05)
        assert ended == [True, "cancelled"]

    run(main())
