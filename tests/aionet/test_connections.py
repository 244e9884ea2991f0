"""Every connection ends for exactly one reason, and the counters add up."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from witnesses import Witness

from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import CLOSE, OVERSIZE, Answer, Deliveries, Echo, Service
from aionet.testing import MemoryServer, Peer

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
    assert len(caplog.records) == 3
    assert all(record.message.startswith("a hook failed") for record in caplog.records)


# Whatever happens.

HOSTS = ("192.0.2.1", "192.0.2.2", "2001:db8::1")
PIECE = 3000


class Obedient(Service):
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

    def connect(self, peer: Any) -> Answer:
        if peer in self.connected:
            self.faults.append("connected twice")
        self.connected.append(peer)
        if self.fails_at_connect:
            raise LookupError("as told")
        return [(peer, b"hello")]

    def receive_data(self, peer: Any, data: bytes) -> Answer:
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
            yield peer, CLOSE
            yield peer, b"never said"
        elif data == b"evict":
            for each in self.connected:
                yield each, CLOSE
        elif data == b"fail":
            yield peer, b"now:"
            raise LookupError("as told")
        else:
            yield peer, data

    def receive_eof(self, peer: Any) -> Answer:
        if peer not in self.connected:
            self.faults.append("end of a stranger")
        if peer in self.ended:
            self.faults.append("ended twice")
        self.ended.append(peer)
        self.talking.pop(peer, None)
        if self.fails_at_eof:
            raise LookupError("as told")
        return CLOSE if self.answers_eof else None

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
