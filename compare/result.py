"""What a run found: frozen records, the JSON format `compare-run/1`."""

from __future__ import annotations

from typing import Literal

import msgspec

from compare.driver.drive import Outcome, Window
from compare.driver.load import Counts
from compare.histogram import encode, merge, percentile_us
from compare.machine import Machine
from compare.stats import centre

FORMAT = "compare-run/1"

Verdict = Literal["ok", "driver-bound", "noisy", "failed", "unsupported"]


class Key(msgspec.Struct, frozen=True, order=True):
    """What a cell is: a model under a workload with so many connections."""

    model: str
    workload: str
    connections: int


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies in us; None where fewer than ten samples lie beyond a percentile."""

    p50: float | None = None
    p90: float | None = None
    p99: float | None = None
    p99_9: float | None = None
    max: float | None = None


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What the operations cost on the server's side.

    peak_connections: the most descriptors it held beyond those it had when it was ready.
    """

    cpu_us_per_op: float | None = None
    cpu_fraction: float | None = None
    user_fraction: float | None = None
    switches_per_op: float | None = None
    rss_kb: int | None = None
    threads: int | None = None
    peak_connections: int | None = None


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    cpu_fraction: float | None = None


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One measured window against one fresh server."""

    ops_per_s: float
    operations: int
    window_s: float
    latency_us: Percentiles
    littles_law: float | None
    counts: Counts
    errors: dict[str, int]
    server: Server
    driver: Driver
    server_wait_fraction: float
    driver_wait_fraction: float
    messages: list[str]


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds of one cell together.

    counts: of the round in which the most connections went unserved. errors: of all rounds.
    """

    model: str
    workload: str
    connections: int
    loop: str = "closed"
    verdict: Verdict
    reasons: list[str]
    ops_per_s: float | None = None
    ops_per_s_ci95: tuple[float, float] | None = None
    latency_us: Percentiles = Percentiles()
    connect_us: Percentiles = Percentiles()
    skew_us: Percentiles | None = None
    counts: Counts = msgspec.field(default_factory=Counts)
    errors: dict[str, int] = {}
    server: Server = Server()
    driver: Driver = Driver()
    rounds: list[Round] = []
    latency_hdr: str | None = None

    @property
    def key(self) -> Key:
        return Key(self.model, self.workload, self.connections)


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. Times in seconds; `sizes` in bytes, by workload."""

    models: list[str]
    workloads: list[str]
    connections: list[int]
    rounds: int
    duration_s: float
    warmup_s: float
    sizes: dict[str, int]
    seed: int
    server_core: int | None
    driver_core: int | None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    format: str = FORMAT
    started: str
    took_s: float
    measured_s: float
    interrupted: bool
    machine: Machine
    settings: Settings
    cells: list[Cell]


def percentiles(encoded: list[str], maximum_ns: int = 0) -> Percentiles:
    """Of several encoded histograms together."""
    histogram = merge(encoded)
    return Percentiles(
        p50=percentile_us(histogram, 50),
        p90=percentile_us(histogram, 90),
        p99=percentile_us(histogram, 99),
        p99_9=percentile_us(histogram, 99.9),
        max=maximum_ns / 1000 if maximum_ns else None,
    )


def round_of(outcome: Outcome, baseline_descriptors: int, messages: list[str]) -> Round:
    """What one outcome of the driver says."""
    seconds = outcome.window_ns / 1e9
    rate = outcome.operations / seconds
    return Round(
        ops_per_s=rate,
        operations=outcome.operations,
        window_s=seconds,
        latency_us=percentiles([outcome.latency], outcome.latency_max_ns),
        littles_law=outcome.latency_sum_ns / outcome.window_ns if outcome.operations else None,
        counts=outcome.counts,
        errors=outcome.errors,
        server=_server(outcome, baseline_descriptors),
        driver=Driver(cpu_fraction=outcome.driver.cpu_ns / outcome.window_ns),
        server_wait_fraction=_wait_fraction(
            outcome.server,
            outcome.window_ns,
            outcome.server_size.threads,
            stood_still=not outcome.operations,
        )
        if outcome.server and outcome.server_size
        else 0.0,
        driver_wait_fraction=_wait_fraction(outcome.driver, outcome.window_ns, 1),
        messages=messages,
    )


def _server(outcome: Outcome, baseline_descriptors: int) -> Server:
    used, size = outcome.server, outcome.server_size
    if used is None or size is None:
        return Server()
    busy = used.user_ns + used.system_ns
    return Server(
        cpu_us_per_op=used.cpu_ns / 1000 / outcome.operations if outcome.operations else None,
        cpu_fraction=used.cpu_ns / outcome.window_ns,
        user_fraction=used.user_ns / busy if busy else None,
        switches_per_op=used.switches / outcome.operations if outcome.operations else None,
        rss_kb=size.rss_kb,
        threads=size.threads,
        peak_connections=max(0, outcome.peak_descriptors - baseline_descriptors),
    )


def _wait_fraction(
    used: Window, window_ns: int, threads: int, *, stood_still: bool = False
) -> float:
    """How long it waited for a CPU that something else had, of the window.

    Threads of one server also wait for each other, which is no noise; so what the core did
    for others is an upper bound, as far as it is known.
    """
    wait = used.wait_ns
    if stood_still:  # the kernel adds up a wait when it ends, which this one had not yet
        wait = max(wait, used.others_ns or 0)
    elif used.others_ns is not None and threads > 1:
        wait = min(wait, used.others_ns)
    return min(1.0, wait / window_ns)


def cell_of(
    key: Key, outcomes: list[Outcome], rounds: list[Round], verdict: Verdict, reasons: list[str]
) -> Cell:
    """All rounds of a cell as one record."""
    if not rounds:
        return Cell(
            model=key.model,
            workload=key.workload,
            connections=key.connections,
            verdict=verdict,
            reasons=reasons,
        )
    rates = [each.ops_per_s for each in rounds]
    rate, interval = centre(rates) if all(rates) else (sum(rates) / len(rates), None)
    operations = sum(each.operations for each in rounds)
    errors: dict[str, int] = {}
    for each in rounds:
        for name, count in each.errors.items():
            errors[name] = errors.get(name, 0) + count
    connect = [each.connect for each in outcomes]
    skews = [each.skew for each in outcomes]
    worst = max(rounds, key=lambda each: each.counts.attempted - each.counts.served)
    cpu_ns = sum(each.server.cpu_ns for each in outcomes if each.server)
    return Cell(
        model=key.model,
        workload=key.workload,
        connections=key.connections,
        verdict=verdict,
        reasons=reasons,
        ops_per_s=rate,
        ops_per_s_ci95=interval,
        latency_us=percentiles(
            [each.latency for each in outcomes], max(each.latency_max_ns for each in outcomes)
        ),
        connect_us=percentiles(connect),
        skew_us=percentiles(skews) if key.workload == "chat" else None,
        counts=worst.counts,
        errors=errors,
        server=Server(
            cpu_us_per_op=cpu_ns / 1000 / operations if operations else None,
            cpu_fraction=_mean([each.server.cpu_fraction for each in rounds]),
            user_fraction=_mean([each.server.user_fraction for each in rounds]),
            switches_per_op=_mean([each.server.switches_per_op for each in rounds]),
            rss_kb=max((each.server.rss_kb or 0 for each in rounds), default=None) or None,
            threads=max((each.server.threads or 0 for each in rounds), default=None) or None,
            peak_connections=max(each.server.peak_connections or 0 for each in rounds),
        ),
        driver=Driver(cpu_fraction=_mean([each.driver.cpu_fraction for each in rounds])),
        rounds=rounds,
        latency_hdr=encode(merge([each.latency for each in outcomes])),
    )


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
