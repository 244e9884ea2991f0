"""Any order of what may happen to the connections of a server: property-tested, without I/O."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from aionet.core import Hub, Peer, State, Todo
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import CLOSE, OVERSIZE, Answer, Service

KIB = 1024
LIMITS = Limits(connections=3, per_peer=2, write_buffer=16 * KIB, outbox=64 * KIB)
TIMEOUTS = Timeouts(idle=20.0, message=5.0, write=4.0, half_closed=10.0, linger=1.0)
LARGEST = 24 * KIB


class Scripted(Service):
    """Does what it is told by single bytes, and holds the hub to the contract."""

    def __init__(self) -> None:
        self.peers: dict[Any, str] = {}  # "met", or "ended"
        self.calls = 0
        self.number = 0
        self.begun: dict[Any, int] = {}

    def token(self, size: int = 32) -> bytes:
        self.number += 1
        return (b"%08d" % self.number).ljust(size, b".")

    def connect(self, peer: Any) -> Answer:
        assert peer not in self.peers
        self.peers[peer] = "met"
        return self.token()

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        assert self.peers[peer] == "met"
        assert data
        assert not self.calls, "two calls at the same time"
        self.calls += 1
        try:
            return self._answer(peer, data)
        finally:
            self.calls -= 1

    def _answer(self, peer: Any, data: bytes) -> Answer:
        match chr(data[-1]):
            case "e":
                return self.token()
            case "b":
                return self.token(LARGEST)
            case "l":
                return [(peer, self.token(8 * KIB)) for _ in range(6)]
            case "g":
                return self._much(peer)
            case "o":
                return [([*self.peers], self.token(6 * KIB)), (peer, self.token())]
            case "c":
                return [(peer, self.token()), (peer, CLOSE), (peer, self.token())]
            case "k":
                return [(each, OVERSIZE) for each in self.peers]
            case "x":
                raise LookupError("as told")
            case "y":
                return [(peer, "no bytes")]  # type: ignore[list-item]
            case "m":
                self.begun[peer] = self.number
            case "d":
                self.begun.pop(peer, None)
        return None

    def _much(self, peer: Any) -> Iterator[tuple[Any, bytes]]:
        for _ in range(8):
            yield peer, self.token(8 * KIB)
        yield [*self.peers], self.token()

    def receive_eof(self, peer: Any) -> Answer:
        assert self.peers[peer] == "met"
        self.peers[peer] = "ended"
        others = [each for each, state in self.peers.items() if state == "met"]
        return [(others, self.token()), (peer, CLOSE)]

    def unfinished(self, peer: Any) -> int | None:
        return self.begun.get(peer)

    def say_goodbye(self) -> Answer:  # type: ignore[override]
        return [([*self.peers], self.token())]


class Far(Peer):
    """A peer and its kernel, which takes what the peer reads and 8 KiB more."""

    __slots__ = ("at_end", "ends", "far", "number", "owes", "received", "shut", "was_reset")

    def __init__(self, hub: Hub, number: int) -> None:
        super().__init__(hub)
        self.number = number
        self.received = b""
        self.owes = b""  # taken, and not read by the peer
        self.shut = self.at_end = self.was_reset = False
        self.ends = 0
        self.far = True  # there is a connection

    @property
    def address(self) -> Any:
        return (f"192.0.2.{self.number % 2}", 7)

    def unacked(self) -> int:
        return len(self.owes)

    def unsent(self) -> int:
        return max(0, len(self.owes) - 8 * KIB)

    def gone(self) -> None:
        self.ends += 1

    def write(self, data: bytes) -> None:
        if data and self.far:
            assert not self.at_end, "sent after the end"
            self.owes += data
            self.hub.sent(self, self.unsent())

    def read(self, size: int) -> None:
        self.received += self.owes[:size]
        self.owes = self.owes[size:]
        if self.far:
            self.hub.sent(self, self.unsent())
            self.see_to()

    def see_to(self) -> None:
        while self.dirty:
            self.dirty = False
            self.write(self.hub.take(self))
            todo, self.todo = self.todo, None
            if todo is Todo.RESET:
                self.was_reset, self.far, self.owes = True, False, b""
            elif todo is Todo.CLOSE:
                self.at_end = True
                self.far = False
                self.hub.lost(self, None)
            elif todo is Todo.SHUT_WR:
                self.at_end = True
            elif todo is Todo.SHUT_RD and not self.shut:
                self.shut = True
                self.hub.receive_eof(self)


class Connections(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.service = Scripted()
        self.time = 0.0
        self.accepting = True
        self.woken = False
        self.told: list[str] = []
        self.far: list[Far] = []
        self.hub = Hub(self.service, LIMITS, TIMEOUTS, self, places=3, now=0.0)

    # As a shell.

    def wake(self) -> None:
        self.woken = True

    def accept(self, more: bool) -> None:
        assert more is not self.accepting
        self.accepting = more

    def settle(self) -> None:
        while self.hub.dirty:
            assert self.woken
            self.woken = False
            dirty, self.hub.dirty = self.hub.dirty, []
            for peer in dirty:
                peer.see_to()

    def some(self, number: int) -> Far | None:
        there = [each for each in self.far if each.far]
        return there[number % len(there)] if there else None

    # What may happen.

    @rule()
    def connect(self) -> None:
        if len(self.far) < 8:
            peer = Far(self.hub, len(self.far))
            self.far.append(peer)
            self.hub.admit(peer)
            peer.see_to()
        self.settle()

    @rule(number=st.integers(0, 7), what=st.sampled_from("ebblggooockxymd"))
    def talk(self, number: int, what: str) -> None:
        if (peer := self.some(number)) and not peer.shut:
            peer.write(self.hub.receive_data(peer, what.encode()))
            peer.see_to()
        self.settle()

    @rule(number=st.integers(0, 7))
    def finish(self, number: int) -> None:
        if (peer := self.some(number)) and not peer.shut:
            peer.shut = True
            self.hub.receive_eof(peer)
            peer.see_to()
        self.settle()

    @rule(number=st.integers(0, 7), timed_out=st.booleans())
    def break_off(self, number: int, timed_out: bool) -> None:
        if peer := self.some(number):
            peer.far = False
            self.hub.lost(peer, TimeoutError(110, "") if timed_out else ConnectionResetError())
            peer.see_to()
        self.settle()

    @rule(number=st.integers(0, 7), size=st.sampled_from([1, 4 * KIB, 20 * KIB, 1 << 20]))
    def read(self, number: int, size: int) -> None:
        if peer := self.some(number):
            peer.read(size)
        self.settle()

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0, 30.0]))
    def pass_time(self, seconds: float) -> None:
        until = self.time + seconds
        while self.time < until:
            self.time += self.hub.tick(self.time)
            self.settle()

    @precondition(lambda self: not self.hub.draining)
    @rule(sure=st.integers(0, 9))
    def drain(self, sure: int) -> None:
        if sure == 0:
            self.hub.drain()
        self.settle()

    # What holds at all times.

    @invariant()
    def counters_add_up(self) -> None:
        hub = self.hub
        assert hub.accepted == len(hub.open) + sum(hub.closed.values()) == len(self.far)
        assert (
            hub.places.taken
            == sum(each.place > 0 for each in self.far)
            == sum(each.place > 0 for each in hub.open)
        )
        assert hub.places.taken <= 3

    @invariant()
    def each_ends_once_and_for_one_reason(self) -> None:
        for peer in self.far:
            gone = peer.state is State.GONE
            assert peer.ends == int(gone)
            assert gone is (peer not in self.hub.open)
            assert gone is not peer.far or not gone
            if gone:
                assert isinstance(peer.reason, CloseReason)
                assert self.service.peers.get(peer) in (None, "ended")

    @invariant()
    def memory_is_bounded(self) -> None:
        for peer in self.far:
            most = LIMITS.outbox + LARGEST
            assert peer.waiting + peer.unsent() <= most
            assert peer.extra is None or len(peer.extra.early) <= 512 * KIB

    @invariant()
    def nothing_is_lost_or_mixed_up(self) -> None:
        for peer in self.far:
            rest = peer.received + peer.owes
            seen = set()
            while rest:
                number = rest[:8]
                assert number.isdigit()
                assert number not in seen
                seen.add(number)
                rest = rest[8:].lstrip(b".")

    def teardown(self) -> None:
        self.hub.end()
        self.settle()
        for peer in self.far:
            peer.see_to()
        assert not self.hub.open
        self.counters_add_up()
        self.each_ends_once_and_for_one_reason()
        assert not self.hub.places.taken


Connections.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestConnections = pytest.mark.timeout(120)(Connections.TestCase)
logging.getLogger("aionet").setLevel(logging.CRITICAL)
