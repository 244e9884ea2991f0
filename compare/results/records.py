"""What a run found: frozen records, the JSON format `compare-run/1`."""

from __future__ import annotations

import datetime
from typing import Literal

import msgspec

from compare.contract.counts import Counts
from compare.contract.loss import Loss
from compare.contract.outcome import Slice
from compare.contract.trace import Trace
from compare.host.limits import Limits
from compare.host.machine import Machine
from compare.results.load import Amount as Amount
from compare.results.load import Load as Load
from compare.results.load import Loop as Loop
from compare.results.load import Many as Many
from compare.results.load import Number as Number
from compare.results.load import Ratio as Ratio
from compare.results.load import Slow as Slow
from compare.results.load import Whole as Whole
from compare.results.percentiles import Percentiles
from compare.results.profile import Profile
from compare.results.settings import MARGIN as MARGIN
from compare.results.settings import Settings as Settings

FORMAT = "compare-run/1"

# What is to be said of a cell, the gravest first.
Verdict = Literal[
    "unsupported",
    "failed",
    "errors",
    "gave-way",
    "throttled",
    "rate-unmet",
    "driver-bound",
    "both-full",
    "unbound",
    "not-pinned",
    "ok",
]
Metric = Literal["ops_per_s", "cpu_us_per_op", "p99_us"]


class Key(msgspec.Struct, frozen=True, order=True):
    """What a cell is: a model under a load."""

    model: str
    load: Load


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """What the operations cost on the server's side, all its threads and children together.

    preemptions: context switches that took the CPU from a thread which was not done with it.
    throttled: share of the time in which a CPU quota of its control group held it back.
    time_wait_overflow: closes that the kernel had no more room for in TIME_WAIT.
    pss_kb: its memory, what processes share counted once. buffered_kb: what the kernel held in
        the buffers of its connections.
    peak_connections: the most sockets it held beyond those it had when it was ready.
    dropped: datagrams that found its receive buffer full. receive_buffer: its bytes (SO_RCVBUF).
    time_wait, client_time_wait: sockets that closing first left on its side, and on ours.
    """

    cpu_us_per_op: Amount | None = None
    user_us_per_op: Amount | None = None
    system_us_per_op: Amount | None = None
    cpu_fraction: Amount | None = None
    user_fraction: Amount | None = None
    switches_per_op: Amount | None = None
    preemptions: Many | None = None
    throttled: Amount | None = None
    rss_kb: Many | None = None
    pss_kb: Many | None = None
    buffered_kb: Many | None = None
    threads: Many | None = None
    peak_connections: Whole | None = None
    time_wait: Many | None = None
    client_time_wait: Many | None = None
    time_wait_overflow: Many | None = None
    dropped: Many | None = None
    receive_buffer: Many | None = None


