"""Several processes on one port: one of them dies, all are told to stop, the parent dies."""

from __future__ import annotations

import contextlib
import os
import random
import signal
from pathlib import Path

import pytest

RANDOM = random.Random(7).randbytes(1024 * 1024)
LOOPS = ["asyncio", "uvloop"]
WORKERS = 3


@pytest.fixture
def echo(serve):
    return serve("echo", "--workers", str(WORKERS))


def owners(server, clients) -> dict:
    """Which worker serves each client; proc(5) tells who has a socket open."""
    has = {}
    for pid in server.children():
        for fd in Path(f"/proc/{pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):
                has[os.readlink(fd)] = pid
    return {client: has[f"socket:[{server.end_of(client).inode}]"] for client in clients}


def connect_to_each_worker(server) -> dict:
    """Clients, of which every worker has one at least, and who serves each."""
    clients = []
    while True:
        clients += [server.connect() for _ in range(2 * WORKERS)]
        for client in clients:
            assert client.exchange(b"hello") == b"hello"
        found = owners(server, clients)
        if len(set(found.values())) == WORKERS:
            return found
        assert len(clients) < 300, "the kernel deals out the connections to some only"


def is_running(pid: int) -> bool:
    """Whether a process that may be nobody's child still does anything."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.mark.fault("life/5", models=LOOPS)
def test_killed_worker_loses_its_own_connections_only_and_is_replaced(echo, eventually):
    owner_of = connect_to_each_worker(echo)
    workers = echo.children()
    victim = next(iter(owner_of.values()))
    echo.expected_stderr = (
        rf"worker \d \(pid {victim}\) ended: killed by SIGKILL; starting another\n"
    )
    os.kill(victim, signal.SIGKILL)
    for client, owner in owner_of.items():
        if owner == victim:
            assert client.is_over(20)
        else:
            assert client.exchange(b"still there?") == b"still there?"
    eventually(lambda: len(echo.children() - workers) == 1, "another one is started")
    eventually(lambda: victim not in echo.children(), "the dead one is buried")
    for _ in range(10 * WORKERS):  # who waits in the backlog of the dead one is served by another
        echo.assert_serving()
    assert len(echo.children()) == WORKERS


@pytest.mark.fault("life/5", models=LOOPS)
def test_sigterm_drains_all_workers(echo):
    owner_of = connect_to_each_worker(echo)
    workers = echo.children()
    pending = RANDOM[: 96 * 1024]
    for client in owner_of:
        client.send(pending)
        client.wait_until_delivered()
    echo.terminate()
    for client in owner_of:
        assert client.receive_rest() == pending
    assert echo.wait() == 0
    assert echo.refuses_connections()
    assert not any(map(is_running, workers))


@pytest.mark.fault("life/5", models=LOOPS)
def test_workers_end_when_their_parent_is_killed(echo, eventually):
    owner_of = connect_to_each_worker(echo)
    workers = echo.children()
    echo.kill()
    assert echo.wait() == -signal.SIGKILL
    eventually(lambda: not any(map(is_running, workers)), "no process is left")
    for client in owner_of:
        assert client.is_over(20)
    assert echo.refuses_connections()


@pytest.mark.fault("life/5", models=LOOPS)
def test_workers_answer_datagrams_of_all_sources(serve):
    echo = serve("udp-echo", "--workers", str(WORKERS))
    for _ in range(10 * WORKERS):
        client = echo.udp()
        client.send(b"hello")
        assert client.recv(100) == b"hello"


@pytest.mark.fault("life/5", models=LOOPS)
def test_workers_share_a_unix_socket_and_its_file_is_removed_once(serve, tmp_path):
    path = tmp_path / "echo"
    echo = serve("echo", "--workers", str(WORKERS), "--listen", f"unix://{path}")
    for _ in range(10 * WORKERS):
        echo.assert_serving()
    echo.terminate()
    assert echo.wait() == 0
    assert not path.exists()
