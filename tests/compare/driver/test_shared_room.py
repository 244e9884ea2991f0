"""One chat room, driven by several drivers: what each knows, and what they know together."""

from __future__ import annotations

import threading
from array import array
from collections.abc import Callable
from time import perf_counter_ns
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.cluster.clock import SAME, Clock
from compare.cluster.room import faults
from compare.contract.counts import Counts
from compare.contract.outcome import Outcome
from compare.contract.plan import Peer, Plan
from compare.contract.room_log import RoomLog, of_member
from compare.contract.spec import Shard, Spec, Target
from compare.driver.load import Load
from compare.driver.order import Faults
from compare.driver.shared_room import SMALLEST, SharedRoom, text_of
from compare.driver.turns import timed_well
from compare.measure.driver_process import Driver

MEMBERS = 4
WINDOW_S = 0.3
TIMEOUT_S = 20.0


def _together(
    server: Any,
    shards: int = 2,
    *,
    members: tuple[int, ...] = (),
    error_ns: int = 0,
    rate: float | None = None,
) -> list[Outcome]:
    """Drive a room by so many drivers at once, as a cluster does."""
    members = members or (MEMBERS,) * shards
    met = threading.Barrier(shards)
    counts: dict[int, Counts] = {}
    outcomes: dict[int, Outcome] = {}
    begin: list[int] = []

    def agree_as(number: int) -> Callable[[Counts], Plan]:
        def agree(seen: Counts) -> Plan:
            counts[number] = seen
            if met.wait(TIMEOUT_S) == 0:
                begin.append(perf_counter_ns() + 50_000_000)
            met.wait(TIMEOUT_S)
            peers = [
                Peer(other, each.served, 0, error_ns)
                for other, each in sorted(counts.items())
                if other != number
            ]
            return Plan(begin[0], begin[0] + 100_000_000, peers)

        return agree

    def work(number: int) -> None:
        spec = Spec(
            workload="chat",
            targets=[Target(server.host, server.port, rate=rate)],
            connections=members[number],
            size=100,
            warmup_s=0.1,
            slice_s=WINDOW_S,
            seed=number,
            shard=Shard(number, shards),
        )
        with Driver(None) as driver:
            (outcomes[number],) = driver.drive(spec, lambda operations: None, agree_as(number))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(shards)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(2 * TIMEOUT_S)
    return [outcomes[number] for number in range(shards)]


def _logs(outcomes: list[Outcome]) -> list[RoomLog]:
    return [each.room for each in outcomes if each.room is not None]


@pytest.mark.parametrize(
    ("fault", "expected"),
    [
        ("correct", Faults(0, 0, 0, 0)),
        ("loses", Faults(3, 0, 0, 0)),
        ("duplicates", Faults(0, 3, 0, 0)),
        ("reorders", Faults(0, 0, 3, 0)),
    ],
)
def test_faults_are_counted_exactly_over_all_drivers(
    plant: Callable[..., Any], fault: str, expected: Faults
) -> None:
    outcomes = _together(plant("room.py", fault, 40, 3), shards=3)
    logs = _logs(outcomes)
    assert len(logs) == 3
    assert faults(logs, [SAME] * 3) == (expected, 0)
    for each in outcomes:
        assert each.counts.served == MEMBERS
        assert each.operations > 10
        assert not {name for name, count in each.errors.items() if count}
        assert each.untimed == 0


def test_who_is_alone_on_its_host_hears_the_others(plant: Callable[..., Any]) -> None:
    """And is not waited for: it has nobody to speak to, as far as its host can tell."""
    outcomes = _together(plant("room.py", "correct"), members=(4, 1))
    assert faults(_logs(outcomes), [SAME] * 2) == (Faults(0, 0, 0, 0), 0)
    many, alone = outcomes
    assert many.operations > 100
    assert alone.operations > 100


def test_open_loop_offers_what_is_asked_by_all_together(plant: Callable[..., Any]) -> None:
    server = plant("room.py", "correct")
    outcomes = _together(server, rate=700.0)  # of 1,400 deliveries a second in all
    assert faults(_logs(outcomes), [SAME] * 2) == (Faults(0, 0, 0, 0), 0)
    offered = sum(each.pace.offered for each in outcomes if each.pace)
    assert offered == pytest.approx(1400 * WINDOW_S, rel=0.1)
    assert sum(each.operations for each in outcomes) == pytest.approx(offered, rel=0.1)


def test_with_clocks_hardly_known_only_what_needs_one_is_timed(
    plant: Callable[..., Any],
) -> None:
    outcomes = _together(plant("room.py", "correct"), error_ns=10**9)
    for each in outcomes:
        assert 0 < each.untimed < each.operations


# What is known of a line.


def _room() -> SharedRoom:
    spec = Spec(
        workload="chat",
        targets=[],
        connections=1,
        size=100,
        warmup_s=0,
        slice_s=0,
        seed=1,
        shard=Shard(0, 2),
    )
    room = SharedRoom(Load(spec, Target("127.0.0.1", 0)))
    room.meet([Peer(1, 3, 0, 0)])
    return room


@pytest.fixture
def room() -> SharedRoom:
    return _room()


def _said(number: int = 1, stamp: int = 1000, length: int = 99) -> bytes:
    return b"[s1m2] " + text_of(b"s1m2", number, stamp, length)


