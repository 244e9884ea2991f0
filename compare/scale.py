"""The ladder: how a model fares as more and more connections stand beside those that work.

For each number of idle connections a fresh server; the idle ones are opened and each is served
once; then a fixed set works, closed loop, and is measured as in any run. A model that leaves some
of the idle unserved has given way, and climbs no further. Records: `compare-scale/1`.
"""

from __future__ import annotations

import datetime
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from compare import process
from compare.driver.hold import Held
from compare.driver.load import Counts, Spec
from compare.driver.outcome import Outcome
from compare.driver_process import Driver, DriverError
from compare.holders import Holders, per_process
from compare.interpreter import Interpreter
from compare.launch import LaunchError, Server
from compare.machine import Machine, ephemeral_ports, look
from compare.matrix import MODELS, WORKLOADS, Model
from compare.result import Cell, Key, Percentiles, Round, cell_of, percentiles, round_of
from compare.verdict import judge

FORMAT = "compare-scale/1"
WORKLOAD = "tcp-long"
UNEVEN = 1.15  # how many more connections than the mean a worker may get
RESERVED = 200  # descriptors of a server for other things
LEAST_AVAILABLE = 0.05  # of the machine's memory
LATE = 0.05  # of the connections that were due


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. idle: connections that stand by, ascending. rate: of opening them."""

    models: list[str]
    interpreters: list[Interpreter] = []
    idle: list[int]
    connections: int
    rate: float | None
    rounds: int
    duration_s: float
    warmup_s: float
    size: int
    seed: int
    server_core: int | None
    driver_core: int | None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is used while the connections stand, beyond what was before, in KB.

    server_kb: the server's own, anonymous memory of all its processes, what they share once.
    kernel_kb: slab, where sockets live.
    all_kb: what the whole machine has less, drivers included. available_kb: what is left.
    """

    server_kb: int
    kernel_kb: int
    all_kb: int
    available_kb: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One model beside so many idle connections.

    connect_us: of the idle, until the handshake was done; first_reply_us until the echo.
    overflows: times that the kernel's accept queue was full (ListenOverflows), on the machine.
    cell: those that work; None where it did not come to that.
    gave_way: what did not hold, in words.
    """

    model: str
    idle: int
    processes: int
    counts: Counts
    errors: dict[str, int]
    connect_us: Percentiles
    first_reply_us: Percentiles
    took_s: float
    overflows: int
    memory: Memory | None
    cell: Cell | None
    gave_way: list[str]

    @property
    def all_served(self) -> bool:
        return self.counts.served == self.idle


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine allows: descriptors of a process and of all, memory, ports, queues."""

    descriptors: int
    all_descriptors: int | None
    memory_kb: int
    ephemeral_ports: int
    backlog: int
    threads: int | None


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """All steps. memory_slope: bytes of server memory per idle connection, by model."""

    format: str = FORMAT
    started: str
    took_s: float
    interrupted: bool
    machine: Machine
    limits: Limits
    settings: Settings
    steps: list[Step]
    memory_slope: dict[str, float]


Teller = Callable[[str], None]
Keeper = Callable[[Scale], None]


def most() -> int:
    """As many idle connections as one server process may have."""
    return per_process() - RESERVED


def climb(settings: Settings, told: Teller, keep: Keeper) -> Scale:
    """Every model up its ladder; `keep` gets what there is after each step.

    A KeyboardInterrupt ends it: what was measured until then is returned.
    """
    began = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    machine, limits = look(), _limits()
    steps: list[Step] = []

    def snapshot(*, interrupted: bool) -> Scale:
        return Scale(
            started=started,
            took_s=round(time.monotonic() - began, 3),
            interrupted=interrupted,
            machine=machine,
            limits=limits,
            settings=settings,
            steps=steps,
            memory_slope=_slopes(steps),
        )

    try:
        for name in settings.models:
            for idle in settings.idle:
                steps.append(_step(MODELS[name], idle, settings, told))
                keep(snapshot(interrupted=True))
                if not steps[-1].all_served:
                    break
    except KeyboardInterrupt:
        return snapshot(interrupted=True)
    return snapshot(interrupted=False)


