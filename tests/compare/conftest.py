"""Planted servers, and what the driver and the runner are asked to do with them."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import made_up_records
import msgspec
import pytest

from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.results.records import (
    Cell,
    Idle,
    Pace,
    Round,
    Run,
)
from compare.selftest import planted

DEADLINE_S = 30.0  # for what takes milliseconds, on a machine that is busy with other things
WINDOW_S = 0.2


class Planted:
    """A server as a process, ready; most of them from `compare/selftest/planted/`."""

    def __init__(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline().decode()
        assert ready.startswith("READY "), f"{command} said {ready!r}"
        host, _, port = ready.strip().partition("//")[2].rpartition(":")
        self.host, self.port = host.strip("[]"), int(port)
        self.pid = self.process.pid

    def report(self) -> dict[str, int]:
        """End the server; how often it did what."""
        self.process.terminate()
        said, _ = self.process.communicate(timeout=DEADLINE_S)
        report: dict[str, int] = json.loads(said)
        return report

    def end(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=DEADLINE_S)


Plant = Callable[..., Planted]


@pytest.fixture
def plant() -> Iterator[Plant]:
    """Starts `compare/selftest/planted/SCRIPT ARGUMENTS...`, and ends it with the test."""
    with contextlib.ExitStack() as stack:

        def plant(script: str, *arguments: object) -> Planted:
            server = Planted(planted.command(script, *arguments))
            stack.callback(server.end)
            return server

        yield plant


@pytest.fixture
def serve() -> Iterator[Plant]:
    """Starts `python -m ARGUMENTS...`, a server without a fault, and ends it with the test."""
    with contextlib.ExitStack() as stack:

        def serve(*arguments: str) -> Planted:
            server = Planted([sys.executable, "-m", *arguments])
            stack.callback(server.end)
            return server

        yield serve


def impatient(seconds: float) -> list[str]:
    """What starts the driver with another OPEN_TIMEOUT_S."""
    code = f"from compare.driver import __main__, turns; turns.OPEN_TIMEOUT_S = {seconds}; "
    return ["-c", code + "__main__.main()"]


def _drive(
    server: Planted,
    workload: str,
    *,
    connections: int = 4,
    size: int = 100,
    window: float = WINDOW_S,
    warmup: float = 0.0,
    patience: float | None = None,
    rate: float | None = None,
    **more: Any,
) -> Outcome:
    """`patience`: how long an open loop awaits what is due, other than OPEN_TIMEOUT_S."""
    spec = Spec(
        workload=workload,
        targets=[Target(server.host, server.port, server.pid, rate)],
        connections=connections,
        size=size,
        warmup_s=warmup,
        slice_s=window,
        seed=1,
        **more,
    )
    done = subprocess.run(
        [sys.executable, *(["-m", "compare.driver"] if patience is None else impatient(patience))],
        input=msgspec.json.encode(spec),
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    (outcome,) = msgspec.json.decode(done.stdout.rpartition(b"\n")[2], type=list[Outcome])
    return outcome


@pytest.fixture
def drive() -> Callable[..., Outcome]:
    """Runs the driver as the runner does, in its own process, against a planted server."""
    return _drive


def _wait_until(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.005)


@pytest.fixture
def wait_until() -> Callable[[Callable[[], object], str], None]:
    """Returns as soon as a condition holds; fails when it does not."""
    return _wait_until


def _is_alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False


@pytest.fixture
def is_alive() -> Callable[[int], bool]:
    return _is_alive


def _offspring(pid: int) -> set[int]:
    """The living descendants of a process."""
    parents = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with contextlib.suppress(OSError):
                stat = (folder / "stat").read_bytes().rpartition(b")")[2].split()
                if stat[0] != b"Z":
                    parents[int(folder.name)] = int(stat[1])
    found: set[int] = set()
    while new := {child for child, parent in parents.items() if parent in found | {pid}} - found:
        found |= new
    return found


@pytest.fixture
def offspring() -> Callable[[int], set[int]]:
    return _offspring


@pytest.fixture
def nothing_left() -> Iterator[None]:
    """Fails a test that leaves more children of this process behind than it found."""
    before = _offspring(os.getpid())
    yield
    deadline = (
        time.monotonic() + 5
    )  # who is told to end by a process that was killed takes a moment
    while (left := _offspring(os.getpid()) - before) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not left


# Made-up records. Everything is quiet and right except what a test names.


def _spec(**changes: Any) -> Spec:
    values: dict[str, Any] = {
        "workload": "tcp-long",
        "targets": [],
        "connections": 1,
        "size": 10,
        "warmup_s": 0,
        "slice_s": 0,
        "seed": 1,
    }
    return Spec(**values | changes)


@pytest.fixture
def made_up_spec() -> Callable[..., Spec]:
    return _spec


Pairs = Callable[[], tuple[socket.socket, socket.socket]]


@pytest.fixture
def pairs() -> Iterator[Pairs]:
    """Makes two connected sockets: the driver's, which does not block, and the server's."""
    with contextlib.ExitStack() as stack:

        def pair() -> tuple[socket.socket, socket.socket]:
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            return stack.enter_context(ours), stack.enter_context(theirs)

        yield pair


@pytest.fixture(scope="session")
def made_up_round() -> Callable[..., Round]:
    return made_up_records.made_up_round


@pytest.fixture
def made_up_pace() -> Callable[..., Pace]:
    return made_up_records.made_up_pace


@pytest.fixture(scope="session")
def made_up_idle() -> Callable[..., Idle]:
    """Of so many connections; all of them are served if not fewer are said to be."""
    return made_up_records.made_up_idle


@pytest.fixture
def made_up_cell() -> Callable[..., Cell]:
    return made_up_records.made_up_cell


@pytest.fixture
def made_up_run() -> Callable[..., Run]:
    return made_up_records.made_up_run


# A server that did nothing, and nothing kept it from that.
@pytest.fixture
def made_up_outcome() -> Callable[..., Outcome]:
    return made_up_records.made_up_outcome
