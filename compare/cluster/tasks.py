"""What runs on the workers: a server, or a shard of the load, and what it is asked meanwhile.

A task that runs is not stopped by cancelling it, so each has an inbox: `post` is called beside the
tasks (Client.run), and puts in what the task waits for. What it starts is killed when its time is
over, or when the worker is gone: see `compare.launch.Guard`.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import queue
import time
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any

import msgspec
from distributed import Status, get_worker

import compare
from compare import gate, process
from compare.driver.load import Counts, Spec
from compare.driver.meter import Meter, sizes_of, time_wait_of
from compare.driver.outcome import Outcome, Sizes, Window
from compare.driver.plan import Plan, wait_until
from compare.driver_process import CONNECTS_PER_S, Driver, DriverError
from compare.launch import STOP_TIMEOUT_S, Guard, LaunchError, Server
from compare.machine import Machine
from compare.machine import look as look_at_machine
from compare.matrix import Model, Workload
from compare.measure import start

AGREE_S = 60.0  # that a shard waits for the others
LOOK_NS = 50_000_000  # between looks at the server's descriptors
TOLD_S = 0.5  # between words of how far a shard is
STOP = "stop"
CORES = "COMPARE_CORES"

_inboxes: dict[str, queue.Queue[Any]] = {}


class Stopped(Exception):  # noqa: N818  no error
    """Whoever started it wants no more of it."""


class Inbox:
    """Where a task hears from whoever started it, as a context manager."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._queue: queue.Queue[Any] = queue.Queue()
        self._worker = get_worker()

    def __enter__(self) -> Inbox:
        _inboxes[self._name] = self._queue
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del _inboxes[self._name]

    def take(self, seconds: float) -> Any:
        """The next message; None where there is none for so long. Raises Stopped."""
        deadline = time.monotonic() + seconds
        while True:
            if self._worker.status != Status.running:
                raise Stopped("the worker is leaving")
            left = deadline - time.monotonic()
            try:
                message = self._queue.get(timeout=max(0.0, min(left, 0.5)))
            except queue.Empty:
                if left <= 0:
                    return None
                continue
            if message == STOP:
                raise Stopped("it was told to")
            return message


def post(messages: Mapping[str, Any]) -> None:
    """Put each into the inbox of that name, where there is one."""
    for name, message in messages.items():
        if inbox := _inboxes.get(name):
            inbox.put(message)


class Address(msgspec.Struct, frozen=True):
    """A task of a cell: where its words go, and its name."""

    topic: str
    name: str

    def say(self, what: str, value: Any = None) -> None:
        """To whoever started it."""
        get_worker().log_event(self.topic, {"from": self.name, "what": what, "value": value})


# A server.


class ServeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A server to start and to look at. limit_s: it is not there for longer than that."""

    task: Address
    model: Model
    workload: Workload
    host: str
    core: int | None
    close_after: int | None
    connections: int
    duration_s: float
    limit_s: float


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What it used within the window, how large it was then, and a last word of its stderr."""

    baseline_descriptors: int
    peak_descriptors: int
    window: Window
    sizes: Sizes | None
    said: str


def serve(order: ServeOrder) -> Served | None:
    """Start the server, measure it in the planned window, and stop it when told to.

    None where that was before the window had ended. Raises LaunchError.
    """
    order.task.say("began")
    with (
        Inbox(order.task.name) as inbox,
        start(
            order.model,
            order.workload,
            order.core,
            close_after=order.close_after,
            host=order.host,
        ) as server,
        Guard(server.pid, order.limit_s),
    ):
        seen = None
        order.task.say("ready", [server.scheme, server.host, server.port])
        try:
            seen = _look_at(server, order, inbox)
            inbox.take(order.limit_s)
        except Stopped:
            pass
        if ending := server.died():
            raise LaunchError(f"the server ended while it was measured: {ending}")
        if seen is None:
            return None
        server.stop(STOP_TIMEOUT_S + order.connections / CONNECTS_PER_S)
        if "Traceback" in (said := server.stderr_tail()):
            seen = msgspec.structs.replace(seen, said=f"stderr: {said.splitlines()[-1]}")
        return seen


