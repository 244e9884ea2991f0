"""What a run found: frozen records, the JSON format `compare-run/1`."""

from __future__ import annotations

from typing import Literal

import msgspec

from compare.driver.counts import Counts
from compare.driver.load import Closer
from compare.driver.probe import Work
from compare.driver.schedule import Arrivals
from compare.driver.trace import Trace
from compare.host.machine import Machine
from compare.models.interpreter import Interpreter
from compare.results.percentiles import Percentiles as Percentiles

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
    late_us: after the agreed instant, by its clock, it began. clock_offset_us: what that clock
    showed more than the runner's; clock_error_us: by how much this may be wrong at most.
    late_fraction: as in Pace.
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
    clock_offset_us: float
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
    """machine: the server's; where that is unknown, a driver's. hosts: those of a cluster.

    ended: why, where before it was through.
    """

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
