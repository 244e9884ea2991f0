"""Any order of what may happen to the connections of a server: property-tested, without I/O."""

from __future__ import annotations

import errno
import logging
from collections import Counter
from typing import Any

import hypothesis.strategies as st
import pytest
from far_peers import KIB, Far, Network
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from scripted_service import LARGEST, Scripted

from aionet.core import Peer, State
from aionet.limits import CloseReason, Limits, Timeouts

SIZES = [(16 * KIB, 64 * KIB), (48 * KIB, 48 * KIB)]  # write_buffer, outbox
POLITE = {CloseReason.EOF, CloseReason.DONE, CloseReason.OVERSIZE, CloseReason.DRAIN}
COMMANDS = "eebblggttoocOkxyzrEmmds"
PIECES = 3  # at once
BREAKS = [TimeoutError(errno.ETIMEDOUT, ""), ConnectionResetError(errno.ECONNRESET, ""), None]

whoever = st.integers(0, 7)
rarely = st.integers(0, 9).map(lambda number: number == 9)
maybe = st.none() | st.sampled_from([4.0, 20.0])


class Connections(RuleBasedStateMachine):
    """Peers come, talk, stall, break and go; a program sends, holds, closes and stays."""

    @initialize(
        places=st.integers(1, 3),
        clients=st.integers(0, 4),
        sizes=st.sampled_from(SIZES),
        per_peer=st.sampled_from([None, 2]),
        on_full=st.sampled_from(["queue", "queue", "reject"]),
        idle=maybe,
        write=maybe,
        message=maybe,
        half_closed=maybe,
    )
    def start(
        self, places: int, clients: int, sizes: Any, per_peer: Any, on_full: Any, **waits: Any
    ) -> None:
        logging.getLogger("aionet").disabled = True  # failures are what is asked for here
        self.write_buffer, outbox = sizes
        self.most = max(sizes) + LARGEST
        limits = Limits(
            per_peer=per_peer, on_full=on_full, write_buffer=self.write_buffer, outbox=outbox
        )
        self.places = places
        self.waits = waits
        self.service = Scripted()
        self.network = Network(self.service, limits, Timeouts(linger=1.0, **waits), places)
        self.hub, self.far = self.network.hub, self.network.far
        self.slow: set[Peer] = set()
        self.note_who_is_slow()
        self.programs: list[Far] = []
        for _ in range(clients):
            self.network.connect()

    def note_who_is_slow(self) -> None:
        """Its reason does not say so, where it is there in a drain."""
        reset = self.hub.reset

        def note(peer: Peer, reason: CloseReason) -> None:
            if reason is CloseReason.SLOW_READER:
                self.slow.add(peer)
            reset(peer, reason)

        self.hub.reset = note  # type: ignore[method-assign]

    @property
    def there(self) -> list[Far]:
        return [each for each in self.far if each.far]

    @property
    def served(self) -> list[Far]:
        return [each for each in self.there if each.met]

    def some(self, number: int) -> Far:
        return self.there[number % len(self.there)]

    def one_served(self, number: int) -> Far:
        return self.served[number % len(self.served)]

    # What the peers do.

    @rule(fails=rarely)
    def connect(self, fails: bool) -> None:
        if len(self.far) < 8:
            self.service.fails_at_connect = fails
            self.network.connect()
            self.service.fails_at_connect = False

    @precondition(lambda self: self.there)
    @rule(number=whoever, said=st.text(COMMANDS, min_size=1, max_size=PIECES))
    def talk(self, number: int, said: str) -> None:
        self.network.arrive(self.some(number), *(each.encode() for each in said))

    @precondition(lambda self: self.there)
    @rule(number=whoever, said=st.text(COMMANDS, min_size=2, max_size=PIECES))
    def say_much_at_once(self, number: int, said: str) -> None:
        self.network.arrive(self.some(number), said.encode())

    @precondition(lambda self: self.there)
    @rule(number=whoever)
    def finish(self, number: int) -> None:
        self.network.finish(self.some(number))

    @precondition(lambda self: self.there)
    @rule(number=whoever, error=st.sampled_from(BREAKS))
    def break_off(self, number: int, error: Exception | None) -> None:
        self.network.break_off(self.some(number), error)

    @precondition(lambda self: self.there)
    @rule(number=whoever, size=st.sampled_from([1, 4 * KIB, 20 * KIB, 1 << 20]))
    def read(self, number: int, size: int) -> None:
        self.network.read(self.some(number), size)

    @precondition(lambda self: self.there)
    @rule(number=whoever)
    def the_shell_reads_once_more_than_it_should(self, number: int) -> None:
        if not (peer := self.some(number)).reads:
            self.network.read_from(peer, once_more=True)
            self.network.settle()

    # What the program does.

    @precondition(lambda self: self.served)
    @rule(number=whoever)
    def stay(self, number: int) -> None:
        peer = self.one_served(number)
        self.hub.places.stay(peer)
        self.programs.append(peer)

    @precondition(lambda self: self.programs)
    @rule()
    def a_program_ends(self) -> None:
        self.hub.places.release(self.programs.pop(0))
        self.network.settle()

    @precondition(lambda self: self.served)
    @rule(number=whoever, held=st.booleans())
    def hold(self, number: int, held: bool) -> None:
        peer = self.one_served(number)
        self.hold_or_not(peer, held)
        self.network.settle()

    def hold_or_not(self, peer: Far, held: bool) -> None:
        peer.held = held
        self.hub.hold(peer, held)

    @precondition(lambda self: self.served)
    @rule(number=whoever)
    def close(self, number: int) -> None:
        peer = self.one_served(number)
        self.service.kicked.add(peer)
        self.hub.close(peer)
        self.network.settle()

    @precondition(lambda self: self.served)
    @rule(number=whoever, size=st.sampled_from([16, 20 * KIB]))
    def send(self, number: int, size: int) -> None:
        peer = self.one_served(number)
        self.hub.send(peer, self.service.token(self.service.call(), peer, size=size))
        self.network.see_to(peer)
        self.network.settle()

    # Time, and the end.

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        self.network.pass_time(seconds)

    @precondition(lambda self: not self.hub.draining)
    @rule(sure=rarely)
    def drain(self, sure: bool) -> None:
        if sure:
            self.hub.drain()
            self.network.settle()

    @precondition(lambda self: self.hub.draining)
    @rule()
    def end(self) -> None:
        self.hub.end()
        self.network.settle()
        assert not self.hub.open

    def nobody_is_left_who_is_too_late(self) -> None:
        for peer in self.hub.open:
            idle = self.waits["idle" if peer.state is State.OPEN else "half_closed"]
            write, message = self.waits["write"], self.waits["message"]
            since = self.hub.now - peer.seen
            if peer.state is State.OPEN or peer.state is State.HALF_CLOSED:
                if peer.unsent() and write is not None:
                    assert since <= 3 * (write + (idle or 0)) + 1
                elif peer.owes and idle is not None:
                    assert since <= 3 * ((write or 0) + idle) + 1
                elif idle is not None and (peer.extra is None or peer.extra.base_at < 0):
                    assert since <= 1.25 * idle + 1
                if peer.state is State.OPEN and message is not None and peer.reads:
                    assert (
                        peer.extra is None
                        or peer.extra.message is None
                        or (self.hub.now - peer.extra.since <= 1.25 * message + 1)
                    )
            elif peer.state is State.FLUSHING:
                base_at = peer.extra.base_at if peer.extra is not None else -1.0
                assert write is None or base_at < 0 or self.hub.now - base_at <= 1.25 * write + 1
            elif peer.state is State.LINGERING:
                assert peer.extra is not None
                assert self.hub.now - peer.extra.since <= 2
            else:
                assert peer.state is State.WAITING

    def messages_are_timed(self) -> None:
        if self.waits["message"] is not None:
            for peer in self.hub.open:
                if peer.state is State.OPEN:
                    number = self.service.begun.get(peer)
                    assert number == (peer.extra.message if peer.extra is not None else None)

    # What holds at all times.

    def counters_add_up(self) -> None:
        hub = self.hub
        gone = Counter(peer.reason for peer in self.far if peer.state is State.GONE)
        assert hub.accepted == len(self.far) == len(hub.open) + sum(hub.closed.values())
        assert {reason: many for reason, many in hub.closed.items() if many} == gone
        assert [peer.index for peer in hub.open] == list(range(len(hub.open)))

    def each_ends_once_and_for_one_reason(self) -> None:
        for peer in self.far:
            gone = peer.state is State.GONE
            assert peer.ends == int(gone)
            assert gone is (peer not in self.hub.open)
            assert gone is not peer.far
            if gone:
                assert isinstance(peer.reason, CloseReason)
                assert self.service.known.get(peer) in (None, "ended")
                assert not peer.reads

    def places_are_given_back(self) -> None:
        places = self.hub.places
        seated = [peer for peer in self.far if peer.place]
        assert places.taken == len(seated) <= self.places
        for peer in self.far:
            served = peer in self.hub.open and peer.state is not State.WAITING
            assert peer.place == served + self.programs.count(peer)
        waiting = [peer for peer in self.hub.open if peer.state is State.WAITING]
        assert places.waiting == len(waiting)
        assert not waiting or places.taken == self.places
        counted = self.hub.limits.per_peer is not None
        assert all(many > 0 for many in places._of_source.values())
        assert places._of_source.total() == (len(seated) if counted else 0)
        assert self.network.accepting is not places.full

    def memory_is_bounded(self) -> None:
        for peer in self.far:
            assert peer.waiting == sum(map(len, peer.outbox or ()))
            assert peer.waiting + peer.unsent() <= self.most
            if peer.state is State.GONE:
                assert not peer.waiting
                assert peer.extra is None or (peer.extra.early, peer.extra.rest) == (b"", None)
                assert peer not in self.hub.talk.turns._slow
        assert not self.hub.dirty
        assert not self.hub.talk._leaving
        assert len(self.hub.sweep._closed) <= len(self.far)

    def who_does_not_read_is_not_listened_to(self) -> None:
        for peer in self.hub.open:
            if peer.state is State.OPEN:
                full = peer.waiting + peer.unsent() > self.write_buffer
                rest = peer.extra is not None and peer.extra.rest is not None
                paused = peer in self.hub.talk.turns.paused
                assert paused is (peer.extra is not None and peer.extra.paused)
                assert not peer.reads or not (full or rest or paused or peer.held)
                # And nobody else: what there is of an answer is made when it can be taken.
                assert peer.reads or full or rest or paused or peer.held or peer.unsent()
                assert not rest or full or peer.unsent()

    def a_generator_of_who_is_gone_is_closed(self) -> None:
        for peer, steps in self.service.steps:
            assert steps.at_end or not peer.closing

    def nothing_is_made_up_lost_or_mixed_up(self) -> None:
        for peer in self.far:
            service, gone = self.service, peer.state is State.GONE
            polite = gone and peer.reason in POLITE and not (peer.was_reset or peer.broken)
            service.check_told(peer, peer.received + peer.owes, whole=polite)
            heard = service.heard[peer]
            assert peer.said.startswith(heard)
            if polite and peer.reason is CloseReason.EOF and peer not in service.kicked:
                assert heard == peer.said

    def teardown(self) -> None:
        """Everybody reads all and finishes: so nobody may be left, nor be reset."""
        logging.getLogger("aionet").disabled = False
        if not hasattr(self, "network"):
            return
        while self.programs:
            self.a_program_ends()
        self.service.is_late = True
        for peer in self.far:
            if peer.state is State.HALF_CLOSED:
                self.service.kicked.add(peer)
                self.hub.close(peer)
            elif peer.met:
                self.hold_or_not(peer, False)
        self.network.settle()
        was_reset = [peer.was_reset for peer in self.far]
        for _ in self.far:  # who waited for a place gets that of who has lingered
            while any(self.network.drive(peer) for peer in self.far) or self.hub.talk.turns.paused:
                self.network.pass_time(0.01)  # who has much for others goes on
            self.network.pass_time(3.0)
        self.check()
        assert not self.hub.open
        assert not self.hub.places.taken
        assert self.service.goodbyes == int(self.hub.draining)
        for peer, before in zip(self.far, was_reset, strict=True):
            pays = peer in self.service.failed or peer in self.slow
            pays |= peer.reason is CloseReason.REJECTED  # it waited till then
            assert peer.was_reset is before or pays

    @invariant()
    def check(self) -> None:
        assert self.service.faults == []
        self.counters_add_up()
        self.each_ends_once_and_for_one_reason()
        self.places_are_given_back()
        self.memory_is_bounded()
        self.who_does_not_read_is_not_listened_to()
        self.nobody_is_left_who_is_too_late()
        self.messages_are_timed()
        self.a_generator_of_who_is_gone_is_closed()
        self.nothing_is_made_up_lost_or_mixed_up()


class MoreConnections(Connections):
    """The same, many more times."""


Connections.TestCase.settings = settings(max_examples=100, stateful_step_count=40)
TestConnections = pytest.mark.timeout(300)(Connections.TestCase)
MoreConnections.TestCase.settings = settings(max_examples=1500, stateful_step_count=40)
TestMoreConnections = pytest.mark.slow(pytest.mark.timeout(600)(MoreConnections.TestCase))