def _step(model: Model, idle: int, settings: Settings, told: Teller) -> Step:
    workload = WORKLOADS[WORKLOAD]
    if reason := model.unsupported(workload):
        return _failed(model.name, idle, reason)
    workers = -(-int(idle * UNEVEN) // (per_process() - RESERVED))
    command = model.argv(workload, workers=max(2, workers))
    saying = partial(_say, told, model.name, idle, time.monotonic())
    before, overflows = _memory(), _overflows()
    try:
        with (
            Server(command, settings.server_core, env=model.environment) as server,
            Holders(server, settings.driver_core, settings.size, settings.seed) as holders,
        ):
            empty_kb = process.pss_kb(server.pid, anonymous=True)
            baseline = process.size(server.pid)
            held = holders.open(idle, settings.rate, partial(saying, "open", server.pid))
            memory = _used(before, process.pss_kb(server.pid, anonymous=True) - empty_kb)
            size = process.size(server.pid)
            gave_way = _what_gave_way(
                *(model, idle, held, memory, size, len(process.tree(server.pid))),
                overflows=_overflows() - overflows,
            )
            if ending := server.died():
                gave_way.append(f"the server ended: {ending}")
            cell = None
            if held.counts.served and not model.few:
                cell = _work(model, settings, server, baseline, partial(saying, "work", server.pid))
            if "Traceback" in (said := server.stderr_tail()):
                gave_way.append(f"stderr: {said.splitlines()[-1]}")
    except (LaunchError, DriverError) as error:
        return _failed(model.name, idle, str(error))
    return Step(
        model=model.name,
        idle=idle,
        processes=len(holders),
        counts=held.counts,
        errors=held.errors,
        connect_us=percentiles([held.connect]),
        first_reply_us=percentiles([held.first_reply]),
        took_s=held.took_ns / 1e9,
        overflows=_overflows() - overflows,
        memory=memory,
        cell=cell,
        gave_way=gave_way,
    )


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


def _say(told: Teller, model: str, idle: int, began: float, what: str, pid: int) -> None:
    if what == "open":
        opened = sum(process.count_descriptors(each) for each in process.tree(pid))
        told(f"{model}: {opened:,} of {idle:,} opened, {time.monotonic() - began:.0f} s")
    else:
        told(f"{model}: working beside {idle:,}")


def _work(
    model: Model,
    settings: Settings,
    server: Server,
    baseline: process.Size,
    wait: Callable[[], None],
) -> Cell:
    """The set that works, measured several times against the server as it stands."""
    outcomes: list[Outcome] = []
    rounds: list[Round] = []
    failures: list[str] = []
    for _ in range(settings.rounds):
        with Driver(settings.driver_core) as driver:
            try:
                outcome = driver.drive(
                    Spec(
                        workload=WORKLOAD,
                        host=server.host,
                        port=server.port,
                        connections=settings.connections,
                        size=settings.size,
                        warmup_s=settings.warmup_s,
                        duration_s=settings.duration_s,
                        seed=settings.seed,
                        server_pid=server.pid,
                        server_core=settings.server_core,
                        driver_core=settings.driver_core,
                    ),
                    lambda operations: wait(),
                )
            except DriverError as error:
                failures.append(str(error))
                break
        outcomes.append(outcome)
        rounds.append(round_of(outcome, baseline.descriptors, outcome.details))
    verdict, reasons = judge(WORKLOAD, settings.connections, rounds, failures, model.few)
    key = Key(model.name, WORKLOAD, settings.connections)
    return cell_of(key, outcomes, rounds, verdict, reasons)


def _what_gave_way(
    model: Model,
    idle: int,
    held: Held,
    memory: Memory,
    size: process.Size,
    processes: int,
    overflows: int,
) -> list[str]:
    counts, words = held.counts, []
    if held.stopped == "EMFILE":
        words.append("the driver ran out of descriptors: ulimit -Hn (as root)")
    elif held.stopped == "EADDRNOTAVAIL":
        words.append("the driver ran out of ephemeral ports: net.ipv4.ip_local_port_range")
    elif held.stopped:
        words.append(f"the driver could not go on: {held.stopped}")
    if held.late > LATE * counts.attempted:
        words.append("the driver: it opened connections later than they were due; ask for less")
    if overflows:
        words.append(
            f"the backlog: it was full {overflows} times; the server accepts too slowly, or "
            "net.core.somaxconn is small"
        )
    if counts.served == idle:
        return words
    if model.few:
        words.append(f"{model.few}: {counts.starved} are connected and wait")
        return words
    if model.descriptors is not None and size.descriptors + RESERVED > model.descriptors:
        words.append(f"{model.name}: it can use no more than {model.descriptors} descriptors")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if size.descriptors >= (hard - RESERVED) * processes:
        words.append(f"the server's descriptors: {size.descriptors} are open, ulimit -Hn is {hard}")
    if model.threads and size.threads < counts.connected:
        words.append(f"the server's threads: it has {size.threads}; kernel.threads-max, pid_max")
    if memory.available_kb < LEAST_AVAILABLE * _limits().memory_kb:
        words.append(f"memory: {memory.available_kb // 1024} MB are left")
    words += [
        f"{count} of {idle} {name.replace('_', ' ')}"
        for name in ("refused", "reset", "timed_out", "starved")
        if (count := getattr(counts, name))
    ]
    words += [f"{count} {name}" for name, count in held.errors.items()]
    return words


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


def _memory() -> dict[str, int]:
    """Of the machine, in KB, proc_meminfo(5)."""
    rows = Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (row.partition(":") for row in rows)}


def _used(before: dict[str, int], server_kb: int) -> Memory:
    after = _memory()
    return Memory(
        server_kb=server_kb,
        kernel_kb=after["Slab"] - before["Slab"],
        all_kb=before["MemAvailable"] - after["MemAvailable"],
        available_kb=after["MemAvailable"],
    )


def _overflows() -> int:
    """How often the accept queue of any socket was full, by /proc/net/netstat."""
    rows = Path("/proc/net/netstat").read_text().splitlines()
    for names, values in zip(rows[::2], rows[1::2], strict=False):
        if names.startswith("TcpExt:"):
            return int(dict(zip(names.split(), values.split(), strict=True))["ListenOverflows"])
    return 0


def _limits() -> Limits:
    def number(path: str) -> int | None:
        try:
            return int(Path(path).read_text())
        except (OSError, ValueError):
            return None

    return Limits(
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        all_descriptors=number("/proc/sys/fs/file-max"),
        memory_kb=_memory()["MemTotal"],
        ephemeral_ports=ephemeral_ports(),
        backlog=number("/proc/sys/net/core/somaxconn") or 0,
        threads=number("/proc/sys/kernel/threads-max"),
    )
