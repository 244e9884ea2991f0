"""Open loops: what was due is done or counted, and latencies count from when it was due."""

from __future__ import annotations

import itertools
import socket
from array import array
from collections.abc import Callable, Iterator
from time import perf_counter_ns as clock
from typing import Any

import msgspec
import pytest

from compare.driver import chat, histogram, members, tcp_long, tcp_short, udp_echo
from compare.driver.load import Load, Spec
from compare.driver.outcome import Outcome, Pace

Plant = Callable[..., Any]
Drive = Callable[..., Outcome]
Pairs = Callable[[], tuple[socket.socket, socket.socket]]

CORRECT = {
    "tcp-long": ("echo.py", "correct"),
    "tcp-short": ("echo.py", "correct"),
    "udp-echo": ("datagrams.py", "correct"),
    "chat": ("room.py", "correct"),
}
AT_ONCE = {"chat": 3}  # operations by one message, with four members
WINDOW_S = 0.3
PATIENCE_S = 0.3  # where something is never answered
SECOND = 10**9


@pytest.fixture
def paced(plant: Plant, drive: Drive) -> Callable[..., tuple[Outcome, Pace, Any]]:
    """Drives an open loop; the outcome, its pace, and the server."""

    def paced(
        server: tuple[object, ...], workload: str, rate: float, **changes: Any
    ) -> tuple[Outcome, Pace, Any]:
        planted = plant(*server)
        outcome = drive(
            planted, workload, rate=rate, **{"window": WINDOW_S, "patience": PATIENCE_S} | changes
        )
        assert outcome.pace is not None
        return outcome, outcome.pace, planted

    return paced


Paced = Callable[..., "tuple[Outcome, Pace, Any]"]


def total(encoded: str) -> int:
    count: int = histogram.merge([encoded]).get_total_count()
    return count


def slower(encoded: str, ms: float) -> int:
    """How many took longer."""
    found = histogram.merge([encoded])
    return sum(
        each.count_added_in_this_iter_step
        for each in found.get_recorded_iterator()
        if each.value_iterated_to > ms * 1e6
    )


# What is due


@pytest.mark.parametrize(
    ("workload", "arrivals"),
    [*((workload, "fixed") for workload in CORRECT), ("tcp-long", "poisson")],
)
def test_what_is_due_is_done(paced: Paced, workload: str, arrivals: str) -> None:
    outcome, pace, _ = paced(CORRECT[workload], workload, 300, arrivals=arrivals, warmup=0.05)
    at_once = AT_ONCE.get(workload, 1)
    assert outcome.errors == {}
    assert pace.missed == 0
    # In the window, or just before or after: it was due there, and nobody failed to do it.
    assert total(outcome.latency) == total(pace.service)
    assert total(outcome.latency) == pytest.approx(pace.offered, abs=at_once)
    if arrivals == "fixed":
        assert pace.offered == pytest.approx(300 * outcome.window_ns / SECOND, abs=2 * at_once)
    assert 0 < pace.sends <= pace.offered // at_once + 1  # the others waited for a connection
    assert outcome.counts.starved == outcome.counts.timed_out == 0


@pytest.mark.parametrize("workload", ["tcp-long", "tcp-short"])
def test_stall_is_in_the_latencies_of_all_that_were_due_meanwhile(
    paced: Paced, workload: str
) -> None:
    """And in the service times of those only that were under way, one for each connection."""
    outcome, pace, server = paced(
        ("timing.py", "stall", 300, 50), workload, 200, window=0.5, patience=5
    )
    did = server.report()
    lasted_ms = (did["ended"] - did["began"]) / 1e6
    waited = slower(outcome.latency, 50)
    assert outcome.latency_max_ns / 1e6 >= lasted_ms - 5  # one gap
    # Each 5 ms; those due in its last 50 ms have waited less.
    assert waited >= (lasted_ms - 50) / 5 - 2
    assert slower(pace.service, 50) <= waited
    assert pace.missed == 0
    assert outcome.errors == {}


