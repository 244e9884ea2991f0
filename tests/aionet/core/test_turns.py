"""What one peer has for many others costs these nothing, without I/O."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from far_peers import KIB, Far, Network

from aionet import Echo
from aionet.core.turns import PATIENCE_S
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import Answer, Room
from aionet.testing import MemoryServer

PACKET = b"\n" * 64 * KIB
LINE = b"[loud] \n"
LIMITS = Limits(write_buffer=16 * KIB, outbox=64 * KIB)
ENTER = b"* loud has entered the room\n"
SHUT = Timeouts(message=None)


def room_of(*names: bytes, limits: Limits = LIMITS) -> tuple[Network, list[Far]]:
    network = Network(Room(), limits, Timeouts(), 100)
    peers = [network.connect() for _ in names]
    for peer, name in zip(peers, names, strict=True):
        network.arrive(peer, name + b"\n")
    for peer in peers:
        network.read(peer, 1 << 30)
        peer.received = b""
    return network, peers


def test_who_reads_is_told_all_however_much_another_one_says_in_one_packet() -> None:
    network, (loud, *others) = room_of(b"loud", b"ann", b"bob")
    network.arrive(loud, PACKET)
    assert not loud.reads
    while not loud.reads:
        for each in others:
            assert each.state == "open"
            assert each.waiting + each.unsent() <= LIMITS.write_buffer + 8 * KIB
            network.read(each, 4 * KIB)
        network.pass_time(0.01)
    for each in others:
        network.read(each, 1 << 30)
        assert each.received == LINE * len(PACKET)


def test_who_does_not_read_is_dropped_and_holds_nobody_up_for_longer_than_a_moment() -> None:
    network, (loud, ann, deaf) = room_of(b"loud", b"ann", b"deaf")
    network.arrive(loud, PACKET)
    while not loud.reads:
        network.pass_time(0.01)
        network.read(ann, 1 << 30)
    assert network.time < PATIENCE_S + 0.5
    assert deaf.reason is CloseReason.SLOW_READER
    assert ann.received.replace(b"* deaf has left the room\n", b"") == LINE * len(PACKET)


def test_who_was_too_slow_is_waited_for_again_when_it_has_caught_up() -> None:
    network, (loud, late) = room_of(
        b"loud", b"late", limits=Limits(write_buffer=16 * KIB, outbox=1 << 20)
    )
    network.arrive(loud, PACKET)
    network.pass_time(PATIENCE_S + 0.5)
    assert loud.reads  # all of it was said, and waits
    network.read(late, 1 << 30)
    network.read(late, 1 << 30)
    assert late.received == LINE * len(PACKET)
    network.arrive(loud, PACKET)
    network.pass_time(0.1)
    assert not loud.reads


def test_what_one_says_in_turns_and_what_others_say_comes_to_all_in_one_order() -> None:
    network, (loud, ann, *others) = room_of(b"loud", b"ann", b"bob", b"cid")
    network.arrive(loud, b"".join(b"%d\n" % number for number in range(5000)))
    while not loud.reads:
        network.arrive(ann, b"and I\n")
        for each in (loud, ann, *others):
            network.read(each, 3 * KIB)
        network.pass_time(0.01)
    for each in others:
        network.read(each, 1 << 30)
    first, second = (each.received for each in others)
    assert first == second
    assert first.count(b"[ann] and I\n") > 10
    lines = [line for line in first.splitlines() if line.startswith(b"[loud]")]
    assert lines == [b"[loud] %d" % number for number in range(5000)]


def test_who_finishes_after_a_flood_is_heard_to_its_end() -> None:
    network, (loud, ann) = room_of(b"loud", b"ann")
    network.arrive(loud, PACKET)
    network.finish(loud)
    while loud.reason is None:
        network.read(ann, 8 * KIB)
        network.pass_time(0.01)
    network.read(ann, 1 << 30)
    assert ann.received == LINE * len(PACKET) + b"* loud has left the room\n"
    assert loud.reason is CloseReason.EOF


def test_a_newcomer_hears_what_is_said_after_it_has_come() -> None:
    network, (loud, ann) = room_of(b"loud", b"ann")
    network.arrive(loud, PACKET)
    new = network.connect()
    network.arrive(new, b"new\n")
    while not loud.reads:
        for each in (ann, new):
            network.read(each, 8 * KIB)
        network.pass_time(0.01)
    for each in (ann, new):
        network.read(each, 1 << 30)
    _, after = ann.received.split(b"* new has entered the room\n")
    assert new.received.endswith(after)
    assert LINE in after


def test_who_breaks_off_in_the_midst_of_a_flood_is_forgotten() -> None:
    network, (loud, ann) = room_of(b"loud", b"ann")
    network.arrive(loud, PACKET)
    network.break_off(loud, ConnectionResetError())
    network.read(ann, 1 << 30)
    network.read(ann, 1 << 30)
    assert ann.received.endswith(b"* loud has left the room\n")
    assert not network.hub.talk.turns.paused


def test_others_have_their_turn_while_one_talks_to_many() -> None:
    network, (loud, ann, *others) = room_of(
        *(b"loud", b"ann"), *(b"member%d" % number for number in range(80)), limits=Limits()
    )
    network.arrive(loud, PACKET)
    network.arrive(ann, b"me too\n")
    place = others[0].owes.index(b"[ann] me too")
    assert place < 100 * KIB
    assert sum(len(each.owes) for each in others) < 5 << 20


class Told(Echo):
    """Tells the others of each byte, as they take it."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.peers: list[Any] = []

    def connect(self, peer: Any) -> Answer:
        self.peers.append(peer)
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return self._tell(peer, len(data))

    def _tell(self, peer: Any, many: int) -> Iterator[tuple[Any, bytes]]:
        for _ in range(many):
            yield [each for each in self.peers if each is not peer], bytes(self.size)
        yield peer, b"told"


