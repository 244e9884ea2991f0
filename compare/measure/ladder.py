"""The ladder: how a model fares as more and more connections stand beside those that work.

For each number of idle connections a fresh server; the idle ones are opened and each is served
once; then a fixed set works, closed loop, and is measured as in any run. A model that leaves some
of the idle unserved has given way, and climbs no further. Records: `compare.results.ladder`.
"""

from __future__ import annotations

import datetime
import statistics
import time
from collections.abc import Callable
from functools import partial

from compare.contract.counts import Counts
from compare.contract.hold import Held, Order
from compare.contract.outcome import Outcome
from compare.contract.spec import Spec
from compare.host.launch import LaunchError
from compare.host.limits import SPARE_DESCRIPTORS, Limits
from compare.measure.driver_process import CONNECTS_PER_S, GRACE_S, DriverError
from compare.measure.rung import Seen, Stage, Stages
from compare.measure.testbed import Gone
from compare.models.matrix import MODELS, WORKLOADS, Model
from compare.results.aggregation import cell_of, round_of, with_shards
from compare.results.ladder import Memory, Scale, Settings, Step
from compare.results.percentiles import percentiles
from compare.results.records import Cell, Key, Percentiles, Round
from compare.results.verdict import judge

WORKLOAD = "tcp-long"
UNEVEN = 1.15  # how many more connections than the mean a worker may get
RESERVED = 200  # descriptors of a server for other things
LEAST_AVAILABLE = 0.05  # of the machine's memory
STEP_S = 300.0  # for starting, looking and ending
LATE = 0.05  # of the connections that were due


Teller = Callable[[str], None]
Keeper = Callable[[Scale], None]


def most(limits: Limits) -> int:
    """As many idle connections as one server process may have."""
    return limits.descriptors - SPARE_DESCRIPTORS - RESERVED


def climb(settings: Settings, told: Teller, keep: Keeper, where: Stages) -> Scale:
    """Every model up its ladder; `keep` gets what there is after each step.

    A KeyboardInterrupt ends it, and so does the end of the stages: what was measured until then
    is returned.
    """
    began = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    steps: list[Step] = []

    def snapshot(*, interrupted: bool, ended: str | None = None) -> Scale:
        return Scale(
            started=started,
            took_s=round(time.monotonic() - began, 3),
            interrupted=interrupted,
            ended=ended,
            machine=where.machine,
            hosts=where.hosts,
            limits=where.limits,
            settings=settings,
            steps=steps,
            memory_slope=_slopes(steps),
        )

    try:
        for name in settings.models:
            for idle in settings.idle:
                steps.append(_step(MODELS[name], idle, settings, told, where))
                keep(snapshot(interrupted=True))
                if not steps[-1].all_served:
                    break
    except KeyboardInterrupt:
        return snapshot(interrupted=True)
    except Gone as gone:
        return snapshot(interrupted=True, ended=str(gone))
    return snapshot(interrupted=False)