def test_rate_that_the_server_cannot_do_is_not_met(paced: Paced) -> None:
    """Two hundred a second is what it can."""
    outcome, pace, _ = paced(("timing.py", "service", 5), "tcp-long", 1000)
    assert outcome.operations < pace.offered / 2
    assert pace.missed > 0
    assert total(outcome.latency) == pytest.approx(pace.offered, abs=1)
    assert outcome.errors == {}


def test_client_that_was_never_asked_for_anything_has_not_starved(paced: Paced) -> None:
    outcome, pace, _ = paced(CORRECT["udp-echo"], "udp-echo", 10, connections=64)
    assert pace.offered < 64
    assert outcome.counts.starved == 0


# No answer


@pytest.mark.parametrize(
    ("workload", "server"),
    [("tcp-long", ("echo.py", "silent")), ("tcp-short", ("echo.py", "accepts-nobody"))],
)
def test_what_is_never_answered_is_missed_and_in_the_latencies(
    paced: Paced, workload: str, server: tuple[object, ...]
) -> None:
    outcome, pace, _ = paced(server, workload, 50)
    assert outcome.operations == 0
    assert total(pace.service) == 0
    assert pace.missed == total(outcome.latency) == pytest.approx(pace.offered, abs=1)
    assert outcome.latency_max_ns >= 0.25 * SECOND  # until it was given up
    assert outcome.counts.starved == 4
    assert outcome.errors == {}


def test_connections_that_the_server_ended_miss_all_that_is_due_afterwards(paced: Paced) -> None:
    outcome, pace, server = paced(("echo.py", "eof", 100, 5), "tcp-long", 200)
    assert outcome.errors == {"eof": 4}
    report = server.report()
    assert report["faults"] == 4
    answered = report["received"] - report["faults"]
    assert pace.missed == pytest.approx(pace.offered - answered, abs=2)
    assert total(outcome.latency) == pytest.approx(pace.offered, abs=1)


@pytest.mark.parametrize("workload", list(CORRECT))
def test_server_that_refuses_does_not_hold_the_driver_up(paced: Paced, workload: str) -> None:
    script = "datagrams.py" if workload == "udp-echo" else "echo.py"
    outcome, pace, _ = paced((script, "refuses"), workload, 50)
    assert outcome.counts.refused >= 4
    assert outcome.counts.served == outcome.operations == total(pace.service) == 0
    assert outcome.counts.starved == 0


def test_datagram_that_is_refused_is_not_lost_as_well(paced: Paced) -> None:
    outcome, *_ = paced(("datagrams.py", "refuses"), "udp-echo", 50)
    assert outcome.counts.refused >= 4
    assert outcome.errors == {}


@pytest.mark.parametrize(
    ("workload", "server"),
    [
        ("tcp-long", ("echo.py", "dies", 100, 20)),
        ("tcp-short", ("echo.py", "dies", 100, 20)),
        ("chat", ("room.py", "dies", 20)),
    ],
)
def test_server_that_dies_does_not_hold_the_driver_up(
    paced: Paced, workload: str, server: tuple[object, ...]
) -> None:
    outcome, pace, _ = paced(server, workload, 400)
    counts = outcome.counts
    assert outcome.operations > 0
    assert counts.reset + outcome.errors.get("eof", 0) + counts.refused >= 4
    if workload != "chat":  # there a line is missed by those only who still were in the room
        assert pace.missed > 0


# Wrong answers


def test_wrong_replies_are_counted_and_missed(paced: Paced) -> None:
    outcome, pace, server = paced(("echo.py", "flipped", 100, 5), "tcp-long", 200)
    assert outcome.errors == {"wrong_bytes": 4}
    assert server.report()["faults"] == 4
    assert pace.missed >= 4


