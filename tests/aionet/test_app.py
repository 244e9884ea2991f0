"""A program's own part in each process that serves."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aionet import Worker, run
from aionet.app import OF_WORKERS, CannotLoadError, load
from aionet.testing import MemoryServer

DEADLINE_S = 20.0

TICKER = """
import asyncio, os, sys
from contextlib import asynccontextmanager
import aionet

VERSION = 1

@asynccontextmanager
async def app(worker):
    streams = set()

    async def handler(stream):
        streams.add(stream)
        try:
            async for data in stream:
                await stream.send_all(b"%d " % VERSION + data)
        finally:
            streams.discard(stream)

    async def tick():
        while True:
            await asyncio.sleep(0.05)
            for stream in streams:
                stream.send_nowait(b".")

    async with asyncio.TaskGroup() as group:
        ticker = group.create_task(tick())
        print("entered", worker.number, flush=True)
        yield handler
        assert worker.draining.is_set() and not worker.server.peers
        print("left", worker.number, flush=True)
        ticker.cancel()

def ready(addresses):
    print("READY", *addresses, flush=True)
"""


class Program:
    """A program that runs, and what it says."""

    def __init__(self, folder: Path, *command: str, code: str = "") -> None:
        if code:
            (folder / "program.py").write_text(code)
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path[1:])
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, word: str) -> str:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line.startswith(word):
                return line.strip()
        assert self.process.stderr is not None
        raise AssertionError(self.process.stderr.read())

    def port(self) -> int:
        return int(self.until("READY").rpartition(":")[2])

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err


def ask(port: int, data: bytes = b"x") -> bytes:
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as sock:
        sock.sendall(data)
        answer = b""
        while not answer.strip(b"."):
            answer += sock.recv(100)
        return answer.strip(b".")


MAIN = "if __name__ == '__main__':\n    raise SystemExit(aionet.run(app, 'tcp://127.0.0.1:0', "


@pytest.mark.parametrize("options", ["", "workers=2, ", "loop='uvloop', "])
def test_app_is_entered_in_each_process_and_left_when_it_has_drained(
    tmp_path: Path, options: str
) -> None:
    workers = 2 if "workers" in options else 1
    program = Program(tmp_path, "program.py", code=TICKER + MAIN + options + "on_ready=ready))")
    port = program.port()
    assert ask(port) == b"1 x"
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as sock:
        assert sock.recv(1) == b"."  # nobody had to speak for that
    status, out, err = program.end()
    assert (status, err) == (0, "")
    assert sorted(out.splitlines()) == [f"left {number}" for number in range(workers)]


def test_app_that_fails_says_so(tmp_path: Path) -> None:
    code = TICKER.replace("streams = set()", "raise KeyError('of the program')")
    program = Program(tmp_path, "program.py", code=code + MAIN + "workers=2))")
    _, err = program.process.communicate(timeout=DEADLINE_S)
    assert program.process.returncode == 1
    assert "KeyError: 'of the program'" in err


COUNTS_ITSELF = """
import os

async def app(stream):
    async for data in stream:
        await stream.send_all(b"%d" % os.getpid())
"""

HANGS = """
import asyncio
from contextlib import asynccontextmanager
import aionet

@asynccontextmanager
async def app(worker):
    async with asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(1000))
        yield aionet.Echo()

def ready(addresses):
    print("READY", *addresses, flush=True)

if __name__ == "__main__":
    short = aionet.Timeouts(drain=0.2)
    raise SystemExit(aionet.run(app, "tcp://127.0.0.1:0", on_ready=ready, timeouts=short%s))