@pytest.mark.parametrize("size", [1, 1000, 100_000])
def test_in_memory_all_that_one_says_to_those_who_read_has_come_at_once(size: int) -> None:
    many = 10_000_000 // size if size > 1 else 300_000
    with MemoryServer(Told(size), timeouts=SHUT) as server:
        speaker, listener = server.connect(), server.connect()
        speaker.send(bytes(many))
        assert len(listener.received) == many * size
        assert speaker.take() == b"told"


def test_who_waits_for_others_to_read_is_not_idle() -> None:
    with MemoryServer(Told(60_000), timeouts=Timeouts(idle=0.5)) as server:
        speaker, listener = server.connect(), server.connect()
        listener.stop_reading()
        speaker.send(bytes(4))
        assert speaker.received == b""
        server.advance(0.9)
        assert speaker.closed is None
        server.advance(0.3)
        assert speaker.received == b"told"


def test_who_listens_hears_in_a_drain_what_another_one_still_has_to_say() -> None:
    network, (loud, ann) = room_of(b"loud", b"ann")
    network.arrive(loud, PACKET)
    assert not loud.reads
    network.hub.drain()
    network.settle()
    while not ann.at_end:
        assert network.time < 60
        network.read(ann, 4 * KIB)
        network.pass_time(0.01)
    network.read(ann, 1 << 30)
    assert ann.received.count(LINE) == len(PACKET)


def test_who_talks_to_nobody_has_turns_as_well() -> None:
    """What is made and not heard takes its time, too."""

    class Alone(Told):
        made = 0

        def _tell(self, peer: Any, many: int) -> Iterator[tuple[Any, bytes]]:
            for _ in range(many):
                self.made += 1
                yield [], bytes(self.size)

    service = Alone(4096)
    network = Network(service, LIMITS, SHUT, 2)
    speaker = network.connect()
    speaker.coming.append(bytes(100_000))
    network.settle()
    assert 0 < service.made < 1000