def test_wrong_replies_on_short_connections_are_counted_and_missed(paced: Paced) -> None:
    outcome, pace, server = paced(("echo.py", "flipped", 100, 5), "tcp-short", 200)
    report = server.report()
    assert outcome.errors == {"wrong_bytes": report["faults"]}
    assert outcome.counts.served == report["received"] - report["faults"] > 0
    assert pace.missed == pytest.approx(report["faults"], abs=1)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("loses", "lost"),
        ("duplicates", "duplicate"),
        ("reorders", "reordered"),
        ("comes-back", "own_line"),
    ],
)
def test_faults_of_a_room_are_counted_exactly(paced: Paced, fault: str, error: str) -> None:
    outcome, pace, server = paced(("room.py", fault, 5, 3), "chat", 400, connections=5)
    assert server.report()["faults"] == 3
    assert outcome.errors == {error: 3}
    assert pace.missed == (3 if fault == "loses" else 0)


# Datagrams


def test_lost_datagrams_are_lost_and_neither_late_nor_missed(paced: Paced) -> None:
    outcome, pace, server = paced(("datagrams.py", "lost", 5), "udp-echo", 100)
    report = server.report()
    assert outcome.errors == {"lost": report["faults"]}
    assert report["faults"] >= 4
    assert pace.missed == 0
    assert 0 < total(outcome.latency) <= report["received"] - report["faults"]


def test_doubled_datagrams_are_duplicates(paced: Paced) -> None:
    outcome, pace, server = paced(("datagrams.py", "duplicate", 5), "udp-echo", 100)
    faults = server.report()["faults"]
    # The second copy of the last reply may come when nobody is there any more.
    assert faults - 1 <= outcome.errors["duplicate"] <= faults
    assert set(outcome.errors) == {"duplicate"}
    assert total(outcome.latency) == pytest.approx(pace.offered, abs=1)


@pytest.mark.parametrize("fault", ["late", "overtaken"])
def test_datagram_may_come_as_late_as_it_will(paced: Paced, fault: str) -> None:
    """With the next of its client, 40 ms after it; some come never."""
    outcome, pace, server = paced(("datagrams.py", fault, 5), "udp-echo", 100)
    report = server.report()
    assert "late" not in outcome.errors
    assert outcome.errors.get("lost", 0) == report["faults"] - report["released"]
    overtaken = report["released"] if fault == "overtaken" else 0
    assert outcome.errors.get("reordered", 0) == overtaken
    assert slower(outcome.latency, 30) >= report["released"] - 1 > 0
    assert pace.missed == 0


@pytest.mark.parametrize("fault", ["corrupt_number", "corrupt_time", "extra", "empty"])
def test_corrupt_datagrams_are_wrong_and_their_right_replies_lost(paced: Paced, fault: str) -> None:
    outcome, _, server = paced(
        ("datagrams.py", fault, 5), "udp-echo", 100, window=0.25, patience=0.05
    )
    faults = server.report()["faults"]
    assert outcome.errors == {"wrong_bytes": faults, "lost": faults}
    assert faults >= 4
    assert outcome.details


# From when it was due, and from when it was sent


@pytest.fixture
def load(made_up_spec: Callable[..., Spec]) -> Iterator[Load]:
    """An open loop in this process, where nothing is due by itself."""
    load = Load(made_up_spec(rate=1.0, size=16))
    yield load
    load.epoll.close()


def check_one_operation(load: Load, due: int) -> None:
    """It was due a second before it was sent, and answered at once."""
    assert list(load.dues) == [due]
    (latency,), (service,) = load.samples, load.service
    assert latency - service == pytest.approx(SECOND, abs=1)
    assert latency >= SECOND


def answered(load: Load) -> None:
    load.run(10.0, lambda now: None, done=lambda: bool(load.samples))


def test_latency_on_an_open_connection_counts_from_when_it_was_due(
    load: Load, pairs: Pairs
) -> None:
    ours, theirs = pairs()
    conversation = tcp_long.PacedConversation(load, (b"a" * 16, b"b" * 16))
    conversation.attach(ours)
    now = clock()
    conversation.offer(now - SECOND, now)
    theirs.send(theirs.recv(100))
    answered(load)
    check_one_operation(load, now - SECOND)
    assert list(load.lateness) == [SECOND]


