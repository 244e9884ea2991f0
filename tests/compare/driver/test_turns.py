"""The turns of one server, from inside: what of them is measured, and what is not."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from compare.contract import histogram
from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.driver import turns as turning
from compare.driver import udp_echo
from compare.driver.meter import Meter
from compare.driver.turns import Turns

MakeSpec = Callable[..., Spec]
Take = Callable[..., Turns]
SLICE_S = 0.05
LONG_S = 0.5


@pytest.fixture
def taking(made_up_spec: MakeSpec) -> Iterator[Take]:
    """Makes the turns of a server at an address, connected; nothing of them is left after."""
    with contextlib.ExitStack() as stack:

        def taking(
            address: tuple[str, int],
            rate: float | None = None,
            pid: int | None = None,
            **load: object,
        ) -> Turns:
            target = Target(*address, pid, rate)
            turns = Turns(made_up_spec(**{"size": 16} | load), target, None)
            stack.callback(turns.load.epoll.close)
            turns.workload.connect()
            for name in ("_conversations", "_clients"):
                for each in getattr(turns.workload, name, []):
                    stack.callback(each.sock.close)
            return turns

        yield taking


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    """Connections to it are there as soon as they are asked for, and who serves them is a test."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


@pytest.fixture
def echo() -> Iterator[Callable[[socket.socket], None]]:
    """Answers all that comes on a connection, in a thread of its own, until that ends."""
    with contextlib.ExitStack() as stack:

        def end(conn: socket.socket) -> None:
            with contextlib.suppress(OSError):
                conn.shutdown(socket.SHUT_RDWR)

        def echo(conn: socket.socket) -> None:
            def answer() -> None:
                with conn, contextlib.suppress(OSError):
                    while data := conn.recv(100):
                        conn.send(data)

            thread = threading.Thread(target=answer)
            thread.start()
            stack.callback(thread.join)
            stack.callback(end, conn)

        yield echo


Echo = Callable[[socket.socket], None]


def timed(outcome: Outcome) -> int:
    total: int = histogram.merge([outcome.latency]).get_total_count()
    return total


# What was sent before


def test_slice_leaves_out_what_was_sent_before_its_turn(
    taking: Take, listener: socket.socket, echo: Echo
) -> None:
    """Of a connection that is served for the first time when others have had theirs."""
    turns = taking(listener.getsockname(), connections=2)
    first, second = listener.accept()[0], listener.accept()[0]
    echo(first)
    turns.take(SLICE_S, 0.0)
    assert not turns.over
    second.send(second.recv(100))
    echo(second)
    turns.take(SLICE_S, 0.0)
    outcome = turns.finish()
    assert outcome.counts.served == 2
    assert timed(outcome) == pytest.approx(outcome.operations, abs=4)
    assert outcome.latency_max_ns < min(each.turn_ns for each in outcome.slices)
    assert outcome.errors == {}


def test_first_moments_of_a_turn_are_of_no_window(
    taking: Take, listener: socket.socket, echo: Echo
) -> None:
    turns = taking(listener.getsockname())
    echo(listener.accept()[0])
    turns.take(SLICE_S, SLICE_S)
    outcome = turns.finish()
    (turn,) = outcome.slices
    assert timed(outcome) == pytest.approx(turn.operations, abs=1)
    assert turn.operations < turn.turn_operations - 1
    assert turn.window_ns >= SLICE_S * 1e9
    assert turn.turn_ns >= 2 * SLICE_S * 1e9