"""


@pytest.mark.parametrize("workers", ["", ", workers=2"])
def test_app_that_does_not_end_is_cancelled_and_named(tmp_path: Path, workers: str) -> None:
    program = Program(tmp_path, "program.py", code=HANGS % workers)
    program.port()
    status, _, err = program.end()
    assert status == 1
    assert "the app did not end in 1.2 s, and was cancelled" in err
    assert "Traceback" not in err


def test_app_that_does_not_end_fails_its_test() -> None:
    from contextlib import asynccontextmanager

    from aionet import Echo

    @asynccontextmanager
    async def app(worker: Worker) -> Any:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(1000))
            yield Echo()

    with pytest.raises(RuntimeError, match="the app did not end"), MemoryServer(app) as server:
        server.connect()


def test_app_that_yields_nothing_says_so() -> None:
    from contextlib import asynccontextmanager

    @asynccontextmanager
    async def app(worker: Worker) -> Any:
        if worker.number > 9:
            yield None

    with pytest.raises(ValueError, match="yielded nothing to serve"), MemoryServer(app):
        pass


def test_signals_of_a_worker_that_mean_something_already_are_refused() -> None:
    worker = Worker(1, OF_WORKERS)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGALRM, signal.SIGQUIT):
        with pytest.raises(ValueError, match=signal.Signals(number).name):
            worker.on_signal(number, print)


# By its name.


@pytest.mark.parametrize("workers", ["1", "2"])
def test_new_code_is_taken_on_sighup_and_nobody_is_cut(tmp_path: Path, workers: str) -> None:
    command = ("-m", "aionet", "serve", "program:app", "--workers", workers)
    program = Program(tmp_path, *command, code=TICKER)
    port = program.port()
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as before:
        before.sendall(b"first")
        (tmp_path / "program.py").write_text(TICKER.replace("VERSION = 1", "VERSION = 2"))
        program.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + DEADLINE_S
        while {ask(port) for _ in range(10)} != {b"2 x"}:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        rest = b""
        while data := before.recv(100):  # it was answered, and told of the end
            rest += data
        assert rest.replace(b".", b"") == b"1 first"
    status, _, err = program.end()
    assert (status, err) == (0, "")


def test_new_code_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    command = ("-m", "aionet", "serve", "program:app", "--workers", "2")
    program = Program(tmp_path, *command, code=TICKER)
    port = program.port()
    (tmp_path / "program.py").write_text("nonsense = \n")
    program.process.send_signal(signal.SIGHUP)
    assert program.process.stderr is not None
    said = ""
    while "those that there are go on" not in said:
        line = program.process.stderr.readline()
        assert line
        said += line
    assert "SyntaxError" in said
    assert ask(port) == b"1 x"
    status, _, _ = program.end()
    assert status == 0


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("nothing:app", "cannot serve nothing:app: there is no module 'nothing' in this folder"),
        ("program:nothing", "cannot serve program:nothing: program has no nothing"),
        ("program:", "cannot serve program:: 'program:' names nothing; write it as module:object"),
    ],
)
def test_what_cannot_be_loaded_is_said_in_one_line(tmp_path: Path, name: str, said: str) -> None:
    program = Program(tmp_path, "-m", "aionet", "serve", name, code=TICKER)
    _, err = program.process.communicate(timeout=DEADLINE_S)
    assert program.process.returncode == 1
    first, second = err.splitlines()
    assert first == said
    assert second.startswith("worker 0 ended before any was ready")


@pytest.mark.parametrize("what", ["Sums", "Sums()", "handler"])
def test_service_class_or_handler_by_name(tmp_path: Path, what: str) -> None:
    code = """
import aionet
class Sums(aionet.Service):
    def receive_data(self, peer, data):
        return data.upper()
instance = Sums()
async def handler(stream):
    async for data in stream:
        await stream.send_all(data.upper())
