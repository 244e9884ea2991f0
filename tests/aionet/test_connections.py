"""Every connection ends for exactly one reason, and the counters add up."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from aionet.connections import source_of
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.loops import LOOPS, loop_factory
from aionet.protocol import OVERSIZE, Deliveries, Echo, Room
from aionet.server import Server, serve
from aionet.testing import MemoryServer, Peer

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]

DEADLINE_S = 20.0  # for what takes much less, on a machine that is busy with other things
ANY = "tcp://127.0.0.1:0"
PATIENT = Timeouts(idle=None, message=None, write=None, half_closed=None)
RESET = struct.pack("ii", 1, 0)


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


class Witness:
    """Sees who comes and how they go, and wakes who waits for that."""

    def __init__(self) -> None:
        self.opened: list[Any] = []
        self.closed: list[tuple[Any, CloseReason]] = []
        self.rejected: list[Any] = []
        self.hooks = Hooks(on_open=self.open, on_close=self.close, on_reject=self.reject)
        self._changed = asyncio.Event()

    def open(self, peer: Any) -> None:
        self.opened.append(peer.address)
        self._changed.set()

    def close(self, peer: Any, reason: CloseReason) -> None:
        self.closed.append((peer.address, reason))
        self._changed.set()

    def reject(self, peer: Any) -> None:
        self.rejected.append(peer.address)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    @property
    def reasons(self) -> list[CloseReason]:
        return [reason for _, reason in self.closed]


class Client:
    """A connection to a server on the same loop."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._loop = asyncio.get_running_loop()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._sock, data)

    async def receive(self) -> bytes:
        return await self._loop.sock_recv(self._sock, 1 << 20)

    async def receive_rest(self) -> bytes:
        received = b""
        while data := await self.receive():
            received += data
        return received

    async def receive_reset(self) -> None:
        with pytest.raises(ConnectionResetError):
            await self.receive_rest()

    def finish(self) -> None:
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._sock.close()

    def reset(self) -> None:
        self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self._sock.close()


@contextmanager
def new_socket(server: Server, receive_buffer: int | None) -> Iterator[socket.socket]:
    family = socket.AF_UNIX if server.addresses[0].scheme == "unix" else socket.AF_INET
    with socket.socket(family) as sock:
        if receive_buffer is not None:  # only before connecting does it bound the window
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.setblocking(False)
        yield sock


