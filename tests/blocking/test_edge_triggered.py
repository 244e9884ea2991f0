"""The two traps of edge-triggered epoll: an edge that is missed, and a peer that never ends."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from aionet.limits import Limits, Timeouts
from aionet.protocol import Echo
from aionet.sockets import RECV_SIZE
from blocking import on_epoll_et

DEADLINE_S = 20.0
PIECE = bytes(range(256)) * 1024


@pytest.fixture
def address() -> Iterator[tuple[str, int]]:
    listener = socket.create_server(("127.0.0.1", 0))
    server = on_epoll_et.StreamServer(listener, Echo(), Limits(), Timeouts())
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    place = listener.getsockname()
    thread.start()
    yield place
    server.drain()
    thread.join(DEADLINE_S)
    assert not thread.is_alive()


def connect(address: tuple[str, int]) -> socket.socket:
    return socket.create_connection(address, DEADLINE_S)


def test_what_stood_behind_a_pause_is_read_when_the_peer_reads_again(
    address: tuple[str, int],
) -> None:
    """Nothing more comes that would make an edge: all was there when it stopped reading."""
    with connect(address) as sock:
        sent = 0
        sock.setblocking(False)
        while select.select([], [sock], [], 0.3)[1]:  # until the server listens no more
            sent += sock.send(PIECE[sent % 256 :])
        sock.settimeout(DEADLINE_S)
        received = bytearray()
        while len(received) < sent:
            received += sock.recv(len(PIECE))
        assert bytes(received) == (PIECE * (sent // len(PIECE) + 2))[:sent]


def test_end_that_came_with_the_last_bytes_is_seen(address: tuple[str, int]) -> None:
    """One edge for both, and less data than one read takes."""
    for size in (1, 100, RECV_SIZE - 1, RECV_SIZE, RECV_SIZE + 1, 20 * RECV_SIZE):
        with connect(address) as sock:
            sock.sendall(bytes(size))
            sock.shutdown(socket.SHUT_WR)
            assert sum(len(data) for data in iter(lambda: sock.recv(65536), b"")) == size


def test_who_never_stops_sending_does_not_starve_others(address: tuple[str, int]) -> None:
    stop = threading.Event()

    def flood(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while not stop.is_set():
                sock.sendall(PIECE)

    def drink(sock: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while sock.recv(len(PIECE)):
                pass

    with contextlib.ExitStack() as stack:
        threads = []
        for _ in range(2):
            sock = stack.enter_context(connect(address))
            threads += [threading.Thread(target=each, args=(sock,)) for each in (flood, drink)]
        for thread in threads:
            thread.start()
        try:
            with connect(address) as sock:
                for _ in range(20):
                    sock.sendall(b"hello")
                    assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
        finally:
            stop.set()
            time.sleep(0)
            stack.close()
            for thread in threads:
                thread.join(DEADLINE_S)
