"""Many threads of one server at once: nothing is lost, done twice, or left behind."""

from __future__ import annotations

import contextlib
import os
import random
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from blocking_servers import Running, exchange, receive, receive_rest, reset, running
from deadline import DEADLINE_S, wait_until

from aionet.limits import Limits, Timeouts
from aionet.protocol import CLOSE, Answer, Delivery, Echo, Room, Service
from blocking import coroutines, threaded

THREADS = ("threaded", "threadpool")
OTHERS = ("on_epoll_et", "coroutines")  # whose own traps are the same: what is told once only
CLIENTS = 300
PIECE = bytes(64 * 1024)
modules = pytest.mark.parametrize("module", [*THREADS, *OTHERS])


@pytest.fixture(autouse=True)
def _switching() -> Iterator[None]:
    """Threads that switch as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


class Counting(Echo):
    """Echoes lines, but for a few commands, and counts who comes and goes."""

    def __init__(self) -> None:
        self.comes: Counter[Any] = Counter()
        self.ends: Counter[Any] = Counter()
        self.inside = False
        self.overlapping = 0
        self.unclosed = 0  # generators

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.overlapping += self.inside
        self.inside = True
        try:
            yield
        finally:
            self.inside = False

    def connect(self, peer: Any) -> Answer:
        with self._alone():
            self.comes[peer] += 1
            return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        with self._alone():
            answer: list[Delivery] = []
            for line in data.splitlines():  # what is sent in one piece comes in one piece
                match line:
                    case b"generate":
                        return self._generate(peer)
                    case b"news":
                        others = [each for each in self.comes if each not in self.ends][:20]
                        answer.append((others, b"*"))
                    case b"quit":
                        answer += [(peer, PIECE), (peer, CLOSE)]
                    case b"fail":
                        raise LookupError("as told")
                    case _:
                        answer.append((peer, line + b"\n"))
            return answer

    def receive_eof(self, peer: Any) -> Answer:
        with self._alone():
            self.ends[peer] += 1
            return CLOSE

    def _generate(self, peer: Any) -> Iterator[Delivery]:
        self.unclosed += 1
        try:
            for _ in range(32):
                with self._alone():
                    pass
                yield peer, PIECE
        finally:
            self.unclosed -= 1


def _talk(server: Running, seed: int) -> None:
    """What a client does is up to the seed; all of it may be cut off."""
    chance = random.Random(seed)
    sock = server.connect(receive_buffer=chance.choice((0, 4096)))
    for _ in range(chance.randrange(4)):
        match chance.randrange(8):
            case 0:
                sock.sendall(b"generate\n")
                receive(sock, 32 * len(PIECE))
            case 1:
                sock.sendall(b"generate\n")
                receive(sock, 1)
                break
            case 2:
                sock.sendall(b"quit\n")
                receive_rest(sock)
            case 3:
                sock.sendall(b"fail\n")
                receive_rest(sock)
            case 4 | 5:
                sock.sendall(b"news\n")
            case _:
                exchange(sock, b"hello\n")
    match chance.randrange(3):
        case 0:
            reset(sock)
        case 1:
            sock.shutdown(1)
            receive_rest(sock)
    sock.close()


def _all_at_once(doers: list[Callable[[], object]]) -> None:
    threads = [threading.Thread(target=each) for each in doers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(DEADLINE_S)
        assert not thread.is_alive()


@modules
def test_whatever_clients_do_each_comes_and_ends_once_and_nothing_is_left(
    module: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("CRITICAL", "aionet")
    service = Counting()
    before = set(os.listdir("/proc/self/fd"))
    with running(module, service, timeouts=Timeouts(linger=0.2)) as server:

        def talk(first: int) -> None:
            for seed in range(first, CLIENTS, 30):
                with contextlib.suppress(ConnectionError):
                    _talk(server, seed)

        _all_at_once([lambda n=n: talk(n) for n in range(30)])  # type: ignore[misc]
        wait_until(lambda: len(service.ends) == CLIENTS, "all have ended")
        wait_until(lambda: threading.active_count() < 50, "no thread is left over")
    assert set(service.comes.values()) == set(service.ends.values()) == {1}
    assert (len(service.comes), service.overlapping, service.unclosed) == (CLIENTS, 0, 0)
    wait_until(lambda: set(os.listdir("/proc/self/fd")) <= before, "no descriptor is left open")


@modules
def test_three_hundred_who_come_and_go_at_once_are_all_served(module: str) -> None:
    service = Counting()
    with running(module, service) as server:

        def visit() -> None:
            with server.connect() as sock:
                assert exchange(sock, b"hello\n") == b"hello\n"
                sock.shutdown(1)
                assert receive_rest(sock) == b""
                served.append(1)

        served: list[int] = []
        _all_at_once([visit] * CLIENTS)
        assert len(served) == CLIENTS
        assert service.overlapping == 0


@pytest.mark.parametrize("module", ["threaded", *OTHERS])
def test_all_members_hear_all_lines_once_and_in_the_same_order(module: str) -> None:
    members, lines = 20, 30
    heard: dict[int, list[bytes]] = {}
    room = Room()
    with running(module, room, limits=Limits(outbox=16 * 1024 * 1024)) as server:

        def take_part(number: int) -> None:
            sock = server.connect(receive_buffer=(0, 4096)[number % 2])
            sock.sendall(b"m%d\n" % number)
            file = sock.makefile("rb")
            wait_until(lambda: len(room.names) == members, "all are there")
            for n in range(lines):
                sock.sendall(b"%d %d %s\n" % (number, n, b"x" * 500))
            said = []
            while len(said) < (members - 1) * lines:
                line = file.readline()
                assert line
                if line.startswith(b"[m"):
                    said.append(line.partition(b"] ")[2][:8])
            heard[number] = said

        _all_at_once([lambda n=n: take_part(n) for n in range(members)])  # type: ignore[misc]
    assert len(heard) == members
    own = {n: [each for each in heard[0] if each.startswith(b"%d " % n)] for n in range(members)}
    for number, said in heard.items():
        assert not any(each.startswith(b"%d " % number) for each in said)
        rest = [each for each in heard[0] if not each.startswith(b"%d " % number)]
        assert [each for each in said if not each.startswith(b"0 ")] == rest
    assert all(len(each) == lines for number, each in own.items() if number)


@modules
def test_drain_in_the_midst_of_it_loses_nothing_that_was_begun(module: str) -> None:
    service = Counting()
    with running(module, service) as server:
        answered, stop = [], threading.Event()

        def visit() -> None:
            while not stop.is_set():
                try:
                    with server.connect() as sock:
                        sock.sendall(b"hello\n")
                        answer = receive(sock, 6)
                        # Before the drain all is answered; later nobody listens any more.
                        answered.append(answer)
                except OSError:
                    return

        threads = [threading.Thread(target=visit) for _ in range(20)]
        for thread in threads:
            thread.start()
        time.sleep(0.2)
        server.server.drain()
        server.thread.join(DEADLINE_S)
        assert not server.thread.is_alive()
        stop.set()
        for thread in threads:
            thread.join(DEADLINE_S)
        assert set(answered[: len(answered) - 20]) == {b"hello\n"}
    assert service.comes == service.ends


class Both(Echo):
    """What anybody says is also said to the first who came."""

    def __init__(self) -> None:
        self.first: Any = None

    def connect(self, peer: Any) -> Answer:
        self.first = self.first or peer
        return None

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        return [(self.first, b"news"), (peer, data)]


@contextlib.contextmanager
def _not_running(
    kind: Any, service: Service, limits: Limits
) -> Iterator[tuple[Any, list[Any], list[socket.socket]]]:
    """A server of this module whose calls the test makes, two of its connections, their peers."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        server = kind.StreamServer(listener, service, limits, Timeouts())
        stack.callback(server._wakeup.close)
        ours, theirs = zip(*(socket.socketpair() for _ in range(2)), strict=True)
        for sock in (*ours, *theirs):
            stack.enter_context(sock)
        conns = [kind.Connection(server._hub, sock) for sock in ours]
        for conn in conns:
            server._hub.admit(conn)
        yield server, conns, list(theirs)


