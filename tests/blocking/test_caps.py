"""Limits.connections and .on_full of the servers that hold more than one connection."""

from __future__ import annotations

import contextlib
import importlib
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from aionet.limits import Limits, Timeouts
from aionet.protocol import Answer, Echo
from blocking import coroutines, on_epoll, on_epoll_et, on_poll, threaded, threadpool

DEADLINE_S = 20.0  # for what takes milliseconds, on a machine that is busy with other things
DRAIN_S = 0.5
NOT_SERVED_S = 0.1  # silent for so long although others are served at once

SERVERS = {
    "threaded": threaded.StreamServer,
    "threadpool": threadpool.StreamServer,
    "on_poll": on_poll.StreamServer,
    "on_epoll": on_epoll.StreamServer,
    "on_epoll_et": on_epoll_et.StreamServer,
    "coroutines": coroutines.StreamServer,
}
all_models = pytest.mark.parametrize("model", SERVERS)
both_ways = pytest.mark.parametrize("on_full", ["queue", "reject"])

# A server process, told the model, the cap, what to do when it is full, and how many
# descriptors it gets; 0 leaves the default.
SERVE = """
import resource, socket, sys
from importlib import import_module
from aionet.limits import Limits, Timeouts
from aionet.protocol import Echo
from aionet.signals import stop_on_signals
model, cap, on_full, descriptors = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
if descriptors:
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
limits, timeouts = Limits(connections=cap or None, on_full=on_full), Timeouts(drain=0.5)
listener = socket.create_server(("127.0.0.1", 0))
server = import_module(f"blocking.{model}").StreamServer(listener, Echo(), limits, timeouts)
with stop_on_signals(server.drain, server.abort, timeouts.drain):
    print(listener.getsockname()[1], flush=True)
    server.serve_forever()
"""


class Census(Echo):
    """An echo that knows how many peers it has, and how many it had at most."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def connect(self, peer: Any) -> Answer:
        self.now += 1
        self.most = max(self.most, self.now)
        return super().connect(peer)

    def receive_eof(self, peer: Any) -> Answer:
        self.now -= 1
        return super().receive_eof(peer)


class Clients:
    """Clients of one server; every step has a deadline, and all are closed in the end."""

    def __init__(self, address: tuple[str, int], stack: contextlib.ExitStack) -> None:
        self._address = address
        self._stack = stack

    def connect(self) -> socket.socket:
        sock = socket.create_connection(self._address, timeout=DEADLINE_S)
        return self._stack.enter_context(sock)

    def served(self) -> socket.socket:
        """A client that has got its answer."""
        sock = self.connect()
        assert is_served(sock)
        return sock

    def newcomers(self, count: int) -> list[socket.socket]:
        """Those of `count` that have not been reset before they knew to be connected."""
        socks = []
        for _ in range(count):
            with contextlib.suppress(ConnectionResetError):
                socks.append(self.connect())
        return socks

    def rejected_after_s(self) -> float:
        """How long it took until one more client was reset."""
        start = time.monotonic()
        with pytest.raises(ConnectionResetError):
            self.connect().recv(1)
        return time.monotonic() - start

    def waiting(self) -> socket.socket:
        """A client that the server leaves in the kernel's backlog."""
        sock = self.connect()
        sock.sendall(b"hello")
        assert not select.select([sock], [], [], NOT_SERVED_S)[0]
        return sock


def is_served(sock: socket.socket) -> bool:
    sock.sendall(b"hello")
    return sock.recv(5, socket.MSG_WAITALL) == b"hello"


def leave(sock: socket.socket) -> None:
    """Return when the server has closed its side: by then it has counted that."""
    sock.shutdown(socket.SHUT_WR)
    assert sock.recv(1) == b""
    sock.close()


def has_ended(sock: socket.socket) -> bool:
    """Whether the end or a reset comes after what was sent back."""
    with contextlib.suppress(ConnectionResetError):
        while sock.recv(100):
            pass
    return True


