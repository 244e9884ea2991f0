"""What a run found: frozen records, the JSON format `compare-run/1`."""

from __future__ import annotations

from collections import Counter
from typing import Literal

import msgspec

from compare.driver.load import Closer, Counts
from compare.driver.outcome import Outcome, Window
from compare.driver.probe import Work
from compare.driver.schedule import Arrivals
from compare.driver.trace import Trace
from compare.histogram import encode, merge
from compare.interpreter import Interpreter
from compare.machine import Machine
from compare.percentiles import Percentiles as Percentiles
from compare.percentiles import percentiles as percentiles
from compare.stats import centre

FORMAT = "compare-run/1"

Verdict = Literal["ok", "driver-bound", "rate-unmet", "noisy", "failed", "unsupported"]
Loop = Literal["closed", "open"]


class Key(msgspec.Struct, frozen=True, order=True):
    """What a cell is: a model under a workload with so many connections, in one of the loops."""

    model: str
    workload: str
    connections: int
    loop: Loop = "closed"


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What the operations cost on the server's side, all its threads and children together.

    preemptions: context switches that took the CPU from a thread which was not done with it.
    pss_kb: its memory, what processes share counted once. buffered_kb: what the kernel held in
        the buffers of its connections.
    peak_connections: the most descriptors it held beyond those it had when it was ready.
    dropped: datagrams that found its receive buffer full.
    time_wait, client_time_wait: sockets that closing first left on its side, and on ours.
    """

    cpu_us_per_op: float | None = None
    user_us_per_op: float | None = None
    system_us_per_op: float | None = None
    cpu_fraction: float | None = None
    user_fraction: float | None = None
    switches_per_op: float | None = None
    preemptions: int | None = None
    rss_kb: int | None = None
    pss_kb: int | None = None
    buffered_kb: int | None = None
    threads: int | None = None
    peak_connections: int | None = None
    time_wait: int | None = None
    client_time_wait: int | None = None
    dropped: int | None = None


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    cpu_fraction: float | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How an open loop was kept up, in operations a second.

    rate: asked for. offered: due in the window, which by chance differs for Poisson arrivals.
    late_fraction: sends that the driver was late with. missed: operations never answered.
    service_us: latencies from when a message was sent and not from when it was due.
    """

    rate: float
    offered: float
    late_fraction: float
    lateness_p99_us: float
    missed: int
    service_us: Percentiles


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several drivers did in a round. worker: where, as Dask names it.

    shares_core: with another of them, which it then waits for.
    late_us: after the agreed instant, by its clock, it began. clock_error_us: by how much that
    clock may be misjudged. late_fraction: as in Pace.
    """

    worker: str
    connections: int
    served: int
    ops_per_s: float
    latency_us: Percentiles
    cpu_fraction: float
    shares_core: bool = False
    late_fraction: float | None = None
    late_us: float
    clock_error_us: float


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One measured window against one fresh server.

    work: how long the same work took on and between both cores, at the slower end of the window.
    untimed: operations that are not in the latencies: two hosts had part in them whose clocks
        are not known well enough.
    shards: the drivers, where there are several. start_skew_us: between the first of them to begin
        and the last.
    """

    ops_per_s: float
    operations: int
    window_s: float
    warmup_s: float
    settled: bool
    pace: Pace | None = None
    latency_us: Percentiles
    littles_law: float | None
    counts: Counts
    errors: dict[str, int]
    server: Server
    driver: Driver
    work: Work | None = None
    server_wait_fraction: float
    driver_wait_fraction: float
    stolen_fraction: float
    messages: list[str]
    untimed: int = 0
    shards: list[Shard] = []
    start_skew_us: float | None = None


class Cell(msgspec.Struct, frozen=True, kw_only=True):
    """All rounds of one cell together.

    ops_per_s: the median over rounds. Its interval is exact, between two of the rounds, and
    covers the true median with `confidence`, which for five rounds is 94 % and else 95 % or
    more; fewer have none. p99_us_ci95: the same of the rounds' p99.
    latency_us, pace.service_us: of the operations of all rounds together.
    counts: of the round in which the most connections went unserved. errors: of all rounds.
    discarded: rounds that were too noisy and were made again.
    trace: when some of the connections waited, in a moment after the window of one round.
    """

    model: str
    workload: str
    connections: int
    loop: Loop = "closed"
    verdict: Verdict
    reasons: list[str]
    ops_per_s: float | None = None
    ops_per_s_ci95: tuple[float, float] | None = None
    confidence: float | None = None
    pace: Pace | None = None
    latency_us: Percentiles = Percentiles()
    p99_us_ci95: tuple[float, float] | None = None
    connect_us: Percentiles = Percentiles()
    skew_us: Percentiles | None = None
    counts: Counts = msgspec.field(default_factory=Counts)
    errors: dict[str, int] = {}
    server: Server = Server()
    driver: Driver = Driver()
    rounds: list[Round] = []
    discarded: int = 0
    latency_hdr: str | None = None
    trace: Trace | None = None

    @property
    def key(self) -> Key:
        return Key(self.model, self.workload, self.connections, self.loop)


