"""fork and prefork: what becomes of the processes."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from blocking.prefork import PROCESSES

DEADLINE_S = 20.0
PREFORK = ("prefork", "prefork-reuseport")
Serve = Callable[..., tuple[Any, tuple[str, int]]]


@pytest.fixture
def serve(start: Callable[..., Any]) -> Serve:
    """A server process, and where it listens."""

    def serve(model: str, *options: str) -> tuple[Any, tuple[str, int]]:
        process = start("-m", "blocking", "serve", "echo", "--model", model, *options)
        line = process.stdout.readline().decode()
        match = re.fullmatch(r"READY tcp://(\S+):(\d+)\n", line)
        assert match, process.stderr.read()
        return process, (match[1], int(match[2]))

    return serve


def children(pid: int) -> set[int]:
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


def eventually(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.005)


@contextlib.contextmanager
def client(address: tuple[str, int], *, source: str = "") -> Iterator[socket.socket]:
    """One that is served."""
    with socket.create_connection(address, DEADLINE_S, (source, 0)) as sock:
        sock.sendall(b"hello")
        assert sock.recv(5, socket.MSG_WAITALL) == b"hello"
        yield sock


def end(process: Any) -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0
    assert process.stderr.read() == b""


def test_fork_has_a_process_for_each_connection_and_keeps_none(serve: Serve) -> None:
    process, address = serve("fork")
    for _ in range(3):
        with contextlib.ExitStack() as stack:
            for _ in range(5):
                stack.enter_context(client(address))
            assert len(children(process.pid)) == 5
        eventually(lambda: not children(process.pid), "all have ended, and are waited for")
    end(process)


def test_fork_serves_no_more_at_a_time_than_it_may(serve: Serve) -> None:
    process, address = serve("fork", "--max-connections", "2")
    with contextlib.ExitStack() as stack:
        first, _ = (stack.enter_context(client(address)) for _ in range(2))
        third = stack.enter_context(socket.create_connection(address, DEADLINE_S))
        third.sendall(b"hello")
        third.settimeout(0.2)
        with pytest.raises(TimeoutError):
            third.recv(1)
        first.close()
        third.settimeout(DEADLINE_S)
        assert third.recv(5, socket.MSG_WAITALL) == b"hello"
    end(process)


def test_fork_resets_whom_it_may_not_serve_when_told_to(serve: Serve) -> None:
    process, address = serve("fork", "--max-connections", "1", "--on-full", "reject")
    with client(address), socket.socket() as second:
        second.settimeout(DEADLINE_S)
        with contextlib.suppress(ConnectionResetError):  # it may be reset before it knows
            second.connect(address)
            with pytest.raises(ConnectionResetError):
                second.recv(1)
    end(process)


def test_fork_serves_no_more_of_one_address_than_it_may(serve: Serve) -> None:
    process, address = serve("fork", "--max-per-peer", "1")
    with client(address):
        for _ in range(2):
            with contextlib.suppress(ConnectionResetError), client(address):
                pytest.fail("it is served")
        with client(address, source="127.0.0.2"):
            assert len(children(process.pid)) == 2
    eventually(lambda: not children(process.pid), "both have ended")
    with client(address):
        pass
    end(process)


@pytest.mark.parametrize("model", ["fork", *PREFORK])
def test_ctrl_c_of_a_terminal_which_reaches_all_of_them_drains(serve: Serve, model: str) -> None:
    process, address = serve(model)
    with client(address) as sock:
        for pid in (process.pid, *children(process.pid)):
            with contextlib.suppress(ProcessLookupError):  # told by its parent already
                os.kill(pid, signal.SIGINT)
        assert sock.recv(1) == b""
    assert (process.wait(DEADLINE_S), process.stderr.read()) == (0, b"")


@pytest.mark.parametrize("model", PREFORK)
def test_prefork_has_its_processes_before_anybody_comes(serve: Serve, model: str) -> None:
    process, _ = serve(model)
    assert len(children(process.pid)) == PROCESSES
    end(process)


def test_prefork_serves_as_many_at_a_time_as_it_has_processes(serve: Serve) -> None:
    process, address = serve("prefork")
    with contextlib.ExitStack() as stack:
        for _ in range(PROCESSES):
            stack.enter_context(client(address))
        with socket.create_connection(address, DEADLINE_S) as sock:
            sock.sendall(b"hello")
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.recv(1)
    end(process)


@pytest.mark.parametrize("model", PREFORK)
def test_prefork_replaces_a_process_that_is_killed(serve: Serve, model: str) -> None:
    process, address = serve(model)
    before = children(process.pid)
    os.kill(min(before), signal.SIGKILL)
    eventually(lambda: len(children(process.pid) - before) == 1, "another is started")
    with client(address):
        pass
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0
    assert b"killed by SIGKILL; starting another" in process.stderr.read()


@pytest.mark.parametrize("model", PREFORK)
def test_prefork_replaces_a_process_that_is_told_to_stop_and_keeps_the_others(
    serve: Serve, model: str
) -> None:
    """They share a listening socket, and what one does to that it does to all."""
    process, address = serve(model)
    before = children(process.pid)
    os.kill(min(before), signal.SIGTERM)
    eventually(lambda: len(children(process.pid) - before) == 1, "another is started")
    with contextlib.ExitStack() as stack:
        for _ in range(PROCESSES if model == "prefork" else 1):
            stack.enter_context(client(address))
    assert len(children(process.pid) & before) == PROCESSES - 1
    process.send_signal(signal.SIGTERM)
    assert process.wait(DEADLINE_S) == 0
    assert process.stderr.read().count(b"\n") == 1


@pytest.mark.parametrize("model", ["fork", "prefork"])
def test_process_that_does_not_stop_is_killed_after_the_drain_limit(
    serve: Serve, model: str
) -> None:
    process, address = serve(model, "--drain-timeout", "0.1")
    with client(address):
        hung = children(process.pid)
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        process.terminate()
        process.wait(DEADLINE_S)
    assert not any(Path(f"/proc/{pid}").exists() for pid in hung)
    assert b"has not stopped" in process.stderr.read()


@pytest.mark.parametrize("model", ["fork", *PREFORK])
def test_no_process_outlives_a_parent_that_is_killed(serve: Serve, model: str) -> None:
    process, address = serve(model)
    with client(address) as sock:
        left = children(process.pid)
        assert left
        process.kill()
        process.wait(DEADLINE_S)
        with contextlib.suppress(ConnectionResetError):
            assert sock.recv(1) == b""
        eventually(lambda: not any(map(_runs, left)), "all have ended")


def _runs(pid: int) -> bool:
    """Whether it has not ended, whoever has yet to wait for it."""
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