class Running:
    """A server in a thread of its own."""

    def __init__(self, model: str, stack: contextlib.ExitStack, **limits: Any) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.census = Census()
        self.clients = Clients(listener.getsockname(), stack)
        self._server = SERVERS[model](listener, self.census, Limits(**limits), Timeouts())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def drain(self) -> None:
        self._server.drain()

    def has_ended(self, within: float) -> bool:
        self._thread.join(within)
        return not self._thread.is_alive()


@pytest.fixture
def run() -> Iterator[Callable[..., Running]]:
    """Starts a server: `run("epoll", connections=2, on_full="reject")`."""
    with contextlib.ExitStack() as stack:
        servers: list[Running] = []

        def run(model: str, **limits: Any) -> Running:
            servers.append(Running(model, stack, **limits))
            return servers[-1]

        yield run
        for server in servers:
            server.drain()
            assert server.has_ended(DEADLINE_S)


# Queue.


@all_models
@pytest.mark.parametrize("cap", [1, 3])
def test_no_more_than_the_cap_are_held_and_all_are_served_in_the_end(
    run: Callable[..., Running], model: str, cap: int
) -> None:
    server = run(model, connections=cap)
    socks = [server.clients.connect() for _ in range(20)]
    for sock in socks:
        sock.sendall(b"hello")
    # The kernel hands over who came first, so these are held together before one leaves.
    for sock in socks[:cap]:
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
    for sock in socks[:cap]:
        sock.close()
    for sock in socks[cap:]:
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
        sock.close()
    assert server.census.most == cap


@all_models
@pytest.mark.parametrize("cap", [1, 3])
def test_whoever_waits_is_served_when_somebody_leaves(
    run: Callable[..., Running], model: str, cap: int
) -> None:
    server = run(model, connections=cap)
    held = [server.clients.served() for _ in range(cap)]
    waiting = server.clients.waiting()
    assert all(is_served(sock) for sock in held)
    held.pop().close()
    assert waiting.recv(5, socket.MSG_WAITALL) == b"hello"
    assert all(is_served(sock) for sock in held)


@all_models
def test_a_place_is_free_again_when_a_peer_resets(run: Callable[..., Running], model: str) -> None:
    server = run(model, connections=1)
    for _ in range(20):
        held = server.clients.served()
        waiting = server.clients.connect()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        held.close()
        assert is_served(waiting)
        leave(waiting)


@all_models
def test_a_server_that_is_full_uses_no_cpu(run: Callable[..., Running], model: str) -> None:
    server = run(model, connections=1)
    held = server.clients.served()
    server.clients.waiting()
    spent = time.process_time()
    server.clients.waiting()
    assert time.process_time() - spent < NOT_SERVED_S / 2
    assert is_served(held)


# Reject.


