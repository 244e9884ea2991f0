"""What handlers do for each message: the same in every model, in the order of its messages."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from deadline import DEADLINE_S
from hypothesis import given
from hypothesis import strategies as st

from aionet.protocol import Echo, Room
from compare.contenders import handler as handlers
from compare.contenders.burn import Burner
from compare.contenders.handler import Cost, handler
from compare.contenders.messages import messages
from compare.contenders.waits import TimedPoller, Timers, Waiting
from compare.host.launch import Server
from compare.models.handler import PLAIN, Handler
from compare.models.matrix import MODELS, WORKLOADS

WAIT_S = 0.02
SIZE = 100_000  # more than one read
SHAPES = ("blocking", "threaded", "epoll", "coroutines", "asyncio")  # one of each
ABLE = [
    pytest.param(name, marks=() if name in SHAPES else pytest.mark.slow)
    for name, model in MODELS.items()
    if not model.reference
]


def served(name: str, workload: str, handler: Handler) -> Server:
    model = MODELS[name]
    if why := model.unsupported(WORKLOADS[workload]):
        pytest.skip(why)
    argv = model.argv(WORKLOADS[workload], handler=handler)
    return Server(argv, (), env=model.surroundings)


def received(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size and (data := sock.recv(65536)):
        found += data
    return found


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ABLE)
def test_messages_are_echoed_in_order_after_the_wait(name: str) -> None:
    cost = Handler(work_us=50, wait_us=WAIT_S * 1e6, size=SIZE)
    sent = os.urandom(SIZE)
    with (
        served(name, "tcp-long", cost) as server,
        socket.create_connection((server.host, server.port), DEADLINE_S) as client,
    ):
        for _ in range(2):
            began = time.monotonic()
            client.sendall(sent)
            assert received(client, SIZE) == sent
            # uvloop counts whole milliseconds, from when its turn began.
            assert time.monotonic() - began > WAIT_S - 0.002
        server.stop()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ABLE)
def test_who_has_finished_sending_gets_its_answer_first(name: str) -> None:
    if name == "tornado":
        pytest.skip("an IOStream knows no half-close")
    with (
        served(name, "tcp-long", Handler(wait_us=WAIT_S * 1e6, size=6)) as server,
        socket.create_connection((server.host, server.port), DEADLINE_S) as client,
    ):
        client.sendall(b"first second third.")
        client.shutdown(socket.SHUT_WR)
        assert received(client, 100) == b"first second third."
        server.stop()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ABLE)
def test_datagrams_are_answered_after_the_wait(name: str) -> None:
    with (
        served(name, "udp-echo", Handler(work_us=50, wait_us=WAIT_S * 1e6)) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        client.settimeout(DEADLINE_S)
        client.connect((server.host, server.port))
        began = time.monotonic()
        client.send(b"hello")
        assert client.recv(100) == b"hello"
        assert time.monotonic() - began > WAIT_S - 0.002
        server.stop()


@pytest.mark.timeout(30)
@pytest.mark.parametrize("name", ABLE)
def test_a_line_reaches_the_others_of_a_room_after_the_wait(name: str) -> None:
    if name == "blocking":
        pytest.skip("nobody else is in the room")
    with (
        served(name, "chat", Handler(work_us=50, wait_us=WAIT_S * 1e6)) as server,
        socket.create_connection((server.host, server.port), DEADLINE_S) as ann,
        socket.create_connection((server.host, server.port), DEADLINE_S) as bob,
        ann.makefile("rwb") as hers,
        bob.makefile("rwb") as his,
    ):
        for file, who in ((hers, b"ann\n"), (his, b"bob\n")):
            file.readline()
            file.write(who)
            file.flush()
            assert file.readline().startswith(b"* The room contains")
        began = time.monotonic()
        his.write(b"hello\n")
        his.flush()
        assert hers.readline() == b"* bob has entered the room\n"
        assert hers.readline() == b"[bob] hello\n"
        assert time.monotonic() - began > WAIT_S - 0.002
        server.stop()


def test_a_server_that_closes_first_works_too() -> None:
    model = MODELS["epoll"]
    argv = model.argv(WORKLOADS["tcp-short"], close_after=5, handler=Handler(work_us=10, size=5))
    with (
        Server(argv, (), env=model.surroundings) as server,
        socket.create_connection((server.host, server.port), DEADLINE_S) as client,
    ):
        client.sendall(b"hello")
        assert received(client, 100) == b"hello"
        server.stop()


# The command.


def test_a_handler_that_costs_nothing_changes_no_command() -> None:
    for model in MODELS.values():
        assert PLAIN.around(model.command) == model.command
    assert Handler(size=1000, seed=5, slow_us=3).is_plain


def test_a_handler_stands_before_the_command_of_a_server() -> None:
    command = Handler(work_us=50, size=9).around(("-m", "blocking", "serve", "echo"))
    words = " ".join(command)
    assert words.startswith("-m compare.contenders.loaded --work 50 ")
    assert words.endswith(" --size 9 --seed 1 blocking serve echo")


def test_who_cannot_be_told_says_so() -> None:
    for model in MODELS.values():
        assert bool(model.unhandled) == model.reference
    assert "no handler" in (MODELS["bare-epoll"].unhandled or "")


# Messages.


@given(st.integers(1, 50), st.lists(st.integers(1, 120), max_size=30), st.integers(1, 3))
def test_messages_of_a_stream_are_counted_however_it_is_cut(
    size: int, pieces: list[int], peers: int
) -> None:
    many = messages("echo", size)
    total, seen = [0] * peers, [0] * peers
    for number, piece in enumerate(pieces):
        peer = number % peers
        total[peer] += piece
        seen[peer] += many(peer, b"x" * piece)
        assert seen[peer] == total[peer] // size


def test_a_message_of_chat_is_a_line_and_one_of_udp_a_datagram() -> None:
    assert messages("chat", 5)("ann", b"one\ntwo\nthr") == 2
    assert messages("udp-echo", 5)("ann", b"") == 1


# Work.


def test_work_is_on_the_clock_of_the_thread() -> None:
    before = handler("echo", Cost(work_us=2000, size=3))
    began = time.thread_time_ns()
    before("ann", b"ab")
    assert time.thread_time_ns() - began < 1_000_000
    began = time.thread_time_ns()
    before("ann", b"cabc")
    assert time.thread_time_ns() - began >= 3_900_000


def test_what_a_burn_itself_takes_is_taken_off() -> None:
    burner = Burner()
    burner.calibrate(lambda: (burner.burn(1_000_000), burner.burn(500_000)), 1_000_000)
    assert burner.beside_ns >= 400_000
    began = time.thread_time_ns()
    burner.burn(1_000_000)
    assert time.thread_time_ns() - began < 1_000_000


def drawn(monkeypatch: pytest.MonkeyPatch, cost: Cost, many: int) -> list[float]:
    burnt: list[float] = []
    monkeypatch.setattr(
        handlers, "Burner", lambda: SimpleNamespace(burn=burnt.append, calibrate=lambda *_: None)
    )
    before = handler("udp-echo", cost)
    for _ in range(many):
        before("ann", b"")
    return burnt


def test_slow_ones_are_drawn_by_the_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    cost = Cost(work_us=10, slow_share=0.1, slow_us=1000, seed=3)
    first = drawn(monkeypatch, cost, 2000)
    assert {*first} == {10_000.0, 1_010_000.0}
    assert 140 < sum(each > 10_000 for each in first) < 260
    assert drawn(monkeypatch, cost, 2000) == first
    assert drawn(monkeypatch, cost._replace(seed=4), 2000) != first


def test_children_do_not_draw_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who forks for each connection would be slow for all of them, or for none."""
    burnt: list[float] = []
    monkeypatch.setattr(handlers, "Burner", lambda: SimpleNamespace(burn=burnt.append))
    before = handler("udp-echo", Cost(slow_share=0.5, slow_us=1.0))
    seen = []
    for _ in range(2):
        ours, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            slow = b""
            for _ in range(64):
                before("ann", b"")
                slow += b"1" if burnt else b"0"
                burnt.clear()
            os.write(theirs, slow)
            os._exit(0)
        os.close(theirs)
        seen.append(os.read(ours, 100))
        os.close(ours)
        os.waitpid(pid, 0)
    assert [len(each) for each in seen] == [64, 64]
    assert seen[0] != seen[1]
    assert {*seen[0]} == {*b"01"}