def test_message_due_while_its_connection_waits_is_sent_when_that_was_answered(
    load: Load, pairs: Pairs
) -> None:
    """Its latency has the wait, its service time has not, and nobody was late."""
    ours, theirs = pairs()
    conversation = tcp_long.PacedConversation(load, (b"a" * 16, b"b" * 16))
    conversation.attach(ours)
    first = clock()
    conversation.offer(first, first)
    conversation.offer(first + 1, first + 1)
    assert theirs.recv(100) == b"a" * 16
    theirs.send(b"a" * 16)
    answered(load)
    assert theirs.recv(100) == b"b" * 16
    theirs.send(b"b" * 16)
    load.run(10.0, lambda now: None, done=lambda: len(load.samples) == 2)
    assert list(load.dues) == [first, first + 1]
    assert load.samples[1] - load.service[1] >= load.samples[0] - 1
    assert list(load.lateness) == [0]


def test_what_waits_for_a_connection_that_ends_is_missed(load: Load, pairs: Pairs) -> None:
    ours, theirs = pairs()
    conversation = tcp_long.PacedConversation(load, (b"a" * 16, b"b" * 16))
    conversation.attach(ours)
    for due in (1, 2, 3):
        conversation.offer(due, clock())
    theirs.close()
    load.run(10.0, lambda now: None, done=lambda: not load.handlers)
    conversation.offer(4, clock())
    assert list(load.missed) == [1, 2, 3, 4]
    assert list(load.samples) == []


def test_connection_that_waits_for_a_busy_server_at_the_end_has_not_timed_out(
    load: Load, pairs: Pairs
) -> None:
    ours, theirs = pairs()
    workload = tcp_long.Workload(load)
    workload._connected(ours)
    workload._turns = itertools.cycle(workload._conversations)
    for due in (1, 2):
        workload.offer(due, clock())
    theirs.send(theirs.recv(16))
    answered(load)
    workload.finish()
    assert (load.counts.served, load.counts.starved, load.counts.timed_out) == (1, 0, 0)
    assert list(load.missed) == [2]


