"""Records of what was never measured, of which a test says what matters to it."""

from __future__ import annotations

from typing import Any

from compare.contract.counts import Counts
from compare.contract.histogram import empty, encode
from compare.contract.outcome import Outcome, Sizes, Slice, Usage
from compare.host.limits import Limits
from compare.host.machine import Machine
from compare.results.profile import Frame, Frames, Profile, SystemCall
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


def made_up_round(rate: float = 1000.0, **changes: Any) -> Round:
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
            dropped=changes.pop("dropped", None),
            receive_buffer=changes.pop("receive_buffer", None),
        ),
        driver=Driver(
            cpu_fraction=changes.pop("driver_busy", 0.5),
            wait_fraction=changes.pop("driver_waited", 0.0),
        ),
        messages=changes.pop("messages", []),
        **changes,
    )


def made_up_pace(rate: float = 1000.0, **changes: Any) -> Pace:
    values: dict[str, Any] = {
        "offered": rate,
        "late_fraction": 0.0,
        "lateness_p99_us": 10.0,
        "missed": 0,
        "service_us": Percentiles(p50=1.0, p90=2.0, p99=3.0),
    }
    return Pace(rate=rate, **values | changes)


def made_up_idle(attempted: int, served: int | None = None, **changes: Any) -> Idle:
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


def made_up_cell(model: str, rates: tuple[float, ...], **changes: Any) -> Cell:
    rounds = [made_up_round(rate, number=number) for number, rate in enumerate(rates, 1)]
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


def made_up_run(
    cells: list[Cell], *, rounds: int = 5, interrupted: bool = False, **changes: Any
) -> Run:
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


USAGE = Usage(elapsed_ns=10**9, cpu_ns=0, user_share=None, wait_ns=0, switches=0, preemptions=0)


def made_up_outcome(**changes: Any) -> Outcome:
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


def made_up_profile(**changes: Any) -> Profile:
    """Of an event loop that sends, and of each call it makes one for an operation."""
    where = (
        ("main", "server.py", None, 1.0, 0.0),
        ("run", "server.py", 0, 1.0, 0.1),
        ("<lambda>", "server.py", 1, 0.6, 0.2),
        ("send", "libc.so.6", 2, 0.4, 0.4),
        ("epoll_wait", "libc.so.6", 1, 0.3, 0.3),
    )
    names = ("name", "file", "caller", "share", "own")
    found = [Frame(**dict(zip(names, each, strict=True))) for each in where]
    values: dict[str, Any] = {
        "operations": 1000,
        "calls": [SystemCall(name="sendto", per_op=1.0, errors_per_op=-0.0001, us_per_op=2.5)],
        "frames": Frames(samples=600, frames=found),
    }
    return Profile(**values | changes)
