"""Several loops of one process: all serve, all drain, and none goes on without the others."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from deadline import wait_until
from server_process import Server

from compare.contenders import many_loops
from compare.contenders.many_loops import NAME, OLDEST

ROOT = Path(__file__).parents[3]
LOOPS = 3
CLIENTS = 16 * LOOPS  # among whom the kernel deals out by a hash

Start = Callable[..., Server]


@cache
def python_of(unit: str) -> str | None:
    """One that has it: ours, or the first on PATH."""
    if unit == "threads" or sys.version_info >= OLDEST:
        return sys.executable
    names = [f"python3.{minor}" for minor in range(OLDEST[1], OLDEST[1] + 4)]
    for name in filter(None, map(shutil.which, names)):
        code = "import _interpreters, sys; assert sys.platform == 'linux'"
        if not subprocess.run([name, "-c", code], capture_output=True, check=False).returncode:
            return name
    return None


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """`start("threads", "echo")`. code: a program that is run in the place of the module."""
    servers: list[Server] = []

    def start(unit: str, *words: str, code: str | None = None, ready: bool = True) -> Server:
        python = python_of(unit)
        if python is None:
            pytest.skip(f"no Python {'.'.join(map(str, OLDEST))} or newer here")
        program = ["-m", NAME] if code is None else ["-c", code]
        stderr = tmp_path / f"stderr-{len(servers)}"
        with stderr.open("wb") as file:
            process = subprocess.Popen(
                [python, *program, "serve", *words, "--unit", unit, "--workers", str(LOOPS)],
                stdout=subprocess.PIPE,
                stderr=file,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                process_group=0,
            )
        server = Server(process, stderr)
        servers.append(server)
        if ready:
            server.wait_until_ready()
        return server

    yield start
    for each in servers:
        each.stop()


each_unit = pytest.mark.parametrize(
    "unit", ["threads", pytest.param("interpreters", marks=pytest.mark.slow)]
)


@each_unit
@pytest.mark.timeout(60)
def test_every_loop_serves_in_one_process(start: Start, unit: str) -> None:
    server = start(unit, "echo")
    assert server.children() == set()
    threads = Path(f"/proc/{server.pid}/task")
    assert len(list(threads.iterdir())) == LOOPS + 1
    used = {each.name: (each / "schedstat").read_text() for each in threads.iterdir()}
    clients = [server.connect() for _ in range(CLIENTS)]
    for number, client in enumerate(clients):
        assert client.exchange(b"%d" % number) == b"%d" % number
    busy = [name for name in used if (threads / name / "schedstat").read_text() != used[name]]
    assert len(busy) >= LOOPS


@each_unit
@pytest.mark.timeout(60)
def test_every_loop_answers_datagrams(start: Start, unit: str) -> None:
    server = start(unit, "udp-echo", "--udp-rate", "none")
    for number in range(CLIENTS):
        sock = server.udp()
        sock.send(b"%d" % number)
        assert sock.recv(100) == b"%d" % number


@each_unit
@pytest.mark.timeout(60)
def test_all_who_are_there_are_drained_on_sigterm(start: Start, unit: str) -> None:
    server = start(unit, "echo")
    clients = [server.connect() for _ in range(CLIENTS)]
    for client in clients:
        assert client.exchange(b"there") == b"there"
    server.terminate()
    for client in clients:
        assert client.receive_rest() == b""
    assert server.wait() == 0
    assert server.refuses_connections()


@each_unit
@pytest.mark.timeout(60)
def test_second_signal_ends_at_once(start: Start, unit: str) -> None:
    server = start(unit, "echo", "--drain-timeout", "60")
    client = server.connect(receive_buffer=4096)
    piece = bytes(2**16)
    client.sock.setblocking(False)
    wait_until(lambda: not _takes(client.sock, piece), "it has more than it can send")
    server.terminate()
    wait_until(server.refuses_connections, "it accepts no more")
    server.expected_status = 128 + signal.SIGINT
    os.kill(server.pid, signal.SIGINT)
    server.wait()


def _takes(sock: object, piece: bytes) -> bool:
    try:
        return bool(sock.send(piece))  # type: ignore[attr-defined]
    except BlockingIOError:
        return False


ONE_FAILS = f"""
import itertools, sys
from {NAME} import main
import {NAME} as loops
numbers, work = itertools.count(), loops.work
async def fails(*ignored):
    raise OSError("planted")
def one(argv, *descriptors):
    if next(numbers) == 1:
        loops._serve = fails
    work(argv, *descriptors)
loops.work = one
main(sys.argv[1:])
"""


@pytest.mark.timeout(60)
def test_loop_that_fails_ends_all_and_is_told(start: Start) -> None:
    server = start("threads", "echo", code=ONE_FAILS, ready=False)
    server.expected_status, server.expected_stderr = (
        1,
        r"(?s)(a loop failed\nTraceback.*planted\n)+",
    )
    assert server.wait() == 1


FEW_THREADS = f"""
import itertools, sys, threading
from {NAME} import main
numbers, start = itertools.count(), threading.Thread.start
def start_few(thread):
    if next(numbers) == 2:
        raise RuntimeError("can't start new thread")
    start(thread)
threading.Thread.start = start_few
main(sys.argv[1:])
"""


@pytest.mark.timeout(60)
def test_where_there_are_not_so_many_threads_that_is_said(start: Start) -> None:
    server = start("threads", "echo", code=FEW_THREADS, ready=False)
    server.expected_status = 1
    server.expected_stderr = f"only 2 of {LOOPS} loops: can't start new thread\n"
    assert server.wait() == 1


def test_where_there_are_no_interpreters_that_is_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "_interpreters", None)
    with pytest.raises(SystemExit) as exit_:
        many_loops.main(["serve", "echo", "--unit", "interpreters"])
    assert exit_.value.code == 1
    assert "CPython 3.13 and newer have them" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["serve", "chat"], "each loop serves echo or udp-echo by itself"),
        (["serve", "module:app"], "each loop serves echo or udp-echo by itself"),
        (["serve", "echo", "--listen", "unix:///tmp/s"], "has a socket of its own"),
        (["chat", "127.0.0.1:1", "--name", "ann"], "python -m aionet chat"),
        (["serve", "echo", "--outbox", "70000"], "--outbox does nothing for echo"),
    ],
)
def test_what_it_cannot_do_is_refused_in_a_line(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_:
        many_loops.main(words)
    assert exit_.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