# Waits.


class Peer:
    """As much of one as is asked for something."""

    def __init__(self) -> None:
        self.heard: list[Any] = []
        self.hub = SimpleNamespace(talk=SimpleNamespace(call=self.call))

    def call(self, peer: Peer, method: Any) -> None:
        self.heard.append(method(peer))


@given(st.lists(st.sampled_from(["ann", "bob", "time"]), max_size=40))
def test_whoever_waits_is_answered_in_order_and_ends_last(steps: list[str]) -> None:
    due: list[Any] = []
    peers = {"ann": Peer(), "bob": Peer()}
    waiting = Waiting(Echo(), 1.0, lambda seconds, callback: due.append(callback))
    sent: dict[str, list[bytes]] = {"ann": [], "bob": []}
    for number, step in enumerate(steps):
        if step == "time":
            if due:
                due.pop()()  # whichever timer is the first to fire
        else:
            data = b"%d" % number
            sent[step].append(data)
            assert waiting.receive_data(peers[step], data) is None
    for name, peer in peers.items():
        pending = len(peer.heard) < len(sent[name])
        assert (waiting.receive_eof(peer) is None) is pending
    while due:
        due.pop()()
    for name, peer in peers.items():
        assert [each for each in peer.heard if isinstance(each, bytes)] == sent[name]
        assert all(isinstance(each, bytes) for each in peer.heard[:-1])


def test_a_room_that_waits_keeps_to_one_process() -> None:
    waiting = Waiting(Room(), 1.0, lambda *_: None)
    assert waiting.one_process
    peer = Peer()
    assert waiting.connect(peer) == Room().connect(peer)
    assert waiting.unfinished(peer) is None


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[SimpleNamespace]:
    now = SimpleNamespace(s=100.0)
    monkeypatch.setattr(time, "monotonic", lambda: now.s)
    yield now
    monkeypatch.undo()


def test_a_poller_is_waited_with_until_the_next_timer(clock: SimpleNamespace) -> None:
    timers, waited, rang = Timers(), [], []

    class Poller:
        register = modify = unregister = close_socket = close = None

        def poll(self, timeout: float | None) -> list[tuple[int, int]]:
            waited.append(timeout)
            clock.s += timeout or 0.0
            return [(3, 1)]

    poller = TimedPoller(Poller(), timers)
    assert poller.poll(None) == [(3, 1)]
    timers.call_later(5.0, lambda: rang.append("first"))
    clock.s += 1
    timers.call_later(5.0, lambda: rang.append("second"))
    poller.poll(2.0)
    assert rang == []
    poller.poll(None)
    assert rang == ["first"]
    poller.poll(30.0)
    assert rang == ["first", "second"]
    assert waited == [None, 2.0, 2.0, 1.0]