def _step(model: Model, idle: int, settings: Settings, told: Teller, stages: Stages) -> Step:
    workload = WORKLOADS[WORKLOAD]
    if reason := stages.unsupported(model, workload, settings.connections):
        return _failed(model.name, idle, reason)
    workers = max(2, -(-int(idle * UNEVEN) // (stages.limits.descriptors - RESERVED)))
    order = Order(connections=idle, rate=settings.rate, size=settings.size, seed=settings.seed)
    saying = partial(_say, told, model.name, idle, time.monotonic())
    try:
        connections = max(idle, settings.connections)
        with stages.stage(model, workload, workers, connections, _seconds(idle, settings)) as stage:
            empty = stage.look()
            held = stage.open(order, lambda: saying("open", stage.opened()))
            full = stage.look()
            gave_way = _what_gave_way(model, idle, held, empty, full)
            cell = None
            if held.counts.served and not model.few:
                cell = _work(model, settings, stage, empty, lambda: saying("work", None))
            after = stage.look()
            if "Traceback" in after.stderr:
                gave_way.append(f"stderr: {after.stderr.splitlines()[-1]}")
            holders = stage.holders
    except (LaunchError, DriverError) as error:
        return _failed(model.name, idle, str(error))
    return Step(
        model=model.name,
        idle=idle,
        processes=holders,
        counts=held.counts,
        errors=held.errors,
        connect_us=percentiles([held.connect]),
        first_reply_us=percentiles([held.first_reply]),
        took_s=held.took_ns / 1e9,
        overflows=after.overflows - empty.overflows,
        memory=_used(empty, full),
        cell=cell,
        gave_way=gave_way,
    )


def _seconds(idle: int, settings: Settings) -> float:
    """That a step takes at most, if all goes slowly."""
    opening = 2 * idle / min(CONNECTS_PER_S, settings.rate or CONNECTS_PER_S)
    each = settings.warmup_s + settings.duration_s + GRACE_S + settings.connections / CONNECTS_PER_S
    return STEP_S + opening + settings.rounds * each


def _failed(model: str, idle: int, reason: str) -> Step:
    return Step(
        model=model,
        idle=idle,
        processes=0,
        counts=Counts(),
        errors={},
        connect_us=Percentiles(),
        first_reply_us=Percentiles(),
        took_s=0.0,
        overflows=0,
        memory=None,
        cell=None,
        gave_way=[reason],
    )


def _say(told: Teller, model: str, idle: int, began: float, what: str, opened: int | None) -> None:
    if what == "open":
        so_far = "opening" if opened is None else f"{opened:,} of"
        told(f"{model}: {so_far} {idle:,} opened, {time.monotonic() - began:.0f} s")
    else:
        told(f"{model}: working beside {idle:,}")


def _work(
    model: Model, settings: Settings, stage: Stage, empty: Seen, wait: Callable[[], None]
) -> Cell:
    """The set that works, measured several times against the server as it stands."""
    outcomes: list[Outcome] = []
    rounds: list[Round] = []
    failures: list[str] = []
    spec = Spec(
        workload=WORKLOAD,
        targets=[],
        connections=settings.connections,
        size=settings.size,
        warmup_s=settings.warmup_s,
        slice_s=settings.duration_s,
        seed=settings.seed,
    )
    for number in range(1, settings.rounds + 1):
        try:
            outcome, shards = stage.work(spec, lambda operations: wait())
        except DriverError as error:
            failures.append(str(error))
            break
        outcomes.append(outcome)
        finished = round_of(outcome, empty.size.descriptors, outcome.details, number)
        rounds.append(with_shards(finished, shards))
    verdicts, reasons = judge(WORKLOAD, settings.connections, rounds, failures, model.few)
    key = Key(model.name, WORKLOAD, settings.connections)
    return cell_of(key, outcomes, rounds, verdicts, reasons)


def _what_gave_way(model: Model, idle: int, held: Held, empty: Seen, full: Seen) -> list[str]:
    counts, size, limits = held.counts, full.size, full.limits
    words = []
    if held.stopped == "EMFILE":
        words.append("the driver ran out of descriptors: ulimit -Hn (as root)")
    elif held.stopped == "EADDRNOTAVAIL":
        words.append("the driver ran out of ephemeral ports: net.ipv4.ip_local_port_range")
    elif held.stopped:
        words.append(f"the driver could not go on: {held.stopped}")
    if held.late > LATE * counts.attempted:
        words.append("the driver: it opened connections later than they were due; ask for less")
    if overflows := full.overflows - empty.overflows:
        words.append(
            f"the backlog: it was full {overflows} times; the server accepts too slowly, or "
            "net.core.somaxconn is small"
        )
    if full.ended:
        words.append(f"the server ended: {full.ended}")
    if counts.served == idle:
        return words
    if model.few:
        words.append(f"{model.few}: {counts.starved} are connected and wait")
        return words
    if model.descriptors is not None and size.descriptors + RESERVED > model.descriptors:
        words.append(f"{model.name}: it can use no more than {model.descriptors} descriptors")
    if size.descriptors >= (limits.descriptors - RESERVED) * full.processes:
        words.append(
            f"the server's descriptors: {size.descriptors} are open, ulimit -Hn is "
            f"{limits.descriptors}"
        )
    if model.threads and size.threads < counts.connected:
        words.append(f"the server's threads: it has {size.threads}; kernel.threads-max, pid_max")
    if full.available_kb < LEAST_AVAILABLE * limits.memory_kb:
        words.append(f"memory: {full.available_kb // 1024} MB are left")
    words += [
        f"{count} of {idle} {name.replace('_', ' ')}"
        for name in ("refused", "reset", "timed_out", "starved")
        if (count := getattr(counts, name))
    ]
    words += [f"{count} {name}" for name, count in held.errors.items()]
    return words


def _used(empty: Seen, full: Seen) -> Memory:
    return Memory(
        server_kb=full.anonymous_kb - empty.anonymous_kb,
        kernel_kb=full.slab_kb - empty.slab_kb,
        all_kb=empty.available_kb - full.available_kb,
        available_kb=full.available_kb,
    )


def _slopes(steps: list[Step]) -> dict[str, float]:
    """Bytes per connection, by least squares over the steps of each model."""
    slopes = {}
    for name in dict.fromkeys(step.model for step in steps):
        points = [
            (step.idle, step.memory.server_kb * 1024)
            for step in steps
            if step.model == name and step.memory is not None and step.all_served
        ]
        if len(points) == 1:
            slopes[name] = points[0][1] / points[0][0]
        elif points:
            slopes[name] = statistics.linear_regression(*zip(*points, strict=True)).slope
    return slopes
