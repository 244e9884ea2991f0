"""A program's own part in each process that serves."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from pathlib import Path
from typing import Any

import pytest
from app_programs import DEADLINE_S, TICKER, Program, ask

from aionet import Worker, run
from aionet.app import OF_WORKERS
from aionet.testing import MemoryServer

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


SHORT_DRAIN = """
def ready(addresses):
    print("READY", *addresses, flush=True)

if __name__ == "__main__":
    short = aionet.Timeouts(drain=0.2)
    raise SystemExit(aionet.run(%s, "tcp://127.0.0.1:0", on_ready=ready, timeouts=short%s))
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
"""


@pytest.mark.parametrize("workers", ["", ", workers=2"])
def test_app_that_does_not_end_is_cancelled_and_named(tmp_path: Path, workers: str) -> None:
    program = Program(tmp_path, "program.py", code=HANGS + SHORT_DRAIN % ("app", workers))
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


STUBBORN = """
import asyncio
import aionet

async def handler(stream):
    await stream.send_all(b"x")
    while True:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            pass
"""


@pytest.mark.parametrize("workers", ["", ", workers=2"])
def test_handler_that_ignores_its_cancellation_is_told_and_no_app(
    tmp_path: Path, workers: str
) -> None:
    program = Program(tmp_path, "program.py", code=STUBBORN + SHORT_DRAIN % ("handler", workers))
    with socket.create_connection(("127.0.0.1", program.port()), DEADLINE_S) as sock:
        assert sock.recv(1) == b"x"
        status, _, err = program.end()
    assert status == 1
    assert "handlers that ignored their cancellation and are left behind: 1" in err
    assert "the app did not end" not in err