def test_short_connection_that_waits_for_a_busy_server_at_the_end_has_not_starved(
    load: Load,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load.address = listener.getsockname()
        workload = tcp_short.Workload(load)
        for due in (1, 2):
            workload.offer(due, clock())
        conn, _ = listener.accept()
        with conn:
            conn.send(conn.recv(100))
            answered(load)
        assert workload.unanswered() == 1
        workload.finish()
        assert (load.counts.served, load.counts.starved, load.counts.timed_out) == (1, 0, 0)
        assert list(load.missed) == [2]
        for place in workload._places:
            place.sock.close()


def test_latency_of_a_short_connection_counts_from_when_it_was_due(load: Load) -> None:
    """Also where it had to wait for a place."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load.address = listener.getsockname()
        workload = tcp_short.Workload(load)
        now = clock()
        workload.offer(now - SECOND, now)
        workload.offer(now - SECOND, now)
        for number in (1, 2):
            conn, _ = listener.accept()
            with conn:
                conn.send(conn.recv(100))
                load.run(10.0, workload.tick, done=lambda: len(load.samples) == number)  # noqa: B023
        assert workload.unanswered() == 0
        workload.finish()
    assert list(load.dues) == [now - SECOND] * 2
    assert all(latency >= SECOND for latency in load.samples)
    assert load.samples[0] - load.service[0] < load.samples[1] - load.service[1]
    assert list(load.lateness) == [SECOND]
    assert load.counts.served == 2
    assert list(load.missed) == []


def test_short_connections_that_found_no_place_are_missed(load: Load) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load.address = listener.getsockname()
        workload = tcp_short.Workload(load)
        for due in (1, 2, 3):
            workload.offer(due, clock())
        workload.finish()
        assert sorted(load.missed) == [1, 2, 3]
        for place in workload._places:
            place.sock.close()


def test_latency_of_a_datagram_counts_from_when_it_was_due(load: Load) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        load.address = server.getsockname()
        workload = udp_echo.Workload(load)
        workload.connect()
        now = clock()
        workload.offer(now - SECOND, now)
        server.sendto(*server.recvfrom(100))
        answered(load)
        check_one_operation(load, now - SECOND)
        workload._clients[0].sock.close()


def test_latency_of_a_line_counts_from_when_it_was_due(load: Load, pairs: Pairs) -> None:
    load.spec = msgspec.structs.replace(load.spec, size=24, connections=2)
    workload = chat.Workload(load)
    ends = []
    for _ in range(2):
        ours, theirs = pairs()
        ends.append(theirs)
        workload._connected(ours)
        for words in (b"* Who are you?\n", b"* The room contains: \n"):
            theirs.send(words)
            load.handlers[ours.fileno()]()
        assert theirs.recv(100).startswith(b"m")
    now = clock()
    workload.offer(now - SECOND, now)
    hears, says = ends
    hears.send(b"[m1] " + says.recv(100))
    answered(load)
    check_one_operation(load, now - SECOND)


def test_room_that_stands_still_is_not_said_to_lose_anything(load: Load, pairs: Pairs) -> None:
    """In an open loop lines may have to wait here until the kernel takes them."""
    load.spec = msgspec.structs.replace(load.spec, size=4000, connections=2)
    workload = chat.Workload(load)
    for _ in range(2):
        ours, _ = pairs()
        member = members.PacedMember(workload._room, ours, "it")
        workload._everybody.append(member)
        workload._room.members.append(member)
        member.served = True
    for due in range(1, 1000):
        workload.offer(due, clock())
    assert not any(member.gone for member in workload._everybody)
    assert +load.errors == {}


# The loop


class FakePoll:
    """Stands for epoll, with nothing ever ready; notes how long it might have slept."""

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    def poll(self, timeout: float, maximum: int) -> list[tuple[int, int]]:
        self.timeouts.append(timeout)
        return []

    def close(self) -> None:
        """Nothing is open."""


class FakeWorkload:
    """Takes what is due, each for so long."""

    def __init__(self, takes_ns: int = 0) -> None:
        self.dues: array[int] = array("Q")
        self._takes_ns = takes_ns

    def offer(self, due: int, now: int) -> None:
        assert len(self.dues) < 10_000, "it does not end"
        self.dues.append(due)
        while clock() < now + self._takes_ns:
            pass

    def operations_at_once(self) -> int:
        return 2


def test_operations_are_offered_by_as_many_as_one_message_is(load: Load) -> None:
    workload = FakeWorkload()
    load.keep_to_schedule(workload, 2000)  # type: ignore[arg-type]
    load.run(0.05, lambda now: None)
    load.offer_no_more()
    assert load.offered == 2 * len(workload.dues)
    began, *_, last = workload.dues
    assert len(workload.dues) - 1 == pytest.approx((last - began) * 1000 / SECOND, abs=0.01)


def test_loop_sleeps_no_longer_than_until_something_is_due(load: Load) -> None:
    load.epoll.close()
    load.epoll = polled = FakePoll()  # type: ignore[assignment]
    load.keep_to_schedule(FakeWorkload(), 2000)  # type: ignore[arg-type]
    load.run(0.005, lambda now: None)
    assert max(polled.timeouts) <= 0.001


def test_rate_that_the_driver_cannot_keep_does_not_stop_it_from_ending(load: Load) -> None:
    load.keep_to_schedule(FakeWorkload(takes_ns=100_000), 1_000_000)  # type: ignore[arg-type]
    began = clock()
    load.run(0.05, lambda now: None)
    assert clock() - began < 0.5 * SECOND