def test_latency_that_the_end_of_a_slice_cuts_off_is_counted_whole(
    taking: Take, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the longer one takes, the less often it would be among them."""
    turns = taking(listener.getsockname())
    conn, _ = listener.accept()
    began, ended = threading.Event(), threading.Event()
    took_ns = []

    class Window(turning.Window):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            began.set()

        def end(self) -> None:
            super().end()
            ended.set()

    monkeypatch.setattr(turning, "Window", Window)

    def answer() -> None:
        for event in (began, ended):
            message = conn.recv(100)
            came = time.perf_counter_ns()
            event.wait()
            took_ns.append(time.perf_counter_ns() - came)
            conn.send(message)

    with conn:
        turns.workload._conversations[0].served = True  # so that it is waited for
        answers = threading.Thread(target=answer)
        answers.start()
        turns.take(LONG_S, 0.0)
        answers.join()
        outcome = turns.finish()
    assert (timed(outcome), outcome.operations) == (1, 1)  # not the same one
    assert outcome.latency_max_ns >= took_ns[1]


def test_nothing_is_under_way_between_turns(
    taking: Take, listener: socket.socket, echo: Echo
) -> None:
    turns = taking(listener.getsockname(), connections=4)
    for _ in range(4):
        echo(listener.accept()[0])
    for _ in range(3):
        turns.take(SLICE_S, 0.0)
        assert turns.workload.under_way() == 0
        assert not turns.load.sending
    assert turns.finish().counts.served == 4


class SlowMeter(Meter):
    """Takes as long as that of a server of a thousand processes on a busy machine."""

    def cpu_ns(self) -> int:
        time.sleep(LONG_S)
        return super().cpu_ns()

    def settled_ns(self) -> int:
        return self.cpu_ns()


@pytest.mark.parametrize("rate", [None, 200.0])
def test_what_reading_the_meters_takes_is_in_no_latency_and_in_no_turn(
    taking: Take,
    listener: socket.socket,
    echo: Echo,
    monkeypatch: pytest.MonkeyPatch,
    rate: float | None,
) -> None:
    """It is the longer the more threads and processes a server has."""
    monkeypatch.setattr(turning, "Meter", SlowMeter)
    turns = taking(listener.getsockname(), rate, os.getpid())
    echo(listener.accept()[0])
    for _ in range(2):
        turns.take(SLICE_S, 0.0)
    outcome = turns.finish()
    assert outcome.operations > 2
    assert outcome.latency_max_ns < LONG_S * 1e9
    assert max(each.turn_ns for each in outcome.slices) < LONG_S * 1e9


@pytest.mark.parametrize("picture", [False, True])
def test_last_look_at_what_it_used_is_before_the_picture_and_all_that_is_waited_for(
    taking: Take,
    listener: socket.socket,
    echo: Echo,
    monkeypatch: pytest.MonkeyPatch,
    picture: bool,
) -> None:
    served: list[int] = []

    class Noted(Meter):
        def close(self) -> None:
            served.append(len(turns.load.samples))
            super().close()

    monkeypatch.setattr(turning, "Meter", Noted)
    turns = taking(listener.getsockname(), pid=os.getpid())
    echo(listener.accept()[0])
    turns.take(SLICE_S, 0.0)
    operations = len(turns.load.samples)
    if picture:
        turns.take_picture()
        assert len(turns.load.samples) > operations
    turns.finish()
    assert served[0] == operations


# What never comes, or late


def test_connection_that_was_never_served_holds_no_turn_up(
    taking: Take, listener: socket.socket, echo: Echo
) -> None:
    turns = taking(listener.getsockname(), connections=2)
    echo(listener.accept()[0])
    turns.take(SLICE_S, 0.0)
    turns.take(SLICE_S, 0.0)
    assert not turns.over
    outcome = turns.finish()
    assert (outcome.counts.served, outcome.counts.starved) == (1, 1)
    assert outcome.gave_up is None
    assert len(outcome.slices) == 2


def test_reply_that_never_comes_is_the_end_of_all_turns(
    taking: Take, listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turning, "REPLY_TIMEOUT_S", 0.05)
    turns = taking(listener.getsockname())
    conn, _ = listener.accept()
    with conn:
        turns.workload.begin()
        conn.send(conn.recv(100))
        turns.take(SLICE_S, 0.0)
        assert turns.over
        outcome = turns.finish()
    assert (outcome.gave_up or "").startswith("1 reply did not come within 0.05 s")
    assert outcome.counts.timed_out == 1


@pytest.fixture
def service() -> Iterator[socket.socket]:
    """Datagrams wait in it until a test takes them."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service:
        service.bind(("127.0.0.1", 0))
        service.settimeout(10)
        yield service


def received(service: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
    """All that has come."""
    service.setblocking(False)
    found = []
    with contextlib.suppress(BlockingIOError):
        while True:
            found.append(service.recvfrom(100))
    return found


def test_datagrams_lost_in_a_slice_are_late_if_they_come_after_all(
    taking: Take, service: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that lost some has its further turns."""
    monkeypatch.setattr(udp_echo, "QUIET_NS", 20_000_000)
    turns = taking(service.getsockname(), rate=200.0, workload="udp-echo", connections=2)
    turns.take(SLICE_S, 0.0)
    first = received(service)
    assert turns.load.errors["lost"] == len(first) >= 9
    assert not turns.over
    for datagram in first:
        service.sendto(*datagram)
    turns.take(SLICE_S, 0.0)
    second = received(service)
    assert turns.load.errors == {"lost": len(second), "late": len(first)}
    outcome = turns.finish()
    assert outcome.errors == {"lost": len(second), "late": len(first)}
    assert outcome.gave_up is None
    assert outcome.pace is not None
    assert outcome.pace.missed == 0
    assert outcome.operations == timed(outcome) == 0


def test_what_is_answered_after_its_server_was_given_up_was_still_due(
    taking: Take, listener: socket.socket, echo: Echo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And is in the latencies, however late it is."""
    turns = taking(listener.getsockname(), rate=100.0)
    conn, _ = listener.accept()
    turns.load.sending = True
    turns.workload.offer(1, 1)
    conn.send(conn.recv(100))
    turns.load.run(10.0, turns.workload.tick, done=lambda: bool(turns.load.samples))
    monkeypatch.setattr(turning, "OPEN_TIMEOUT_S", 0.05)
    turns.take(SLICE_S, 0.0)
    assert turns.over
    monkeypatch.undo()
    echo(conn)
    outcome = turns.finish()
    assert outcome.pace is not None
    assert outcome.pace.offered >= 4
    assert outcome.pace.missed == 0
    assert timed(outcome) == outcome.pace.offered
    assert histogram.merge([outcome.pace.service]).get_total_count() == outcome.pace.offered


def test_what_was_due_to_a_connection_that_is_served_late_is_in_the_latencies(
    taking: Take, listener: socket.socket, echo: Echo
) -> None:
    """For the first time, when others have had their turns: nobody has waited for it."""
    turns = taking(listener.getsockname(), rate=100.0)
    conn, _ = listener.accept()
    turns.take(SLICE_S, 0.0)
    assert not turns.over
    echo(conn)
    turns.take(SLICE_S, 0.0)
    outcome = turns.finish()
    assert outcome.pace is not None
    assert outcome.pace.missed == 0
    assert timed(outcome) == outcome.pace.offered


# The room


def test_room_of_one_has_one_short_turn(taking: Take, listener: socket.socket) -> None:
    """There is nobody to speak to, and no second look would show anybody."""
    address = listener.getsockname()

    def let_in() -> None:
        conn, _ = listener.accept()
        with conn:
            conn.send(b"* Who are you?\n")
            conn.recv(100)
            conn.send(b"* The room contains: \n")
            conn.recv(100)

    thread = threading.Thread(target=let_in)
    thread.start()
    turns = taking(address, workload="chat", size=30)
    turns.warm_up()
    turns.take(10.0, 0.0)
    assert turns.over
    (member,) = turns.workload._everybody  # type: ignore[attr-defined]
    outcome = turns.finish()
    member.sock.close()
    thread.join()
    assert outcome.settled
    assert outcome.operations == 0
    assert outcome.window_ns < 10**9