@all_models
@pytest.mark.parametrize("cap", [1, 3])
def test_who_is_over_the_cap_is_reset_at_once_and_the_others_are_served(
    run: Callable[..., Running], model: str, cap: int
) -> None:
    server = run(model, connections=cap, on_full="reject")
    held = [server.clients.served() for _ in range(cap)]
    waited = []
    for _ in range(100):
        waited.append(server.clients.rejected_after_s())
        assert is_served(held[0])
    assert sorted(waited)[len(waited) // 2] < 0.1
    assert all(is_served(sock) for sock in held)
    assert server.census.most == cap


@all_models
def test_there_is_room_again_after_somebody_has_left(
    run: Callable[..., Running], model: str
) -> None:
    server = run(model, connections=1, on_full="reject")
    leave(server.clients.served())
    # In a thread of its own, a peer is counted until just after its socket is closed.
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        with contextlib.suppress(ConnectionError):
            if is_served(server.clients.connect()):
                return
    pytest.fail("nobody is served any more")


# Drain.


@all_models
@both_ways
def test_drain_while_full_ends_everybody_at_once(
    run: Callable[..., Running], model: str, on_full: str
) -> None:
    server = run(model, connections=2, on_full=on_full)
    held = [server.clients.served() for _ in range(2)]
    others = server.clients.newcomers(5)
    server.drain()
    assert server.has_ended(1)
    assert all(has_ended(sock) for sock in held + others)
    assert server.census.now == 0


def serve(start: Callable[..., Any], *arguments: object) -> tuple[Any, tuple[str, int]]:
    process = start("-c", SERVE, *map(str, arguments))
    port = process.stdout.readline()
    assert port, process.stderr.read()
    return process, ("127.0.0.1", int(port))


@all_models
@both_ways
@pytest.mark.parametrize("cap", [1, 2])
def test_sigterm_while_full_ends_the_process_within_a_second(
    start: Callable[..., Any], model: str, on_full: str, cap: int
) -> None:
    process, address = serve(start, model, cap, on_full, 0)
    with contextlib.ExitStack() as stack:
        clients = Clients(address, stack)
        held = [clients.served() for _ in range(cap)]
        others = clients.newcomers(5)
        process.send_signal(signal.SIGTERM)
        assert process.wait(1) == 0
        assert all(has_ended(sock) for sock in held + others)
    assert process.stderr.read() == b""


@all_models
def test_a_held_peer_that_does_not_read_delays_the_exit_only_to_the_drain_limit(
    start: Callable[..., Any], model: str
) -> None:
    process, address = serve(start, model, 1, "queue", 0)
    with contextlib.ExitStack() as stack:
        clients = Clients(address, stack)
        stalled = clients.served()
        stalled.setblocking(False)
        while select.select([], [stalled], [], NOT_SERVED_S)[1]:
            stalled.send(bytes(1024 * 1024))
        others = clients.newcomers(5)
        process.send_signal(signal.SIGTERM)
        assert all(has_ended(sock) for sock in others)
        assert process.wait(DRAIN_S + 1) == 0
    assert process.stderr.read() == b""


@all_models
def test_sigterm_while_places_change_hands_ends_the_process(
    start: Callable[..., Any], model: str
) -> None:
    process, address = serve(start, model, 1, "queue", 0)
    stop = threading.Event()

    def come_and_go() -> None:
        while not stop.is_set():
            with contextlib.suppress(OSError), socket.create_connection(address, DEADLINE_S) as s:
                s.sendall(b"hello")
                s.recv(5)

    crowd = [threading.Thread(target=come_and_go) for _ in range(4)]
    for thread in crowd:
        thread.start()
    try:
        with contextlib.ExitStack() as stack:
            clients = Clients(address, stack)
            for _ in range(20):
                clients.served().close()
            process.send_signal(signal.SIGTERM)
            assert process.wait(2) == 0
    finally:
        stop.set()
        for thread in crowd:
            thread.join()
    assert process.stderr.read() == b""


# The default.


@all_models
def test_the_default_cap_keeps_a_reserve_of_descriptors(
    start: Callable[..., Any], model: str
) -> None:
    process, address = serve(start, model, 0, "queue", 64)
    told = re.fullmatch(
        rb"ulimit -n is 64: at most (\d+) connections .*\n", process.stderr.readline()
    )
    assert told
    with contextlib.ExitStack() as stack:
        clients = Clients(address, stack)
        most = threadpool.THREADS if model == "threadpool" else int(told[1])
        held = [clients.served() for _ in range(most)]
        waiting = clients.waiting()
        for _ in range(len(held) // 16 + 1):  # who was full waits for a few places
            held.pop().close()
        assert waiting.recv(5, socket.MSG_WAITALL) == b"hello"
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize("model", ["sequential", *SERVERS])
def test_every_module_has_a_server_for_streams_and_one_for_datagrams(model: str) -> None:
    module = importlib.import_module(f"blocking.{model}")
    assert hasattr(module, "StreamServer")
    assert hasattr(module, "DatagramServer") == (model not in ("threadpool", "coroutines"))