Standing = Literal["best", "tied", "close", "behind"]


class Comparison(msgspec.Struct, frozen=True, kw_only=True):
    """A cell held against the best of its load, by operations per second.

    ratio: how many times those of the best it does, the Hodges-Lehmann shift, with its exact
    95 % interval. chance: that equal models would look so different. standing: `behind` where
    they differ by Holm's correction for all that is held against this best, `tied` where the
    interval holds 1, and `close` where neither is so, which more rounds would settle.
    """

    model: str
    workload: str
    connections: int
    loop: Loop
    best: str
    ratio: float
    ratio_ci95: tuple[float, float] | None
    chance: float
    standing: Standing


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of a cluster, and the machine that it is on."""

    worker: str
    role: Literal["server", "driver"]
    machine: Machine


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. Times in seconds; `sizes` in bytes, by workload.

    interpreters: that ran the servers, where not the one that ran the rest.
    servers: the commands of the user's own, by name.
    rounds: of each cell; where `precise`, at least so many, until its intervals are narrow.
    rate: operations a second of an open loop. load: the same as a share of what the model does
        in a closed loop. slo_us: the highest rate is looked for whose p99 stays below.
    warmup_s: at most; on a cluster exactly.
    cluster: the scheduler's address, or local:N. target: where the server stands already.
    """

    models: list[str]
    interpreters: list[Interpreter] = []
    servers: dict[str, list[str]] = {}
    workloads: list[str]
    connections: list[int]
    rounds: int
    precise: bool = False
    duration_s: float
    warmup_s: float
    sizes: dict[str, int]
    seed: int
    rate: float | None = None
    load: float | None = None
    slo_us: float | None = None
    arrivals: Arrivals = "fixed"
    close: Closer = "client"
    server_core: int | None
    driver_core: int | None
    cluster: str | None = None
    target: str | None = None

    @property
    def loops(self) -> list[Loop]:
        """In the order in which they are measured."""
        if self.rate is not None:
            return ["open"]
        return ["closed"] if self.load is None and self.slo_us is None else ["closed", "open"]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """machine: the server's. hosts: those of a cluster. ended: why, where before it was through."""

    format: str = FORMAT
    started: str
    took_s: float
    measured_s: float
    interrupted: bool
    machine: Machine
    settings: Settings
    cells: list[Cell]
    comparisons: list[Comparison] = []
    hosts: list[Host] = []
    ended: str | None = None


def round_of(outcome: Outcome, baseline_descriptors: int, messages: list[str]) -> Round:
    """What one outcome of the driver says."""
    seconds = outcome.window_ns / 1e9
    rate = outcome.operations / seconds
    closed = outcome.pace is None and outcome.operations
    return Round(
        ops_per_s=rate,
        operations=outcome.operations,
        window_s=seconds,
        warmup_s=outcome.warmup_ns / 1e9,
        settled=outcome.settled,
        pace=_pace([outcome]),
        latency_us=percentiles([outcome.latency], outcome.latency_max_ns),
        littles_law=outcome.latency_sum_ns / outcome.window_ns if closed else None,
        counts=outcome.counts,
        errors=outcome.errors,
        server=_server(outcome, baseline_descriptors),
        driver=Driver(cpu_fraction=outcome.driver.cpu_ns / outcome.driver.elapsed_ns),
        server_wait_fraction=_wait_fraction(outcome.server, stood_still=not outcome.operations)
        if outcome.server
        else 0.0,
        driver_wait_fraction=_wait_fraction(outcome.driver),
        work=outcome.work,
        untimed=outcome.untimed,
        stolen_fraction=max(
            each.stolen_ns / each.elapsed_ns for each in (outcome.server, outcome.driver) if each
        ),
        messages=messages,
    )


def with_shards(finished: Round, shards: list[Shard]) -> Round:
    """The same, as several drivers did it together; none is one alone."""
    if not shards:
        return finished
    late = [each.late_us for each in shards]
    return msgspec.structs.replace(finished, shards=shards, start_skew_us=max(late) - min(late))


def _pace(outcomes: list[Outcome]) -> Pace | None:
    """Of the same open loop, one or several rounds of it."""
    paces = [each.pace for each in outcomes if each.pace is not None]
    if not paces:
        return None
    sends = sum(each.sends for each in paces)
    return Pace(
        rate=paces[0].rate,
        offered=sum(each.offered for each in paces)
        / sum(each.window_ns for each in outcomes)
        * 1e9,
        late_fraction=sum(each.late for each in paces) / sends if sends else 0.0,
        lateness_p99_us=max(each.lateness_p99_ns for each in paces) / 1000,
        missed=sum(each.missed for each in paces),
        service_us=percentiles([each.service for each in paces]),
    )


