"""Who waits in the queue of threadpool, where no thread sees what becomes of it."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from blocking_servers import Running, exchange, receive_rest, reset, running
from deadline import wait_until

from aionet.limits import Limits, Timeouts
from aionet.protocol import CLOSE, Answer, Delivery, Echo
from blocking.threadpool import THREADS

PIECE = bytes(64 * 1024)
SOON_S = 5.0  # far less than Timeouts.idle


class LastWords(Echo):
    """Answers the end, too: at once, or as it is read."""

    def __init__(self, count: int) -> None:
        self._count = count

    def receive_eof(self, peer: Any) -> Answer:
        return self._say(peer) if self._count else [(peer, b"bye"), (peer, CLOSE)]

    def _say(self, peer: Any) -> Iterator[Delivery]:
        for _ in range(self._count):
            yield peer, PIECE
        yield peer, CLOSE


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def _occupied(server: Running) -> list[socket.socket]:
    """Whoever has every thread."""
    return [server.served() for _ in range(THREADS)]


def _closed(sock: socket.socket) -> None:
    sock.close()


def _half_closed(sock: socket.socket) -> None:
    sock.shutdown(socket.SHUT_WR)
    assert receive_rest(sock) == b""
    sock.close()


@pytest.mark.parametrize("leave", [reset, _closed, _half_closed])
def test_who_leaves_the_queue_is_closed_and_others_get_its_place(
    leave: Callable[[socket.socket], None],
) -> None:
    with running("threadpool", Echo(), limits=Limits(connections=THREADS + 4)) as server:
        held = _occupied(server)
        before = _descriptors()
        for _ in range(12):
            leave(server.connect())
        wait_until(lambda: _descriptors() <= before, "they are closed", within=SOON_S)
        waiting = server.connect()
        waiting.sendall(b"hello")
        held.pop().close()
        assert waiting.recv(5) == b"hello"
        assert all(exchange(sock, b"hello") == b"hello" for sock in held)


def test_who_was_silent_in_the_queue_for_too_long_is_closed() -> None:
    with running("threadpool", Echo(), timeouts=Timeouts(idle=1.0)) as server:
        held = _occupied(server)
        before = _descriptors()
        waiting = [server.connect() for _ in range(10)]
        wait_until(lambda: _descriptors() == before + 20, "they are accepted")

        def are_closed() -> bool:
            assert all(exchange(sock, b"hello") == b"hello" for sock in held)
            return _descriptors() == before + 10

        wait_until(are_closed, "they are closed", within=SOON_S)
        assert [sock.recv(1) for sock in waiting] == [b""] * len(waiting)


def test_who_asks_and_finishes_in_the_queue_is_answered_when_a_thread_is_free() -> None:
    with running("threadpool", Echo()) as server:
        held = _occupied(server)
        waiting = [server.connect() for _ in range(3)]
        for sock in waiting:
            sock.sendall(b"hello")
            sock.shutdown(socket.SHUT_WR)
        _half_closed(server.connect())  # by then they have been looked at
        for sock in held:
            sock.close()
        assert [receive_rest(sock) for sock in waiting] == [b"hello"] * 3


@pytest.mark.parametrize("count", [0, 100])
def test_last_words_to_who_finishes_in_the_queue_are_said(count: int) -> None:
    with running("threadpool", LastWords(count)) as server:
        held = _occupied(server)
        waiting = server.connect()
        waiting.shutdown(socket.SHUT_WR)
        if count:  # a thread says what is said as it is read
            held.pop().close()
        assert receive_rest(waiting) == (PIECE * count or b"bye")