def test_line_from_elsewhere_is_recognised(room: SharedRoom) -> None:
    now = perf_counter_ns()
    line = room.line_from_elsewhere(_said(stamp=now - 500), now)
    assert line is not None
    assert now - line.started == 500
    assert room.load.elsewhere_starts == {line.started}


def test_line_is_never_received_before_it_was_said(room: SharedRoom) -> None:
    """Whatever the clocks say."""
    line = room.line_from_elsewhere(_said(stamp=5000), 1000)
    assert line is not None
    assert line.started == 1000


def test_smallest_line_holds_all_that_tells_it_apart() -> None:
    name = b"s63m99999"
    text = text_of(name, 999_999_999, 2**63, SMALLEST - 1)
    assert len(text) == SMALLEST - 1
    assert text.endswith(name[: len(text) - 36]) or name in text


@given(st.data())
def test_no_single_wrong_byte_passes(data: st.DataObject) -> None:
    room = _room()
    text = bytearray(_said(data.draw(st.integers(1, 10**9 - 1)), data.draw(st.integers(0, 2**63))))
    place = data.draw(st.integers(0, len(text) - 1))
    wrong = data.draw(st.integers(0, 255).filter(lambda byte: byte != text[place]))
    text[place] = wrong
    assert room.line_from_elsewhere(bytes(text), perf_counter_ns()) is None
    room.load.epoll.close()


@given(st.binary(max_size=120))
def test_no_bytes_do_harm(text: bytes) -> None:
    room = _room()
    assert room.line_from_elsewhere(text, perf_counter_ns()) is None
    room.load.epoll.close()


def test_nobody_gets_ahead_of_another_host_by_more_than_a_few_lines(room: SharedRoom) -> None:
    assert room.may_speak(4)
    assert not room.may_speak(5)
    for number in (1, 2):
        room.line_from_elsewhere(_said(number), perf_counter_ns())
    assert room.may_speak(6)
    assert not room.may_speak(7)


def test_host_whose_members_have_all_left_is_not_waited_for(room: SharedRoom) -> None:
    room.elsewhere[1].members = 0
    assert room.may_speak(1000)


@given(st.lists(st.integers(0, 10**6), min_size=1), st.lists(st.integers(0, 10**6)))
def test_latencies_that_need_two_clocks_are_told_apart(own: list[int], across: list[int]) -> None:
    samples, starts = array("Q", [*own, *across]), array("Q", range(len(own) + len(across)))
    elsewhere = {*starts[len(own) :]}
    assert timed_well(samples, starts, elsewhere, 0) == (samples, 0)
    assert timed_well(samples, starts, elsewhere, 10**9) == (array("Q", own), len(across))


# What they know together.


@st.composite
def rooms(draw: st.DrawFn) -> tuple[list[RoomLog], list[Clock]]:
    """What hosts have of a room in which all is right, by clocks of their own."""
    shares = draw(st.lists(st.integers(1, 3), min_size=2, max_size=3))
    members = [of_member(host, n) for host, many in enumerate(shares) for n in range(many)]
    speakers = draw(st.lists(st.sampled_from(members), max_size=30))
    counts = dict.fromkeys(members, 0)
    lines = []
    for when, member in enumerate(speakers):
        counts[member] += 1
        lines.append((member, counts[member], 1000 * when))
    logs, clocks = [], []
    for host, many in enumerate(shares):
        clock = Clock(draw(st.integers(10**6, 10**12)), 0)
        own = [of_member(host, n) for n in range(many)]
        known = draw(st.permutations(lines))  # each host numbers them as they come to it
        ids = {line: number for number, line in enumerate(known)}
        logs.append(
            RoomLog(
                senders=array("Q", [line[0] for line in known]).tobytes(),
                numbers=array("Q", [line[1] for line in known]).tobytes(),
                stamps=array("Q", [clock.there(line[2]) for line in known]).tobytes(),
                members=own,
                received=[
                    array("I", [ids[line] for line in lines if line[0] != member]).tobytes()
                    for member in own
                ],
                joined=[clock.there(0)] * many,
                left=[None] * many,
            )
        )
        clocks.append(clock)
    return logs, clocks


@given(rooms())
def test_what_is_right_has_no_faults(room: tuple[list[RoomLog], list[Clock]]) -> None:
    assert faults(*room) == (Faults(0, 0, 0, 0), 0)


@given(rooms(), st.data())
def test_one_delivery_more_or_less_is_one_fault(
    room: tuple[list[RoomLog], list[Clock]], data: st.DataObject
) -> None:
    logs, clocks = room
    hearers = [
        (host, member)
        for host, log in enumerate(logs)
        for member, heard in enumerate(log.received)
        if heard
    ]
    if not hearers:
        return
    host, member = data.draw(st.sampled_from(hearers))
    heard = array("I", logs[host].received[member])
    place = data.draw(st.integers(0, len(heard) - 1))
    twice = data.draw(st.booleans())
    changed = array("I", heard[:place]) + array("I", heard[place : place + 1]) * (2 * twice)
    changed += heard[place + 1 :]
    received = [*logs[host].received]
    received[member] = changed.tobytes()
    logs[host] = msgspec.structs.replace(logs[host], received=received)
    assert faults(logs, clocks) == (Faults(1 - twice, int(twice), 0, 0), 0)
