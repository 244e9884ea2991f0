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

import msgspec
import pytest

from compare.contract.counts import Counts
from compare.contract.histogram import empty, encode
from compare.contract.outcome import Outcome, Sizes, Slice, Usage
from compare.contract.spec import Spec, Target
from compare.host.limits import Limits
from compare.host.machine import Machine
from compare.results.ranking import rank_all
from compare.results.records import (
    Cell,
    Driver,
    Idle,
    Pace,
    Percentiles,
    Round,
    Run,
    Server,
    Settings,
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
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
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
                stat = (folder / "stat").read_text().rpartition(")")[2].split()
                if stat[0] != "Z":
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
    assert _offspring(os.getpid()) <= before


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


def made_up_slice(operations: int, window_s: float = 0.02, cost_us: float = 5.0) -> Slice:
    window_ns = int(window_s * 1e9)
    return Slice(
        window_ns=window_ns,
        operations=operations,
        driver_cpu_ns=window_ns // 2,
        driver_wait_ns=0,
        turn_ns=window_ns,
        turn_operations=operations,
        cpu_ns=round(operations * cost_us * 1000),
    )


def _round(rate: float = 1000.0, **changes: Any) -> Round:
    window_s = changes.pop("window_s", 10.0)  # enough operations for every percentile
    counts = changes.pop("counts", {})
    served = counts.get("served", 4)
    operations = changes.pop("operations", int(rate * window_s))
    cost = changes.pop("cost", 5.0)
    return Round(
        number=changes.pop("number", 1),
        ops_per_s=rate,
        operations=operations,
        slices=changes.pop("slices", [made_up_slice(operations, window_s, cost or 0.0)]),
        window_s=window_s,
        warmup_s=changes.pop("warmup_s", 0.3),
        settled=changes.pop("settled", True),
        pace=changes.pop("pace", None),
        latency_us=changes.pop("latency_us", Percentiles(p50=1.0, p90=2.0, p99=3.0, max=9.0)),
        littles_law=changes.pop("littles_law", float(served)),
        counts=Counts(**{"attempted": 4, "connected": 4, "served": 4} | counts),
        errors=changes.pop("errors", {}),
        server=Server(
            cpu_us_per_op=cost,
            cpu_fraction=changes.pop("server_busy", 0.95),
            throttled=changes.pop("throttled", 0.0),
            rss_kb=90_000,
            pss_kb=20480,
        ),
        driver=Driver(
            cpu_fraction=changes.pop("driver_busy", 0.5),
            wait_fraction=changes.pop("driver_waited", 0.0),
        ),
        messages=changes.pop("messages", []),
        **changes,
    )


@pytest.fixture(scope="session")
def made_up_round() -> Callable[..., Round]:
    return _round


def _pace(rate: float = 1000.0, **changes: Any) -> Pace:
    values: dict[str, Any] = {
        "offered": rate,
        "late_fraction": 0.0,
        "lateness_p99_us": 10.0,
        "missed": 0,
        "service_us": Percentiles(p50=1.0, p90=2.0, p99=3.0),
    }
    return Pace(rate=rate, **values | changes)


@pytest.fixture
def made_up_pace() -> Callable[..., Pace]:
    return _pace


def _idle(attempted: int, served: int | None = None, **changes: Any) -> Idle:
    values: dict[str, Any] = {
        "counts": Counts(
            attempted=attempted,
            connected=attempted,
            served=attempted if served is None else served,
            starved=0 if served is None else attempted - served,
        ),
        "errors": {},
        "processes": 1,
        "connect_us": Percentiles(p50=50.0, p99=90.0),
        "first_reply_us": Percentiles(p50=200.0, p99=1500.0),
        "took_s": 1.5,
        "overflows": 0,
        "server_kb": attempted,  # a KB each
        "kernel_kb": 8 * attempted,
        "all_kb": 9 * attempted,
        "available_kb": 2**20,
        "gave_way": [],
    }
    return Idle(**values | changes)


@pytest.fixture(scope="session")
def made_up_idle() -> Callable[..., Idle]:
    """Of so many connections; all of them are served if not fewer are said to be."""
    return _idle


def _cell(model: str, rates: tuple[float, ...], **changes: Any) -> Cell:
    rounds = [_round(rate, number=number) for number, rate in enumerate(rates, 1)]
    values: dict[str, Any] = {
        "workload": "tcp-long",
        "connections": 4,
        "size": 1000,
        "verdict": "ok",
        "reasons": [],
        "ops_per_s": sum(rates) / len(rates) if rates else None,
        "latency_us": Percentiles(p50=100.0, p90=200.0, p99=300.0, p99_9=900.0, max=1000.0),
        "counts": Counts(attempted=4, connected=4, served=4),
        "server": Server(cpu_us_per_op=5.25, rss_kb=90_000, pss_kb=20480),
        "rounds": rounds,
    }
    return Cell(model=model, **values | changes)


@pytest.fixture
def made_up_cell() -> Callable[..., Cell]:
    return _cell


def _run(cells: list[Cell], *, rounds: int = 5, interrupted: bool = False, **changes: Any) -> Run:
    """`changes` are those of the settings."""
    asked: dict[str, Any] = {
        "models": [cell.model for cell in cells],
        "workloads": ["tcp-long"],
        "connections": [4],
        "rounds": rounds,
        "duration_s": 1.0,
        "warmup_s": 0.3,
        "seed": 7,
        "server_cores": [0],
        "driver_core": 1,
    }
    return Run(
        started="2024-01-01T00:00:00+00:00",
        took_s=12.0,
        measured_s=10.0,
        interrupted=interrupted,
        machine=Machine(
            cpu="A CPU",
            cores=2,
            memory_mb=4096,
            kernel="6.1",
            python="CPython 3.11.7",
            uvloop=None,
            governor=None,
            load_1min=0.0,
            descriptors=1024,
            ephemeral_ports=28232,
            backlog=4096,
        ),
        limits=Limits(
            descriptors=1024,
            all_descriptors=None,
            memory_kb=4 * 2**20,
            ephemeral_ports=28232,
            backlog=4096,
            threads=None,
        ),
        settings=Settings(**asked | changes),
        cells=cells,
        comparisons=rank_all(cells),
    )


@pytest.fixture
def made_up_run() -> Callable[..., Run]:
    return _run


# A server that did nothing, and nothing kept it from that.
USAGE = Usage(elapsed_ns=10**9, cpu_ns=0, user_share=None, wait_ns=0, switches=0, preemptions=0)


def _outcome(**changes: Any) -> Outcome:
    values: dict[str, Any] = {
        "slices": [made_up_slice(1000, 1.0)],
        "began_ns": 10**9,
        "late_ns": 0,
        "window_ns": 10**9,
        "warmup_ns": 3 * 10**8,
        "settled": True,
        "operations": 1000,
        "pace": None,
        "latency": encode(empty()),
        "latency_sum_ns": 4 * 10**9,
        "latency_max_ns": 10**9,
        "connect": encode(empty()),
        "skew": encode(empty()),
        "counts": Counts(attempted=4, connected=4, served=4),
        "errors": {},
        "details": [],
        "driver_cpu_ns": 0,
        "driver_wait_ns": 0,
        "server": USAGE,
        "sizes": Sizes(rss_kb=1, pss_kb=1, threads=1, descriptors=1),
        "peak_descriptors": 5,
    }
    return Outcome(**values | changes)


@pytest.fixture
def made_up_outcome() -> Callable[..., Outcome]:
    return _outcome