class Clients:
    """Connects clients, and closes those that are left."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._sockets: list[Any] = []

    async def connect(self, *, receive_buffer: int | None = None) -> Client:
        context = new_socket(self._server, receive_buffer)
        sock = context.__enter__()
        self._sockets.append(context)
        (address, *_) = self._server.addresses
        where = address.path if address.scheme == "unix" else (address.host, address.port)
        await asyncio.get_running_loop().sock_connect(sock, where)
        return Client(sock)

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *ignored: object) -> None:
        for context in self._sockets:
            context.__exit__(None, None, None)


class Commands(Echo):
    """Does what it is told, to show what a shell makes of it."""

    def __init__(self) -> None:
        self.peers: list[Any] = []
        self.ended: list[Any] = []

    def connect(self, peer: Any) -> Deliveries:
        self.peers.append(peer)
        return ()

    def receive_data(self, peer: Any, data: bytes) -> Deliveries:
        if data == b"fail":
            raise LookupError("as told")
        if data == b"flood":
            return [(each, bytes(1 << 20)) for each in self.peers if each is not peer]
        if data == b"flood me":
            return [(peer, bytes(1 << 20))] * 16
        if data == b"quit":
            return [(peer, b"bye"), (peer, b""), (peer, b"never said")]
        return [(peer, data)]

    def receive_eof(self, peer: Any) -> Deliveries:
        self.ended.append(peer)
        return [(peer, b"")]


class Deaf(Commands):
    """Goes on after its peer has finished."""

    def receive_eof(self, peer: Any) -> Deliveries:
        self.ended.append(peer)
        return ()


Story = Callable[[Clients, Witness], Coroutine[Any, Any, None]]


async def end_of(
    story: Story,
    service: Any = None,
    *,
    at: str = ANY,
    limits: Limits | None = None,
    timeouts: Timeouts = PATIENT,
) -> list[CloseReason]:
    """The reasons of all ends in a story, after the server has drained."""
    witness = Witness()
    service = service or Commands()
    async with serve(service, at, limits=limits, timeouts=timeouts, hooks=witness.hooks) as server:
        with Clients(server) as clients:
            await story(clients, witness)
            await server.drain(0.2)
    stats = server.stats
    assert stats.open == 0
    assert not stats.accepting
    assert set(stats.closed) == set(CloseReason)
    assert stats.accepted == sum(stats.closed.values())
    assert stats.accepted == len(witness.opened) + len(witness.rejected)
    assert sorted(witness.opened) == sorted(address for address, _ in witness.closed)
    for reason in CloseReason:
        rejected = len(witness.rejected) if reason is CloseReason.REJECTED else 0
        assert stats.closed[reason] == witness.reasons.count(reason) + rejected
    return [*witness.reasons, *[CloseReason.REJECTED] * len(witness.rejected)]


# One test for each reason.


def test_eof_is_a_peer_that_has_finished_and_got_everything(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"hello")
        client.finish()
        assert await client.receive_rest() == b"hello"
        await witness.until(lambda: witness.closed)

    assert run(end_of(story, Echo())) == [CloseReason.EOF]


def test_eof_is_a_peer_that_leaves_without_a_word(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        (await clients.connect()).close()
        await witness.until(lambda: witness.closed)

    assert run(end_of(story, Echo())) == [CloseReason.EOF]


def test_done_is_an_end_that_the_service_asked_for(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"quit")
        assert await client.receive_rest() == b"bye"
        client.close()
        await witness.until(lambda: witness.closed)

    service = Commands()
    assert run(end_of(story, service)) == [CloseReason.DONE]
    assert service.ended == service.peers


def test_done_waits_no_longer_than_linger_for_its_peer(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"quit")
        await witness.until(lambda: witness.closed)  # though the client never closes
        assert await client.receive_rest() == b"bye"

    timeouts = Timeouts(idle=None, linger=0.1)
    assert run(end_of(story, timeouts=timeouts)) == [CloseReason.DONE]


def test_idle_is_a_peer_that_says_nothing(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        assert await client.receive_rest() == b""
        await witness.until(lambda: witness.closed)

    service = Commands()
    assert run(end_of(story, service, timeouts=Timeouts(idle=0.1))) == [CloseReason.IDLE]
    assert service.ended == service.peers


def test_idle_is_a_peer_that_has_finished_and_is_told_nothing(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        client.finish()
        assert await client.receive_rest() == b""
        await witness.until(lambda: witness.closed)

    service = Deaf()
    timeouts = Timeouts(idle=None, half_closed=0.1)
    assert run(end_of(story, service, timeouts=timeouts)) == [CloseReason.IDLE]
    assert service.ended == service.peers


def test_slow_message_is_a_line_that_does_not_end(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"an")
        await client.receive_rest()
        await witness.until(lambda: witness.closed)

    reasons = run(end_of(story, Room(), timeouts=Timeouts(idle=None, message=0.1)))
    assert reasons == [CloseReason.SLOW_MESSAGE]


def test_slow_reader_is_a_peer_for_whom_others_said_too_much(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        stalled = await clients.connect(receive_buffer=4096)
        talker = await clients.connect()
        await witness.until(lambda: len(witness.opened) == 2)
        while not witness.closed:
            await talker.send(b"flood")
            await talker.send(b"ping")
            await talker.receive()
        await stalled.receive_reset()

    assert run(end_of(story)) == [CloseReason.SLOW_READER, CloseReason.DRAIN]


def test_slow_reader_is_a_peer_that_takes_nothing_over_tcp(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect(receive_buffer=4096)
        await client.send(b"flood me")
        await witness.until(lambda: witness.closed)
        await client.receive_reset()

    reasons = run(end_of(story, timeouts=Timeouts(idle=None, write=0.5)))
    assert reasons == [CloseReason.SLOW_READER]


def test_slow_reader_is_a_peer_that_takes_nothing_on_a_unix_socket(
    run: Run[Any], tmp_path: Path
) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"flood me")
        await witness.until(lambda: witness.closed)

    timeouts = Timeouts(idle=None, write=0.2)
    reasons = run(end_of(story, at=f"unix://{tmp_path}/socket", timeouts=timeouts))
    assert reasons == [CloseReason.SLOW_READER]


def test_oversize_is_a_line_over_the_limit(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"x" * 20)
        assert (await client.receive_rest()).endswith(b"! line is over 10 bytes\n")
        client.close()
        await witness.until(lambda: witness.closed)

    assert run(end_of(story, Room(line_limit=10))) == [CloseReason.OVERSIZE]


@pytest.mark.parametrize("limits", [Limits(connections=1, on_full="reject"), Limits(per_peer=1)])
def test_rejected_is_who_comes_when_a_limit_is_reached(run: Run[Any], limits: Limits) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        first = await clients.connect()
        await witness.until(lambda: witness.opened)
        with pytest.raises(ConnectionResetError):  # by the first call that can tell
            await (await clients.connect()).receive_rest()
        await witness.until(lambda: witness.rejected)
        await first.send(b"still here")
        assert await first.receive() == b"still here"

    service = Commands()
    assert run(end_of(story, service, limits=limits)) == [CloseReason.DRAIN, CloseReason.REJECTED]
    assert len(service.peers) == 1


def test_drain_is_who_was_there_when_the_server_stopped(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        await clients.connect()
        await witness.until(lambda: witness.opened)

    service = Commands()
    assert run(end_of(story, service)) == [CloseReason.DRAIN]
    assert service.ended == service.peers


def test_drain_is_also_who_had_to_be_reset(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        await clients.connect()
        await witness.until(lambda: witness.opened)

    service = Deaf()
    assert run(end_of(story, service)) == [CloseReason.DRAIN]
    assert service.ended == service.peers


def test_reset_is_a_connection_that_the_peer_broke(run: Run[Any]) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        client = await clients.connect()
        await client.send(b"hello")
        assert await client.receive() == b"hello"
        client.reset()
        await witness.until(lambda: witness.closed)

    service = Commands()
    assert run(end_of(story, service)) == [CloseReason.RESET]
    assert service.ended == service.peers


def test_error_is_a_service_that_failed_and_the_others_stay(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def story(clients: Clients, witness: Witness) -> None:
        other, client = await clients.connect(), await clients.connect()
        await client.send(b"fail")
        await client.receive_reset()
        await witness.until(lambda: witness.closed)
        await other.send(b"still here")
        assert await other.receive() == b"still here"

    service = Commands()
    assert run(end_of(story, service)) == [CloseReason.ERROR, CloseReason.DRAIN]
    assert sorted(map(id, service.ended)) == sorted(map(id, service.peers))
    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert record.exc_info is not None
    assert record.exc_info[0] is LookupError


# Hooks.


def test_a_hook_that_raises_is_logged_and_the_connection_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(*ignored: Any) -> None:
        raise LookupError("as told")

    hooks = Hooks(on_open=fail, on_close=fail, on_reject=fail)
    limits = Limits(connections=1, on_full="reject")
    with MemoryServer(Echo(), hooks=hooks, limits=limits) as server:
        peer, rejected = server.connect(), server.connect()
        peer.send(b"hello")
        peer.finish()
        assert peer.received == b"hello"
        assert peer.closed is CloseReason.EOF
        assert rejected.closed is CloseReason.REJECTED
    assert [record.message for record in caplog.records] == ["a hook failed"] * 3


# Places.


def test_who_waits_is_served_in_order_once_there_is_a_place() -> None:
    with MemoryServer(Room(), limits=Limits(connections=1)) as server:
        first, second, third = (server.connect() for _ in range(3))
        second.send(b"bob\n")
        assert second.received == third.received == b""
        assert (server.stats.open, server.stats.waiting) == (3, 2)
        assert not server.stats.accepting
        first.reset()
        assert b"The room contains" in second.received
        assert third.received == b""
        assert (server.stats.open, server.stats.waiting) == (2, 1)


def test_who_left_while_waiting_does_not_take_a_place() -> None:
    witness = Witness()
    with MemoryServer(Echo(), limits=Limits(connections=1), hooks=witness.hooks) as server:
        first, second, third = (
            server.connect(("192.0.2.1", 40000 + number)) for number in range(3)
        )
        second.reset()
        first.finish()
        assert second.closed is CloseReason.RESET
        third.send(b"hello")
        assert third.received == b"hello"
        assert witness.opened == [("192.0.2.1", 40000), ("192.0.2.1", 40002)]
        third.finish()
        assert server.stats.accepting


def test_a_place_of_a_host_is_free_again_after_any_end() -> None:
    with MemoryServer(Commands(), limits=Limits(per_peer=1), timeouts=Timeouts(idle=5)) as server:
        for end in ("finish", "reset", "advance", "fail"):
            peer = server.connect()
            assert server.connect().closed is CloseReason.REJECTED
            if end == "advance":
                server.advance(7)
            elif end == "fail":
                peer.send(b"fail")
            else:
                getattr(peer, end)()
            assert peer.closed is not None, end
        assert server.connect().closed is None


def test_a_host_that_gives_one_place_back_gets_one() -> None:
    with MemoryServer(Echo(), limits=Limits(per_peer=2)) as server:
        first, _ = server.connect(), server.connect()
        first.finish()
        assert server.connect().closed is None
        assert server.connect().closed is CloseReason.REJECTED
        assert server.connect(("192.0.2.2", 40000)).closed is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("192.0.2.1", 1), ("192.0.2.1", 2), True),
        (("192.0.2.1", 1), ("192.0.2.2", 1), False),
        (("192.0.2.1", 1), ("::ffff:192.0.2.1", 1, 0, 0), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8::ffff:1", 2, 0, 0), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8:0:1::1", 1, 0, 0), False),
        (("fe80::1%lo", 1, 0, 1), ("fe80::2%lo", 1, 0, 1), True),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_64(one: Any, other: Any, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


@pytest.mark.parametrize("address", ["", "/run/socket", None, b"\0name"])
def test_peers_on_unix_sockets_have_no_source(address: Any) -> None:
    assert source_of(address) is None


# Whatever happens.

HOSTS = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
PIECE = 3000


class Obedient:
    """A service that does as the data says, and notes when a shell breaks the contract."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.connected: list[Any] = []
        self.ended: list[Any] = []
        self.talking: dict[Any, int | None] = {}
        self.fails_at_connect = False
        self.fails_at_eof = False
        self.answers_eof = True
        self.goodbyes = 0

    def connect(self, peer: Any) -> Deliveries:
        if peer in self.connected:
            self.faults.append("connected twice")
        self.connected.append(peer)
        if self.fails_at_connect:
            raise LookupError("as told")
        return [(peer, b"hello")]

    def receive_data(self, peer: Any, data: bytes) -> Deliveries:
        if peer not in self.connected or peer in self.ended:
            self.faults.append("data out of turn")
        if not data:
            self.faults.append("no data")
        self.talking[peer] = len(self.connected) if data == b"begin" else None
        return self._answer(peer, data)

    def _answer(self, peer: Any, data: bytes) -> Deliveries:
        if data == b"flood me":
            yield peer, bytes(PIECE)
        elif data == b"flood":
            for each in self.connected:
                if each is not peer:
                    yield each, bytes(PIECE)
        elif data == b"oversize":
            yield peer, OVERSIZE
        elif data == b"quit":
            yield peer, b"bye"
            yield peer, b""
            yield peer, b"never said"
        elif data == b"evict":
            for each in self.connected:
                yield each, b""
        elif data == b"fail":
            yield peer, b"now:"
            raise LookupError("as told")
        else:
            yield peer, data

    def receive_eof(self, peer: Any) -> Deliveries:
        if peer not in self.connected:
            self.faults.append("end of a stranger")
        if peer in self.ended:
            self.faults.append("ended twice")
        self.ended.append(peer)
        self.talking.pop(peer, None)
        if self.fails_at_eof:
            raise LookupError("as told")
        return [(peer, b"")] if self.answers_eof else ()

    def unfinished(self, peer: Any) -> int | None:
        return self.talking.get(peer)

    def say_goodbye(self) -> Deliveries:
        self.goodbyes += 1
        return [(peer, b"goodbye") for peer in self.connected]


