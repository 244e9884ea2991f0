"""SIGTERM, whatever a server is at, and who is answered before it ends."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from blocking_servers import exchange, receive_rest

from blocking.prefork import PROCESSES

DEADLINE_S = 20.0
DRAIN_S = 0.5
SLACK_S = 1.0
ALONE = ("blocking",)
THREADS = ("threaded", "threadpool")
LOOPS = ("select", "poll", "epoll", "epoll-et", "coroutines")
MODELS = (*ALONE, *THREADS, *LOOPS, "fork", "prefork")
TOGETHER = (*THREADS, *LOOPS, "fork")

# A server of the model that it is told, whose service can be brought into any state.
SERVE = """
import sys
from aionet.protocol import CLOSE, Echo
from aionet import command

class Moody(Echo):
    def receive_data(self, peer, data):
        if data == b"much":
            return bytes(1 << 26)
        if data == b"generator":
            return ((peer, bytes(1 << 16)) for _ in range(1 << 20))
        if data == b"quit":
            return CLOSE
        if data == b"quit after much":
            return [(peer, bytes(1 << 26)), (peer, CLOSE)]
        return data

    def receive_eof(self, peer):
        return None if self.is_mute else CLOSE

Moody.is_mute = sys.argv.pop(1) == "mute"
command.Serve.make_service = lambda self: Moody()
from blocking.__main__ import main
main(sys.argv[1:])
"""
Start = Callable[..., Any]


def serve(start: Start, model: str, *options: str, mute: bool = False) -> tuple[Any, Any]:
    words = ("serve", "echo", "--model", model, "--drain-timeout", str(DRAIN_S), *options)
    process = start("-c", SERVE, "mute" if mute else "-", *words)
    line = process.stdout.readline().decode()
    match = re.fullmatch(r"READY tcp://(\S+):(\d+)\n", line)
    assert match, process.stderr.read()
    return process, (match[1], int(match[2]))


def connect(address: Any, *, receive_buffer: int = 0) -> socket.socket:
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(DEADLINE_S)
    sock.connect(address)
    return sock


@contextlib.contextmanager
def paused(process: Any) -> Iterator[None]:
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    try:
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def test_model_is_served_by_the_service_of_these_tests(start: Start) -> None:
    process, address = serve(start, "epoll")
    with connect(address) as sock:
        sock.sendall(b"quit")
        assert sock.recv(1) == b""
    process.terminate()
    assert process.wait(DEADLINE_S) == 0


@pytest.mark.parametrize("model", [*MODELS, "prefork-reuseport"])
def test_who_is_connected_and_not_yet_accepted_is_answered(start: Start, model: str) -> None:
    process, address = serve(start, model, "--drain-timeout", str(DEADLINE_S))
    with contextlib.ExitStack() as stack:
        with paused(process):
            clients = [stack.enter_context(connect(address)) for _ in range(100)]
            for sock in clients:
                sock.sendall(b"hello")
            process.terminate()
        assert [receive_rest(sock) for sock in clients] == [b"hello"] * 100
    assert (process.wait(DEADLINE_S), process.stderr.read()) == (0, b"")


@pytest.mark.parametrize("model", [each for each in TOGETHER if each != "threadpool"])
def test_who_waits_for_a_place_is_answered_when_others_leave(start: Start, model: str) -> None:
    options = ("--drain-timeout", str(DEADLINE_S), "--max-connections", "2")
    process, address = serve(start, model, *options)
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(connect(address)) for _ in range(2)]
        assert all(exchange(sock, b"hello") == b"hello" for sock in held)
        waiting = [stack.enter_context(connect(address)) for _ in range(5)]
        for sock in waiting:
            sock.sendall(b"hello")
        process.terminate()
        assert [receive_rest(sock) for sock in held] == [b""] * 2
        assert [receive_rest(sock) for sock in waiting] == [b"hello"] * 5
    assert (process.wait(DEADLINE_S), process.stderr.read()) == (0, b"")


# What a client does before SIGTERM, by name; it is left as it is then.


def _silent(sock: socket.socket) -> None:
    pass


def _served(sock: socket.socket) -> None:
    assert exchange(sock, b"hello") == b"hello"


def _stalled(sock: socket.socket, word: bytes = b"much") -> None:
    sock.sendall(word)
    assert sock.recv(1)
    time.sleep(0.1)  # until all buffers are full; if they are not, it is another state


def _asked_for_ever(sock: socket.socket) -> None:
    _stalled(sock, b"generator")


def _closed_while_stalled(sock: socket.socket) -> None:
    _stalled(sock, b"quit after much")


def _stalled_and_finished(sock: socket.socket) -> None:
    _stalled(sock)
    sock.shutdown(socket.SHUT_WR)


def _lingering(sock: socket.socket) -> None:
    sock.sendall(b"quit")
    assert sock.recv(1) == b""


def _talking_on(sock: socket.socket) -> None:
    sock.setblocking(False)
    while select.select([], [sock], [], 0.1)[1]:
        sock.send(bytes(1 << 20))


STATES = {
    each.__name__.removeprefix("_"): each
    for each in (
        *(_silent, _served, _stalled, _asked_for_ever, _closed_while_stalled),
        *(_stalled_and_finished, _lingering, _talking_on),
    )
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("state", [*STATES, "nobody", "half_closed"])
def test_sigterm_ends_the_process_within_the_drain_limit(
    start: Start, model: str, state: str
) -> None:
    process, address = serve(start, model, mute=state == "half_closed")
    with contextlib.ExitStack() as stack:
        if state != "nobody":
            sock = stack.enter_context(connect(address, receive_buffer=4096))
            if state == "half_closed":
                _served(sock)
                sock.shutdown(socket.SHUT_WR)
            else:
                STATES[state](sock)
        process.terminate()
        assert process.wait(DRAIN_S + SLACK_S) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize("model", MODELS)
def test_who_waits_for_its_turn_at_sigterm_has_no_more_time_than_others(
    start: Start, model: str
) -> None:
    most = {"blocking": 1, "prefork": PROCESSES}.get(model)
    options = ("--max-connections", "1") if most is None else ()
    process, address = serve(start, model, *options)
    with contextlib.ExitStack() as stack:
        for _ in range(most or 1):
            _served(stack.enter_context(connect(address)))
        stack.enter_context(connect(address, receive_buffer=4096)).sendall(b"much")
        process.terminate()
        assert process.wait(DRAIN_S + SLACK_S) == 0
    assert process.stderr.read() == b""


@pytest.mark.parametrize("model", [each for each in MODELS if "fork" not in each])
@pytest.mark.parametrize("state", ["stalled", "asked_for_ever", "closed_while_stalled"])
def test_second_sigterm_ends_it_at_once(start: Start, model: str, state: str) -> None:
    process, address = serve(start, model, "--drain-timeout", "100")
    with connect(address, receive_buffer=4096) as sock:
        STATES[state](sock)
        process.terminate()
        while True:  # until it has seen the first one
            try:
                # Where one is served at a time it may have come before that, and waits.
                with socket.create_connection(address, 1.0) as other:
                    other.sendall(b"?")
                    if not other.recv(1):
                        break
            except OSError:
                break
        process.terminate()
        assert process.wait(SLACK_S) == -signal.SIGTERM


@pytest.mark.parametrize("model", MODELS)
def test_who_is_cut_off_at_the_limit_can_tell(start: Start, model: str) -> None:
    """A reset, not an end that looks as if all had come."""
    process, address = serve(start, model)
    with connect(address, receive_buffer=4096) as sock:
        _stalled(sock)
        process.terminate()
        assert process.wait(DEADLINE_S) == 0
        with pytest.raises(ConnectionResetError):
            receive_rest(sock)
