"""Planted servers, and what the driver and the runner are asked to do with them."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compare.driver.drive import Outcome, Window
from compare.driver.load import Counts, Spec
from compare.machine import Machine
from compare.result import Cell, Driver, Percentiles, Round, Run, Server, Settings

SERVERS = Path(__file__).parent / "servers"
DEADLINE_S = 30.0  # for what takes milliseconds, on a machine that is busy with other things
WINDOW_S = 0.2


class Planted:
    """A server of `servers/`, ready."""

    def __init__(self, script: str, arguments: tuple[object, ...]) -> None:
        command = [sys.executable, str(SERVERS / script), *map(str, arguments)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE)
        assert self.process.stdout is not None
        ready = self.process.stdout.readline().decode()
        assert ready.startswith("READY "), f"{command} said {ready!r}"
        self.host, _, port = ready.strip().partition("//")[2].rpartition(":")
        self.port = int(port)
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
    """Starts `servers/SCRIPT ARGUMENTS...`, and ends it with the test."""
    with contextlib.ExitStack() as stack:

        def plant(script: str, *arguments: object) -> Planted:
            server = Planted(script, arguments)
            stack.callback(server.end)
            return server

        yield plant


def _drive(
    server: Planted,
    workload: str,
    *,
    connections: int = 4,
    size: int = 100,
    window: float = WINDOW_S,
    warmup: float = 0.0,
) -> Outcome:
    spec = Spec(
        workload=workload,
        host=server.host,
        port=server.port,
        connections=connections,
        size=size,
        warmup_s=warmup,
        duration_s=window,
        seed=1,
        server_pid=server.pid,
        server_core=None,
        driver_core=None,
    )
    done = subprocess.run(
        [sys.executable, "-m", "compare.driver"],
        input=msgspec.json.encode(spec),
        capture_output=True,
        timeout=DEADLINE_S,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stderr == b""
    return msgspec.json.decode(done.stdout, type=Outcome)


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


def _round(rate: float = 1000.0, **changes: Any) -> Round:
    window_s = changes.pop("window_s", 1.0)
    counts = changes.pop("counts", {})
    served = counts.get("served", 4)
    return Round(
        ops_per_s=rate,
        operations=changes.pop("operations", int(rate * window_s)),
        window_s=window_s,
        latency_us=changes.pop("latency_us", Percentiles(p50=1.0, p90=2.0, p99=3.0, max=9.0)),
        littles_law=changes.pop("littles_law", float(served)),
        counts=Counts(**{"attempted": 4, "connected": 4, "served": 4} | counts),
        errors=changes.pop("errors", {}),
        server=Server(
            cpu_us_per_op=5.0, cpu_fraction=changes.pop("server_busy", 0.95), rss_kb=20480
        ),
        driver=Driver(cpu_fraction=changes.pop("driver_busy", 0.5)),
        server_wait_fraction=changes.pop("server_waited", 0.0),
        driver_wait_fraction=changes.pop("driver_waited", 0.0),
        messages=changes.pop("messages", []),
        **changes,
    )


@pytest.fixture
def made_up_round() -> Callable[..., Round]:
    return _round


def _cell(model: str, rates: tuple[float, ...], **changes: Any) -> Cell:
    rounds = [_round(rate) for rate in rates]
    values: dict[str, Any] = {
        "workload": "tcp-long",
        "connections": 4,
        "verdict": "ok",
        "reasons": [],
        "ops_per_s": sum(rates) / len(rates) if rates else None,
        "latency_us": Percentiles(p50=100.0, p90=200.0, p99=300.0, p99_9=900.0, max=1000.0),
        "counts": Counts(attempted=4, connected=4, served=4),
        "server": Server(cpu_us_per_op=5.25, rss_kb=20480),
        "rounds": rounds,
    }
    return Cell(model=model, **values | changes)


@pytest.fixture
def made_up_cell() -> Callable[..., Cell]:
    return _cell


def _run(cells: list[Cell], *, rounds: int = 5, interrupted: bool = False) -> Run:
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
        settings=Settings(
            models=[cell.model for cell in cells],
            workloads=["tcp-long"],
            connections=[4],
            rounds=rounds,
            duration_s=1.0,
            warmup_s=0.3,
            sizes={"tcp-long": 1000},
            seed=7,
            server_core=0,
            driver_core=1,
        ),
        cells=cells,
    )


@pytest.fixture
def made_up_run() -> Callable[..., Run]:
    return _run


@pytest.fixture
def a_window() -> Window:
    return Window(cpu_ns=0, user_ns=0, system_ns=0, wait_ns=0, others_ns=None, switches=0)
