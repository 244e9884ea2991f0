"""What is due in an open loop, from inside: from when it counts, and how long the loop sleeps."""

from __future__ import annotations

import itertools
import socket
from array import array
from collections.abc import Callable, Iterator
from time import perf_counter_ns as clock

import msgspec
import pytest

from compare.contract.spec import Spec, Target
from compare.driver import chat, members, tcp_long, tcp_short, udp_echo
from compare.driver.load import BURST, CATCH_UP, Load
from compare.driver.meter import Dropped
from compare.driver.turns import Window

Pairs = Callable[[], tuple[socket.socket, socket.socket]]
SECOND = 10**9


# From when it was due, and from when it was sent


@pytest.fixture
def load(made_up_spec: Callable[..., Spec]) -> Iterator[Load]:
    """An open loop in this process, where nothing is due by itself."""
    load = Load(made_up_spec(size=16), Target("127.0.0.1", 0, rate=1.0))
    yield load
    load.epoll.close()


def check_one_operation(load: Load, due: int) -> None:
    """It was due a second before it was sent, and answered at once."""
    assert list(load.starts) == [due]
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
    assert list(load.starts) == [first, first + 1]
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


def test_connection_that_timed_out_before_it_was_there_is_not_forgotten(load: Load) -> None:
    """Also where the server was busy to the end."""
    workload = tcp_long.Workload(load)
    load.counts.timed_out = 1
    assert load.quiet_ns() < SECOND // 10
    workload.finish()
    assert load.counts.timed_out == 1


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
    assert list(load.starts) == [now - SECOND] * 2
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

    def __init__(self, takes_ns: int = 0, lateness: array[int] | None = None) -> None:
        self.dues: array[int] = array("Q")
        self._takes_ns = takes_ns
        self._lateness = array("q") if lateness is None else lateness

    def offer(self, due: int, now: int) -> None:
        assert len(self.dues) < 10_000, "it does not end"
        self.dues.append(due)
        self._lateness.append(now - due)
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


def test_arrivals_of_one_turn_are_not_those_of_another(load: Load) -> None:
    """Or a pattern that chance has made would be measured again and again."""
    load.spec = msgspec.structs.replace(load.spec, arrivals="poisson")
    patterns = []
    for _ in range(2):
        workload = FakeWorkload()
        began = clock()
        load.keep_to_schedule(workload, 2000, began)  # type: ignore[arg-type]
        load.offer_due(began + SECOND // 10)
        load.offer_no_more()
        patterns.append([due - began for due in workload.dues])
    assert patterns[0] != patterns[1]


@pytest.mark.parametrize("too_many", [False, True])
def test_what_a_window_ends_before_it_is_sent_is_late_too(load: Load, too_many: bool) -> None:
    """What was due while the driver was away is sent at the end, or never, and the driver's."""
    workload = FakeWorkload(lateness=load.lateness)
    rate = 200 * CATCH_UP if too_many else 1000
    load.keep_to_schedule(workload, 2 * rate)  # type: ignore[arg-type]
    window = Window(load, lambda: Dropped())
    while clock() < window.began + SECOND // 20:
        pass
    window.end()
    lateness = window.lateness()
    assert len(lateness) == pytest.approx((window.ended - window.began) * rate / SECOND, abs=2)
    assert 2 * len(lateness) == window.offered
    assert max(lateness) >= SECOND // 25
    assert (len(workload.dues) < len(lateness)) is too_many


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


def test_driver_that_is_late_reads_replies_before_it_has_caught_up(load: Load) -> None:
    """Or what it is answered meanwhile would fill its buffers, and be lost there."""
    workload = FakeWorkload()
    load.keep_to_schedule(workload, 2_000_000, clock() - SECOND)  # type: ignore[arg-type]
    offered = []
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"x")
        load.watch(ours.fileno(), lambda: offered.append(len(workload.dues)))
        load.run(5.0, lambda now: None, done=lambda: len(offered) > 3)
    assert [after - before for before, after in itertools.pairwise(offered)] == [BURST] * 3