def _server(outcome: Outcome, baseline_descriptors: int) -> Server:
    used, sizes, operations = outcome.server, outcome.sizes, outcome.metered
    if used is None or sizes is None:
        return Server()
    busy = used.user_ns + used.system_ns
    each_us = used.cpu_ns / 1000 / operations if operations else None
    user = used.user_ns / busy if busy else None
    known = each_us is not None and user is not None
    return Server(
        cpu_us_per_op=each_us,
        user_us_per_op=each_us * user if known else None,  # type: ignore[operator]
        system_us_per_op=each_us * (1 - user) if known else None,  # type: ignore[operator]
        cpu_fraction=used.cpu_ns / used.elapsed_ns,
        user_fraction=user,
        # Those of processes that have ended are not known, and theirs may be nearly all.
        switches_per_op=used.switches / operations if operations and used.switches >= 0 else None,
        preemptions=used.preemptions if used.preemptions >= 0 else None,
        rss_kb=sizes.process.rss_kb,
        pss_kb=sizes.pss_kb,
        buffered_kb=sizes.buffered_kb,
        threads=sizes.process.threads,
        peak_connections=max(0, outcome.peak_descriptors - baseline_descriptors),
        time_wait=sizes.time_wait.server if sizes.time_wait else None,
        client_time_wait=sizes.time_wait.client if sizes.time_wait else None,
        dropped=sizes.dropped,
    )


def _wait_fraction(used: Window, *, stood_still: bool = False) -> float:
    """How long it waited for a CPU that something else had, of the window.

    Threads and processes of one server also wait for each other, which is no noise; so what the
    core did for others is an upper bound, as far as it is known.
    """
    wait = max(0, used.wait_ns)  # less what had waited and has ended
    if stood_still:  # the kernel adds up a wait when it ends, which this one had not yet
        wait = max(wait, used.others_ns or 0)
    elif used.others_ns is not None:
        wait = min(wait, used.others_ns)
    return min(1.0, wait / used.elapsed_ns)


def cell_of(
    key: Key,
    outcomes: list[Outcome],
    rounds: list[Round],
    verdict: Verdict,
    reasons: list[str],
    discarded: int = 0,
) -> Cell:
    """All rounds of a cell as one record."""
    bare = Cell(
        model=key.model,
        workload=key.workload,
        connections=key.connections,
        loop=key.loop,
        verdict=verdict,
        reasons=reasons,
        discarded=discarded,
    )
    if not rounds:
        return bare
    rate = centre([each.ops_per_s for each in rounds])
    tails = [each.latency_us.p99 for each in rounds]
    errors: Counter[str] = Counter()
    for each in rounds:
        errors.update(each.errors)
    worst = max(rounds, key=lambda each: each.counts.attempted - each.counts.served)
    return msgspec.structs.replace(
        bare,
        ops_per_s=rate.value,
        ops_per_s_ci95=rate.interval,
        confidence=rate.confidence,
        pace=_pace(outcomes),
        trace=next((each.trace for each in outcomes if each.trace), None),
        latency_us=percentiles(
            [each.latency for each in outcomes], max(each.latency_max_ns for each in outcomes)
        ),
        p99_us_ci95=centre([tail for tail in tails if tail is not None]).interval
        if all(tail is not None for tail in tails)
        else None,
        connect_us=percentiles([each.connect for each in outcomes]),
        skew_us=percentiles([each.skew for each in outcomes]) if key.workload == "chat" else None,
        counts=worst.counts,
        errors=dict(errors),
        server=_servers([each.server for each in rounds], [each.metered for each in outcomes]),
        driver=Driver(cpu_fraction=_mean([each.driver.cpu_fraction for each in rounds])),
        rounds=rounds,
        latency_hdr=encode(merge([each.latency for each in outcomes])),
    )


def _servers(rounds: list[Server], operations: list[int]) -> Server:
    """Of several rounds: costs weighted by their operations, sizes and counts at their most."""
    merged: dict[str, float | int | None] = {}
    for name in Server.__struct_fields__:
        pairs = [
            (value, weight)
            for each, weight in zip(rounds, operations, strict=True)
            if (value := getattr(each, name)) is not None
        ]
        weights = sum(weight for _, weight in pairs)
        if not pairs:
            merged[name] = None
        elif name.endswith("_per_op"):
            total = sum(value * weight for value, weight in pairs)
            merged[name] = total / weights if weights else None
        elif name.endswith("_fraction"):
            merged[name] = _mean([value for value, _ in pairs])
        else:
            merged[name] = max(value for value, _ in pairs)
    return Server(**merged)  # type: ignore[arg-type]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
