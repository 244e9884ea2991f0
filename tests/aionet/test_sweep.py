"""The sweep: every timeout is noticed in time, and everybody is looked at in turn."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aionet.connection import Connection
from aionet.core.sweep import PERIOD_S, SLICE
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import CLOSE, Answer, Echo, Room, Service
from aionet.testing import MemoryServer

PATIENT = Timeouts(idle=None, message=None, write=None, half_closed=None)
LATE = 0.25  # of the shortest timeout: what Timeouts promises
EARLY = 1 / 64  # of it: a connection knows the time as of the last step
EVER = 3600.0


class Patient(Echo):
    """Goes on after its peer has finished."""

    def receive_eof(self, peer: Any) -> Answer:
        return None


class Ends:
    """When and why each connection ended, by its address."""

    def __init__(self) -> None:
        self.hooks = Hooks(on_close=self.note)
        self.server: MemoryServer | None = None
        self.of: dict[Any, tuple[float, CloseReason]] = {}

    def note(self, peer: Any, reason: CloseReason) -> None:
        assert self.server is not None
        self.of[peer.address] = (self.server.now, reason)


class Looks:
    """Counts who is looked at, in each step."""

    def __init__(self, server: MemoryServer) -> None:
        sweep: Any = server._connections.hub.sweep
        self.period: float = sweep.period
        self.of: Counter[Connection] = Counter()
        self.in_steps = [0]
        self._look, self._step = sweep._look, sweep.step
        sweep._look, sweep.step = self.look, self.step

    def look(self, conn: Connection, now: float) -> None:
        self.of[conn] += 1
        self.in_steps[-1] += 1
        self._look(conn, now)

    def step(self, time: float) -> float:
        self.in_steps.append(0)
        return float(self._step(time))


# Each timeout, and none.


def test_idle_is_counted_from_the_last_that_came_or_went() -> None:
    with MemoryServer(Echo(), timeouts=replace(PATIENT, idle=8)) as server:
        peer = server.connect()
        for _ in range(5):
            server.advance(7)
            peer.send(b"still here")
        assert peer.closed is None
        server.advance(8 * (1 + LATE))
        assert peer.closed is CloseReason.IDLE
        assert peer.at_eof
        assert not peer.was_reset


def test_a_member_that_only_listens_is_not_idle_while_others_talk() -> None:
    with MemoryServer(Room(), timeouts=replace(PATIENT, idle=8)) as server:
        ann, bob = server.connect(), server.connect()
        ann.send(b"ann\n")
        bob.send(b"bob\n")
        for _ in range(5):
            server.advance(6)
            ann.send(b"hello\n")
        assert bob.closed is None


def test_a_peer_that_has_finished_has_a_timeout_of_its_own() -> None:
    with MemoryServer(Patient(), timeouts=replace(PATIENT, idle=1000, half_closed=8)) as server:
        finished, other = server.connect(), server.connect()
        finished.finish()
        server.advance(7)
        assert finished.closed is None
        server.advance(1 + 8 * LATE)
        assert finished.closed is CloseReason.IDLE
        assert other.closed is None


def test_trickling_does_not_extend_a_message() -> None:
    with MemoryServer(Room(), timeouts=replace(PATIENT, message=8)) as server:
        peer = server.connect()
        for _ in range(7):
            peer.send(b"a")
            server.advance(1)
            assert peer.closed is None
        for _ in range(4):
            peer.send(b"a")
            server.advance(1)
        assert peer.closed is CloseReason.SLOW_MESSAGE


def test_every_message_has_its_own_time() -> None:
    with MemoryServer(Room(), timeouts=replace(PATIENT, message=8)) as server:
        peer = server.connect()
        peer.send(b"a")
        for _ in range(9):
            server.advance(5)
            peer.send(b"\na")
            assert peer.closed is None
        peer.send(b"\n")
        server.advance(100)


def test_a_peer_between_messages_is_not_slow() -> None:
    with MemoryServer(Room(), timeouts=replace(PATIENT, message=8)) as server:
        ann = server.connect()
        ann.send(b"ann\nhello\n")
        server.advance(1000)
        assert ann.closed is None


def test_a_service_that_tells_of_no_messages_is_not_held_to_their_timeout() -> None:
    with MemoryServer(Echo(), timeouts=replace(PATIENT, message=8)) as server:
        peer = server.connect()
        peer.send(b"half a li")
        server.advance(1000)
        assert peer.closed is None


def test_a_peer_that_reads_a_little_is_not_dropped() -> None:
    timeouts = replace(PATIENT, write=8)
    with MemoryServer(Echo(), limits=Limits(write_buffer=1000), timeouts=timeouts) as server:
        peer = server.connect()
        peer.stop_reading()
        for _ in range(5):
            peer.send(bytes(2000))
            server.advance(7)
            assert peer.closed is None
            peer.start_reading()
            peer.stop_reading()
        peer.send(bytes(2000))
        server.advance(8 * (1 + LATE))
        assert peer.closed is CloseReason.SLOW_READER
        assert peer.was_reset


def test_a_peer_that_takes_nothing_is_dropped_after_its_service_closed_it() -> None:
    class Curt(Echo):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            return [(peer, bytes(2000)), (peer, CLOSE)]

    timeouts = replace(PATIENT, write=8)
    with MemoryServer(Curt(), limits=Limits(write_buffer=1000), timeouts=timeouts) as server:
        peer = server.connect()
        peer.stop_reading()
        peer.send(b"hello")
        server.advance(7)
        assert server.stats.open == 1
        server.advance(20)
        assert peer.was_reset
        assert server.stats.open == 0


def test_no_timeout_closes_nobody() -> None:
    with MemoryServer(Room(), timeouts=PATIENT) as server:
        quiet, finished, slow, stalled = (server.connect() for _ in range(4))
        finished.finish()
        slow.send(b"half a na")
        stalled.stop_reading()
        stalled.send(b"stalled\n")
        server.advance(EVER)
        assert [peer.closed for peer in (quiet, slow, stalled)] == [None] * 3


def test_who_lingers_is_closed_in_time_whatever_the_other_timeouts() -> None:
    class Curt(Echo):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            return CLOSE

    for timeouts in (PATIENT, Timeouts(), Timeouts(idle=1000, message=1000, write=1000)):
        with MemoryServer(Curt(), timeouts=timeouts) as server:
            server.advance(11.1)
            peer = server.connect()
            peer.send(b"hello")
            server.advance(0.9)
            assert peer.closed is None
            server.advance(0.1 + LATE)
            assert peer.closed is CloseReason.DONE


# Precision.


@pytest.mark.parametrize("timeout", [0.8, 8.0, 30.0, 300.0])
@pytest.mark.parametrize("kind", ["idle", "half_closed", "message", "write"])
@pytest.mark.parametrize("others", [1, 40, 300])
def test_each_is_noticed_within_a_quarter_of_the_shortest(
    timeout: float, kind: str, others: int
) -> None:
    random_ = random.Random(f"{timeout} {kind} {others}")
    ends = Ends()
    service = {"message": Room(), "half_closed": Patient()}.get(kind, Echo())
    timeouts = replace(PATIENT, **{kind: timeout})
    began: dict[Any, float] = {}
    with MemoryServer(
        service, limits=Limits(write_buffer=1), timeouts=timeouts, hooks=ends.hooks
    ) as server:
        ends.server = server
        for number in range(others):
            server.advance(random_.random() * timeout / others)
            peer = server.connect(("192.0.2.1", number))
            if kind == "half_closed":
                peer.finish()
            elif kind != "idle":
                peer.stop_reading()
                peer.send(b"half")
            began[("192.0.2.1", number)] = server.now
        server.advance(2 * timeout)
    for address, (ended, reason) in ends.of.items():
        took = ended - began[address]
        assert reason is not CloseReason.DRAIN, (address, took)
        assert timeout * (1 - EARLY) <= took <= timeout * (1 + LATE), (address, took)
    assert len(ends.of) == others


@settings(max_examples=40)
@given(st.data())
def test_a_message_is_timed_whenever_it_begins(data: st.DataObject) -> None:
    ends = Ends()
    began: dict[Any, float] = {}
    crowd = data.draw(st.sampled_from([0, 20, 40]), label="crowd")
    with MemoryServer(Room(), timeouts=replace(PATIENT, message=8), hooks=ends.hooks) as server:
        ends.server = server
        for number in range(crowd):
            server.connect(("192.0.2.2", number))
        peers = [server.connect(("192.0.2.1", number)) for number in range(5)]
        for number, peer in enumerate(peers):
            server.advance(data.draw(st.floats(0, 3), label="wait"))
            peer.send(b"half")
            began[("192.0.2.1", number)] = server.now
        server.advance(20)
        for address, since in began.items():
            ended, reason = ends.of[address]
            assert reason is CloseReason.SLOW_MESSAGE
            assert 8 * (1 - EARLY) <= ended - since <= 8 * (1 + LATE)


# Everybody in turn.


@pytest.mark.parametrize("crowd", [1, 7, 16, 17, 24, 40, 1000, 10_000])
def test_everybody_is_looked_at_once_in_a_period(crowd: int) -> None:
    with MemoryServer(Echo()) as server:
        for _ in range(crowd):
            server.connect()
        server.advance(20)
        looks = Looks(server)
        rounds = 5
        server.advance(rounds * looks.period)
        assert len(looks.of) == crowd
        assert min(looks.of.values()) >= rounds - 1
        if crowd > 16:  # the fewer there are, the less it matters
            assert max(looks.of.values()) <= 2 * rounds
        if crowd > 500:
            assert max(looks.of.values()) <= rounds + 1
        assert max(looks.in_steps) <= 2 * SLICE


def test_a_connection_that_leaves_takes_nobody_elses_turn() -> None:
    crowd = 300
    random_ = random.Random(7)
    with MemoryServer(Echo()) as server:
        peers = [server.connect() for _ in range(crowd)]
        server.advance(20)
        looks = Looks(server)
        stay = peers[::2]
        leave = peers[1::2]
        random_.shuffle(leave)
        for peer in leave:
            before = len(looks.in_steps)
            server.advance(2 * looks.period / len(leave))
            assert len(looks.in_steps) >= before
            peer.reset()
        for peer in stay:
            assert looks.of[peer._connection] >= 1


def test_all_who_are_idle_leave_in_time_though_half_of_them_leave_at_once() -> None:
    ends = Ends()
    random_ = random.Random(3)
    with MemoryServer(Echo(), timeouts=replace(PATIENT, idle=8), hooks=ends.hooks) as server:
        ends.server = server
        peers = [server.connect(("192.0.2.1", number)) for number in range(500)]
        server.advance(random_.random())
        for peer in random_.sample(peers, 250):
            peer.send(b"hello")
        server.advance(7 + 8 * LATE)
        assert 250 <= len(ends.of) < 500
        server.advance(1)
        assert len(ends.of) == 500


def test_the_period_is_a_sixteenth_of_the_shortest_timeout_within_bounds() -> None:
    def period(**waits: float) -> float:
        with MemoryServer(Room(), timeouts=replace(PATIENT, **waits)) as server:
            return server._connections.hub.sweep.period

    least, most = PERIOD_S
    assert period() == most
    assert period(idle=8, write=1000) == period(idle=1000, write=8) == period(message=8) == 0.5
    assert period(idle=1000) == most
    assert period(idle=0.001) == least


def test_message_is_held_to_its_time_also_by_who_reads_nothing() -> None:
    """Whether it is too idle, or reads too slowly, is another question, which takes longer."""

    class Half(Service):
        def connect(self, peer: Any) -> Answer:
            return bytes(1000)

        def receive_data(self, peer: Any, data: bytes) -> Answer:
            return None

        def unfinished(self, peer: Any) -> int | None:
            return 0

    timeouts = Timeouts(idle=2.0, message=2.0, write=None)
    with MemoryServer(Half(), timeouts=timeouts) as server:
        peer = server.connect(reads=False)
        peer.send(b"half a mess")
        server.advance(3.5)
        assert peer.closed is CloseReason.SLOW_MESSAGE