def test_who_is_answered_does_not_wait_until_nobody_tells_others_anything() -> None:
    """On threads; whoever holds the lock of a peer sees once to the others before it sends."""
    with _not_running(threaded, service := Both(), Limits()) as (server, (_, conn), (_, peer)):
        see_to, calls = server._see_to_other, []

        def there_is_always_more(other: Any) -> None:
            see_to(other)
            calls.append(other)
            if len(calls) < 100:
                server._hub.talk.put(service.first, b".")

        server._see_to_other = there_is_always_more
        with conn.sending:
            server._tell(conn, b"hello")
        assert peer.recv(5) == b"hello"
        assert calls == [service.first]


def test_who_waits_for_a_slow_peer_has_seen_to_the_others_before() -> None:
    """On coroutines; their service may tell them something as the slow one takes its answer."""
    full = 63 * len(PIECE)  # and not when some of it has gone
    limits = Limits(write_buffer=full, outbox=full)
    with _not_running(coroutines, Echo(), limits) as (server, (slow, other), _):
        slow.sock.setblocking(False)
        answer = [(slow, PIECE * 64), (other, b"news"), (slow, PIECE)]
        slow.buffer = server._hub.talk.answer(slow, iter(answer)) or server._hub.take(slow)
        sending = server._send(slow)
        sending.send(None)  # until it waits
        assert (server._hub.dirty, len(server._loop._ready)) == ([], 1)
        for task in (sending, *server._loop._ready):
            task.close()