def _look_at(server: Server, order: ServeOrder, inbox: Inbox) -> Served | None:
    """Wait for the plan, and measure. Raises Stopped."""
    spec = Spec(
        workload=order.workload.name,
        host=server.host,
        port=server.port,
        connections=order.connections,
        size=0,
        warmup_s=0,
        duration_s=order.duration_s,
        seed=0,
        server_pid=server.pid,
        server_core=order.core,
        driver_core=None,
    )
    baseline = peak = process.size(server.pid).descriptors
    closed = time_wait_of(spec)
    plan = inbox.take(order.limit_s)
    if plan is None:
        return None
    wait_until(plan.window_ns)
    try:
        meter = Meter(server.pid, order.core)
        end = plan.window_ns + int(order.duration_s * 1e9)
        while (left := end - perf_counter_ns()) > LOOK_NS:
            peak = max(peak, process.count_descriptors(server.pid))
            inbox.take(min(LOOK_NS, left - LOOK_NS) / 1e9)
        wait_until(end)
        return Served(
            baseline_descriptors=baseline,
            peak_descriptors=max(peak, process.count_descriptors(server.pid)),
            window=meter.window(),
            sizes=sizes_of(spec, closed),
            said="",
        )
    except ProcessLookupError:  # it died; whoever looks next will know how
        return None


# A shard of the load.


class DriveOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A shard to drive. limit_s: it is not there for longer than that."""

    task: Address
    spec: Spec
    core: int | None
    limit_s: float


def drive(order: DriveOrder) -> Outcome:
    """Connect, say so, begin when all do. Raises DriverError, and Stopped."""
    order.task.say("began")
    with (
        Inbox(order.task.name) as inbox,
        Driver(order.core) as driver,
        Guard(driver.pid, order.limit_s),
    ):
        told_at = 0.0

        def told(operations: int) -> None:
            nonlocal told_at
            inbox.take(0)
            if (now := time.monotonic()) - told_at > TOLD_S:
                told_at = now
                order.task.say("operations", operations)

        def agree(counts: Counts) -> Plan:
            order.task.say("connected", msgspec.to_builtins(counts))
            plan = inbox.take(AGREE_S)
            if plan is None:
                raise DriverError(f"nobody said within {AGREE_S:g} s when to begin")
            assert isinstance(plan, Plan)
            return plan

        return driver.drive(order.spec, told, agree)


# What is asked beside the tasks.


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker's host is. boot: the same for all that share a kernel, and so its clock.

    cores: where it may run what it starts: its own, or what COMPARE_CORES says, such as 1,2,3.
    """

    boot: str
    cores: list[int]
    versions: dict[str, str]
    machine: Machine


def look() -> Look:
    machine = look_at_machine()
    if CORES in os.environ:  # the worker's own affinity says nothing then
        machine = msgspec.structs.replace(machine, cores=os.cpu_count() or 1)
    return Look(
        boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip() + _clock_of_its_own(),
        cores=_cores(),
        versions=versions(),
        machine=machine,
    )


def what_time() -> int:
    return perf_counter_ns()


@functools.cache
def versions() -> dict[str, str]:
    """Of what must be the same on all hosts."""
    digest = hashlib.sha256()
    for package in ("aionet", "blocking", "compare"):
        for path in sorted((Path(compare.__file__).parents[1] / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return {
        "Python": platform.python_version(),
        "distributed": version("distributed"),
        "aionet-compare": f"{version('aionet-compare')} ({digest.hexdigest()[:8]})",
    }


def why_not(model: Model, workload: Workload) -> str | None:
    """As `compare.gate.why_not`, there."""
    return gate.why_not(model, workload)


def unsupported(model: Model, workload: Workload) -> str | None:
    return model.unsupported(workload)


def _cores() -> list[int]:
    said = os.environ.get(CORES)
    return [*map(int, said.split(","))] if said else sorted(os.sched_getaffinity(0))


def _clock_of_its_own() -> str:
    """In a time namespace the monotonic clock is another one, time_namespaces(7)."""
    try:
        return " ".join(Path("/proc/self/timens_offsets").read_text().split())
    except OSError:
        return ""