"""
    name = "program:" + what.replace("Sums()", "instance")
    program = Program(tmp_path, "-m", "aionet", "serve", name, code=code)
    assert ask(program.port(), b"abc") == b"ABC"
    assert program.end()[0] == 0


def test_name_of_an_object_may_have_dots() -> None:
    assert load("asyncio:events.AbstractEventLoop") is asyncio.AbstractEventLoop
    with pytest.raises(CannotLoadError, match=r"asyncio has no events.nothing"):
        load("asyncio:events.nothing")


RELOADS = 3


@pytest.mark.timeout(120)
@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_nobody_is_refused_or_reset_while_workers_are_replaced(tmp_path: Path, loop: str) -> None:
    command = ("-m", "aionet", "serve", "program:app", "--workers", "2", "--loop", loop)
    program = Program(tmp_path, *command, code=COUNTS_ITSELF)
    port = program.port()
    seen: set[bytes] = {ask(port)}
    asked, lost = 0, []
    for _ in range(RELOADS):
        before = set(seen)
        program.process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + DEADLINE_S
        while len(seen - before) < 2:  # both workers are others
            assert time.monotonic() < deadline
            asked += 1
            try:
                seen.add(ask(port))
            except OSError as error:
                lost.append(error)
    assert (lost, asked > 0) == ([], True)
    assert len(seen) >= 1 + 2 * RELOADS
    status, _, err = program.end()
    assert (status, err) == (0, "")


def test_who_is_there_may_end_by_himself_when_a_worker_is_replaced(tmp_path: Path) -> None:
    command = ("-m", "aionet", "serve", "program:app")
    program = Program(tmp_path, *command, code=COUNTS_ITSELF)
    port = program.port()
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as silent:
        while len({ask(port) for _ in range(5)}) != 1:
            pass
        old = ask(port)
        program.process.send_signal(signal.SIGHUP)
        while ask(port) == old:
            time.sleep(0.02)
        silent.sendall(b"x")  # it had not said anything yet
        assert silent.recv(100) == old
    assert program.end()[0] == 0


# Signals of a program of one process.


def test_hangup_is_what_the_app_makes_of_it(tmp_path: Path) -> None:
    code = TICKER.replace(
        "    async with asyncio",
        "    import signal\n"
        "    worker.on_signal(signal.SIGHUP, lambda: print('heard', flush=True))\n"
        "    async with asyncio",
    )
    program = Program(tmp_path, "program.py", code=code + MAIN + "on_ready=ready))")
    program.port()
    program.process.send_signal(signal.SIGHUP)
    program.until("heard")
    assert program.end()[0] == 0


def test_signals_that_stop_the_server_are_not_the_apps() -> None:
    with pytest.raises(ValueError, match="SIGTERM stops the server"):
        Worker(0).on_signal(signal.SIGTERM, print)
    with pytest.raises(RuntimeError, match="there is no server yet"):
        _ = Worker(0).server


# Addresses.

MAPPING = """
import aionet
from contextlib import asynccontextmanager

class Says(aionet.Service):
    def __init__(self, what):
        self.what = what
    def receive_data(self, peer, data):
        return self.what

@asynccontextmanager
async def app(worker):
    yield {"tcp://127.0.0.1:0": Says(b"ip"), "unix:@aionet-app-%s": Says(b"unix")}

def ready(addresses):
    print("READY", *addresses, flush=True)

if __name__ == "__main__":
    places = "tcp://127.0.0.1:0", "unix:@aionet-app-%s"
    raise SystemExit(aionet.run(app, *places[:%d], on_ready=ready, workers=2))
"""


def test_app_may_serve_something_else_at_each_address(tmp_path: Path) -> None:
    pid = os.getpid()
    program = Program(tmp_path, "program.py", code=MAPPING % (pid, pid, 2))
    port = int(program.until("READY").split()[1].rpartition(":")[2])
    assert ask(port) == b"ip"
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(f"\0aionet-app-{pid}")
        sock.sendall(b"x")
        assert sock.recv(10) == b"unix"
    assert program.end()[0] == 0


def test_address_that_is_not_listened_at_is_named(tmp_path: Path) -> None:
    pid = os.getpid()
    program = Program(tmp_path, "program.py", code=MAPPING % (pid, pid, 1))
    _, err = program.process.communicate(timeout=DEADLINE_S)
    assert program.process.returncode == 1
    assert f"unix:@aionet-app-{pid} is served and not listened at" in err


def test_something_to_serve_is_needed() -> None:
    with pytest.raises(ValueError, match=r"'tcp://127.0.0.1:0' is neither a Service nor a handler"):
        run("tcp://127.0.0.1:0")


# In memory.


def test_app_is_entered_in_memory_and_its_tasks_end_with_it() -> None:
    from contextlib import asynccontextmanager

    left: list[str] = []

    @asynccontextmanager
    async def app(worker: Worker) -> Any:
        async def forever() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                left.append("task")

        async def tick() -> None:
            while True:
                await asyncio.sleep(60)
                worker.server.deliver([(worker.server.peers, b"a minute")])

        async def handler(stream: Any) -> None:
            tasks.append(asyncio.create_task(forever()))
            await stream.receive()

        ticker = asyncio.create_task(tick())
        yield handler
        ticker.cancel()
        left.append("app")

    tasks: list[Any] = []
    with MemoryServer(app) as server:
        peer = server.connect()
        server.advance(125)
        assert peer.received == b"a minute" * 2
    assert left == ["app", "task"]