class Driver(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver used of its core, and for how much of it others made it wait."""

    cpu_fraction: Number | None = None
    wait_fraction: Number | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """How an open loop was kept up, in operations a second.

    rate: asked for. offered: due in the window, which by chance differs for Poisson arrivals.
    late_fraction: sends that the driver was late with. missed: operations never answered.
    service_us: latencies from when a message was sent and not from when it was due.
    loss: of the datagrams that were due in the window; None of other workloads.
    """

    rate: Number
    offered: Number
    late_fraction: Number
    lateness_p99_us: Number
    missed: Whole
    service_us: Percentiles
    loss: Loss | None = None


class Handshakes(msgspec.Struct, frozen=True, kw_only=True):
    """Of TLS, those that did well, the warm-up's included.

    version, cipher: what was agreed on. library: the driver's, and the servers' if they run on the
    same Python. full, resumed: so many. latency_us: from the client's first word on.
    """

    version: str
    cipher: str
    library: str
    full: Many
    resumed: Many
    latency_us: Percentiles


class Shard(msgspec.Struct, frozen=True, kw_only=True):
    """What one of several drivers did in a round. worker: where, as Dask names it.

    shares_core: with another of them, which it then waits for.
    late_us: after the agreed instant, by its clock, it began. clock_offset_us: what that clock
    showed more than the runner's; clock_error_us: by how much this may be wrong at most.
    late_fraction: as in Pace.
    """

    worker: str
    connections: Whole
    served: Whole
    ops_per_s: Number
    latency_us: Percentiles
    cpu_fraction: Number
    shares_core: bool = False
    late_fraction: Number | None = None
    late_us: Number
    clock_offset_us: Number
    clock_error_us: Number


class Idle(msgspec.Struct, frozen=True, kw_only=True):
    """Idle connections of one server: each was opened, served once, and stands.

    processes: that held them. connect_us: until the handshake was done; first_reply_us until the
        echo. took_s: from the first to the last answer.
    overflows: times that an accept queue was full (ListenOverflows), on the machine.
    Memory beyond what was used before, in KB: server_kb, anonymous, of all its processes, what
        they share once; kernel_kb, slab, where sockets live; all_kb of the whole machine, drivers
        included. available_kb: what is left.
    gave_way: what did not hold, in words.
    """

    counts: Counts
    errors: dict[str, Whole]
    processes: Whole
    connect_us: Percentiles
    first_reply_us: Percentiles
    took_s: Number
    overflows: Whole
    server_kb: Whole
    kernel_kb: Whole
    all_kb: Whole
    available_kb: Whole
    gave_way: list[str]

    @property
    def all_served(self) -> bool:
        return self.counts.served == self.counts.attempted


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One fresh server in its turns.

    number: of the round; cells that have the same were measured in the same minute, and where
        they have the same load, slice by slice; what was measured apart has one of its own.
        ops_per_s: over all slices.
    held: its idle connections, if it has any. gave_up: why it had no more turns. apart: why it was
        measured again with nobody beside it.
    handshakes: None over plain TCP.
    untimed: operations that are not in the latencies: two hosts had part in them whose clocks
        are not known well enough.
    sent: datagrams, those of the warm-up included, as in `errors`; of other workloads 0.
    shards: the drivers, where there are several. start_skew_us: between the first of them to begin
        and the last.
    """

    number: Whole = 1
    ops_per_s: Amount
    operations: Many
    window_s: Amount
    slices: list[Slice] = []
    warmup_s: Number
    settled: bool
    pace: Pace | None = None
    latency_us: Percentiles
    littles_law: Number | None
    counts: Counts
    errors: dict[str, Whole]
    server: Server
    driver: Driver
    messages: list[str]
    held: Idle | None = None
    gave_up: str | None = None
    apart: str | None = None
    handshakes: Handshakes | None = None
    untimed: Whole = 0
    sent: Many = 0
    shards: list[Shard] = []
    start_skew_us: Number | None = None


class Cell(Load, frozen=True, kw_only=True):
    """All rounds of one cell together.

    verdict: the gravest of `verdicts`, which are all that hold.
    ops_per_s: the mean over rounds, and its interval by Student's t; of absolute figures, which
    belong to this machine in these minutes. cpu_us_per_op_ci95, p99_us_ci95: the same of the
    server's CPU time and of the rounds' p99, the latter at least so wide that it holds the p99 of
    all together. See `Comparison` for what tells models apart.
    latency_us, pace.service_us: of the operations of all rounds together.
    counts: of the round in which the most connections went unserved. errors: of all rounds.
    trace: when some of the connections waited, in a moment after the window of one round.
    held: the idle connections of the round in which the fewest were served.
    handshakes: of all rounds; None over plain TCP.
    profile: None where it was not asked for.
    """

    model: str
    verdict: Verdict
    verdicts: list[Verdict] = msgspec.field(default_factory=list)
    reasons: list[str]
    ops_per_s: Amount | None = None
    ops_per_s_ci95: tuple[Number, Number] | None = None
    cpu_us_per_op_ci95: tuple[Number, Number] | None = None
    pace: Pace | None = None
    latency_us: Percentiles = Percentiles()
    p99_us_ci95: tuple[Number, Number] | None = None
    connect_us: Percentiles = Percentiles()
    skew_us: Percentiles | None = None
    counts: Counts = msgspec.field(default_factory=Counts)
    errors: dict[str, Whole] = msgspec.field(default_factory=dict)
    server: Server = Server()
    driver: Driver = Driver()
    rounds: list[Round] = msgspec.field(default_factory=list)
    latency_hdr: str | None = None
    trace: Trace | None = None
    held: Idle | None = None
    handshakes: Handshakes | None = None
    profile: Profile | None = None

    @property
    def key(self) -> Key:
        return Key(self.model, self.load)


Standing = Literal["best", "tied", "behind", "unclear"]


class Comparison(Load, frozen=True, kw_only=True):
    """A cell held against the best of its load, by one metric.

    ratio: how many times that of the best it is, paired round by round; of rates slice by slice in
    them, as long as whole rounds say nothing else. ratio_ci95: all intervals of a load and metric
    hold together with 95 %, also for the one that turned out best.
    standing: `behind` where 1 is left out even if all pairs of the load and all metrics are to hold
    together, else `tied` where the interval lies within `margin` of 1, `unclear` where neither is
    so; needs_s: about so much longer the run would have to take to tell.
    """

    model: str
    metric: Metric
    best: str
    ratio: Ratio
    ratio_ci95: tuple[Ratio, Ratio] | None
    margin: Number
    standing: Standing
    needs_s: float | None = None


class Share(msgspec.Struct, frozen=True, kw_only=True):
    """At so much work a message, how many times the other's a metric is, and its interval."""

    work_us: Amount
    ratio: Ratio
    ratio_ci95: tuple[Ratio, Ratio] | None


class BreakEven(Load, frozen=True, kw_only=True):
    """From how much work a message on two models are within `margin` of each other, by one metric.

    The work of the load is 0, for it is what changes. to: whom `model` is held against. shares:
    by work, ascending.
    from_us: interpolated; None where that is beyond all that was measured. from_us_ci95: between
    where the nearer ends of the intervals of all shares, and where their further ends, say so.
    """

    model: str
    metric: Metric
    to: str
    margin: Number
    shares: list[Share]
    from_us: Amount | None
    from_us_ci95: tuple[Amount | None, Amount | None] | None


class Constant(msgspec.Struct, frozen=True, kw_only=True):
    """One of the law of scalability; its interval is over rounds, by Student's t."""

    value: Amount
    ci95: tuple[float, float] | None = None


class Rung(msgspec.Struct, frozen=True, kw_only=True):
    """A number of cores. efficiency: operations a second of each core, of those on the fewest."""

    cores: Many
    ops_per_s: Amount
    cpu_us_per_op: Amount | None = None
    efficiency: Amount
    efficiency_ci95: tuple[float, float] | None = None


class Scalability(Load, frozen=True, kw_only=True):
    """What a model gains from more cores, under a load without `cores`.

    one_ops_per_s, contention, coherency: of the Universal Scalability Law; see
    `compare.results.scalability`. coherency is None where it cannot be told from contention.
    peak_cores: beyond which more cores do less, where coherency is above 0 beyond doubt.
    notes: what the law is not by the server alone.
    """

    model: str
    rungs: list[Rung]
    one_ops_per_s: Amount
    contention: Constant
    coherency: Constant | None = None
    peak_cores: Amount | None = None
    notes: list[str]


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """A worker of a cluster, and the machine that it is on."""

    worker: str
    role: Literal["server", "driver"]
    machine: Machine


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """machine, limits: the server's; where that is unknown, a driver's. hosts: of a cluster.

    ended: why, where before it was through.
    """

    format: str = FORMAT
    started: str
    took_s: Amount
    measured_s: Amount
    interrupted: bool
    machine: Machine
    limits: Limits
    settings: Settings
    cells: list[Cell]
    comparisons: list[Comparison] = []
    break_evens: list[BreakEven] = []
    scalability: list[Scalability] = []
    hosts: list[Host] = []
    ended: str | None = None

    def __post_init__(self) -> None:
        datetime.datetime.fromisoformat(self.started).timestamp()  # either raises ValueError