seconds = st.sampled_from([0.1, 1.0, 5.0, 15.0, 50.0])
maybe = st.none() | st.sampled_from([8.0, 16.0, 40.0])
whoever = st.integers(0, 99)
rarely = st.sampled_from([False] * 5 + [True])
WORDS = [b"hello", b"begin", b"end", b"flood", b"flood me", b"oversize", b"quit", b"fail", b"evict"]


class AnyLife(RuleBasedStateMachine):
    """Peers come, talk, stall and go in any order, under any limits, while time passes."""

    @initialize(
        connections=st.none() | st.integers(1, 3),
        per_peer=st.none() | st.integers(1, 2),
        on_full=st.sampled_from(["queue", "reject"]),
        idle=maybe,
        message=maybe,
        write=maybe,
        half_closed=maybe,
        answers_eof=st.booleans(),
    )
    def start(
        self, connections: Any, per_peer: Any, on_full: Any, answers_eof: bool, **waits: Any
    ) -> None:
        logging.getLogger("aionet").disabled = True  # failures are what is asked for here
        self.service = Obedient()
        self.service.answers_eof = answers_eof
        self.limit = connections
        self.per_peer = per_peer
        self.witness = Witness()
        self.all: dict[Any, Peer] = {}
        self.talkative: list[Peer] = []  # who has not finished sending
        self.drained = False
        limits = Limits(
            connections=connections,
            per_peer=per_peer,
            on_full=on_full,
            write_buffer=2000,
            outbox=10_000,
        )
        timeouts = Timeouts(**waits, linger=1, drain=2)
        self.server = MemoryServer(
            self.service, limits=limits, timeouts=timeouts, hooks=self.witness.hooks
        )
        self.server.__enter__()

    @rule(host=st.sampled_from(HOSTS), fails=rarely)
    def connect(self, host: str, fails: bool) -> None:
        self.service.fails_at_connect = fails
        address = (host, 40000 + len(self.all))
        peer = self.all[address] = self.server.connect(address)
        self.talkative.append(peer)
        self.service.fails_at_connect = False

    @precondition(lambda self: self.talkative)
    @rule(who=whoever, said=st.sampled_from(WORDS))
    def talk(self, who: int, said: bytes) -> None:
        self.talkative[who % len(self.talkative)].send(said)

    @precondition(lambda self: self.talkative)
    @rule(who=whoever, fails=rarely)
    def finish(self, who: int, fails: bool) -> None:
        self.service.fails_at_eof = fails
        self.talkative.pop(who % len(self.talkative)).finish()
        self.service.fails_at_eof = False

    def someone(self, who: int) -> Peer:
        return list(self.all.values())[who % len(self.all)]

    @precondition(lambda self: self.all)
    @rule(who=whoever)
    def reset(self, who: int) -> None:
        self.someone(who).reset()

    @precondition(lambda self: self.all)
    @rule(who=whoever)
    def stop_reading(self, who: int) -> None:
        self.someone(who).stop_reading()

    @precondition(lambda self: self.all)
    @rule(who=whoever)
    def start_reading(self, who: int) -> None:
        self.someone(who).start_reading()

    @rule(passed=seconds)
    def wait(self, passed: float) -> None:
        self.server.advance(passed)

    @precondition(lambda self: len(self.all) > 4 and not self.drained)
    @rule(now=rarely)
    def drain(self, now: bool) -> None:
        if not now:
            return
        before = self.server.stats.open
        report = self.server.drain()
        self.drained = True
        assert report.finished + report.aborted == before
        assert self.server.stats.open == 0

    @invariant()
    def the_counters_add_up(self) -> None:
        stats = self.server.stats
        assert stats.accepted == len(self.all) == stats.open + sum(stats.closed.values())
        gone = [peer.closed for peer in self.all.values() if peer.closed is not None]
        for reason in CloseReason:
            assert stats.closed[reason] == gone.count(reason)

    @invariant()
    def limits_are_kept(self) -> None:
        stats, witness = self.server.stats, self.witness
        gone = {address for address, _ in witness.closed}
        served = [address for address in witness.opened if address not in gone]
        assert len(served) + stats.waiting == stats.open
        if self.limit is not None:
            assert len(served) <= self.limit
            assert not stats.waiting or len(served) == self.limit
        if self.per_peer is not None:
            for host in HOSTS:
                assert sum(address[0] == host for address in served) <= self.per_peer

    @invariant()
    def hooks_tell_the_truth(self) -> None:
        witness = self.witness
        assert len(set(witness.opened)) == len(witness.opened)
        assert len({address for address, _ in witness.closed}) == len(witness.closed)
        for address, reason in witness.closed:
            assert address in witness.opened
            assert self.all[address].closed is reason
        for address in witness.rejected:
            assert address not in witness.opened
            assert self.all[address].closed is CloseReason.REJECTED
            assert self.all[address].was_reset

    @invariant()
    def the_contract_holds(self) -> None:
        service = self.service
        assert service.faults == []
        assert [peer.address for peer in service.connected] == self.witness.opened
        gone = {address for address, _ in self.witness.closed}
        assert gone <= {peer.address for peer in service.ended}

    def teardown(self) -> None:
        if not hasattr(self, "server"):
            return
        self.server.__exit__(None, None, None)
        assert self.service.goodbyes == 1
        assert self.server.stats.open == 0
        for each in (
            self.the_counters_add_up,
            self.limits_are_kept,
            self.hooks_tell_the_truth,
            self.the_contract_holds,
        ):
            each()
        assert sorted(self.witness.opened) == sorted(address for address, _ in self.witness.closed)
        logging.getLogger("aionet").disabled = False


TestAnyLife = AnyLife.TestCase
TestAnyLife.settings = settings(max_examples=20, stateful_step_count=30)
