"""What runs on the workers: a server, or a shard of the load, and what it is asked meanwhile.

A task that runs is not stopped by cancelling it, so each has an inbox: `post` is called beside the
tasks (Client.run), and puts in what the task waits for. What it starts is killed when its time is
over, or when the worker is gone: see `compare.host.launch.Guard`.
"""

from __future__ import annotations

import functools
import hashlib
import ipaddress
import os
import platform
import queue
import time
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from time import perf_counter_ns
from types import TracebackType
from typing import Any

import msgspec
from distributed import Status, get_worker

import compare
from compare.cluster.watch import watch
from compare.contract.counts import Counts
from compare.contract.hold import Order
from compare.contract.outcome import Outcome
from compare.contract.plan import Plan
from compare.contract.spec import Spec, Target
from compare.driver.meter import TimeWait
from compare.host import process
from compare.host.guard import Guard
from compare.host.launch import STOP_TIMEOUT_S, LaunchError, Server
from compare.host.limits import Limits, limits_here, misfit
from compare.host.machine import Machine
from compare.host.machine import look as look_at_machine
from compare.measure import gate
from compare.measure.block import start
from compare.measure.driver_process import CONNECTS_PER_S, Driver, DriverError
from compare.measure.holders import Holders
from compare.measure.idle import look_at
from compare.measure.testbed import Held
from compare.models.handler import PLAIN, Handler
from compare.models.matrix import Model, Workload
from compare.models.model import WORKERS

AGREE_S = 60.0  # that a shard waits for the others
TOLD_S = 0.5  # between words of how far a shard is
STOP = "stop"
CORES = "COMPARE_CORES"

_inboxes: dict[str, queue.Queue[Any]] = {}
_answers: dict[str, Any] = {}


class Stopped(Exception):  # noqa: N818  no error
    """Whoever started it wants no more of it."""


class Attendance:
    """A task's ear and voice, as a context manager.

    topic: where what it says is heard. name: of the task, everywhere.
    """

    def __init__(self, topic: str, name: str) -> None:
        self._topic = topic
        self._name = name
        self._queue: queue.Queue[Any] = queue.Queue()
        self._worker = get_worker()

    def __enter__(self) -> Attendance:
        _inboxes[self._name] = self._queue
        self.say("began")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        del _inboxes[self._name]
        _answers.pop(self._name, None)

    def say(self, what: str, value: Any = None) -> None:
        """A word, and perhaps a number; the scheduler remembers the last thousand of a topic."""
        self._worker.log_event(self._topic, {"from": self._name, "what": what, "value": value})

    def answer(self, what: str, value: Any) -> None:
        """Something larger, which whoever started it will collect."""
        _answers[self._name] = value
        self.say(what)

    def take(self, seconds: float) -> Any:
        """The next message; None where there is none for so long. Raises Stopped."""
        deadline = time.monotonic() + seconds
        while True:
            self._check()
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

    def _check(self) -> None:
        """Raise Stopped where nobody can be told any more, or wants to be."""
        if self._worker.status != Status.running:
            raise Stopped("the worker is leaving")
        # The scheduler lets go of the tasks of a client that is gone, but does not end them.
        task = self._worker.state.tasks.get(self._name)
        if task is None or task.state == "cancelled":
            raise Stopped("nobody waits for it any more")

    def messages(self, seconds: float) -> Iterator[Any]:
        """All, until it is told to stop, or nobody says anything for so long."""
        try:
            while (message := self.take(seconds)) is not None:
                yield message
        except Stopped:
            return


def post(messages: Mapping[str, Any]) -> None:
    """Put each into the inbox of that task, where there is one."""
    for name, message in messages.items():
        if inbox := _inboxes.get(name):
            inbox.put(message)


def collect(names: Sequence[str]) -> dict[str, Any]:
    """What these tasks have answered last. Raises KeyError where one has not."""
    return {name: _answers.pop(name) for name in names}


# A server.


class ServeOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A server to start. limit_s: it is not there for longer than that."""

    model: Model
    workload: Workload
    host: str
    core: int | None
    close_after: int | None = None
    workers: int = WORKERS
    handler: Handler = PLAIN
    connections: int
    limit_s: float


class Watch(msgspec.Struct, frozen=True):
    """Measure the server in the window of this plan."""

    plan: Plan
    duration_s: float


LOOK = "look"


def serve(topic: str, name: str, order: ServeOrder) -> str:
    """Start the server, look at it and watch it when told to, stop it when told to.

    Gives the last line of a traceback on its stderr. Raises LaunchError.
    """
    with (
        Attendance(topic, name) as attendance,
        start(
            order.model,
            order.workload,
            () if order.core is None else (order.core,),
            close_after=order.close_after,
            workers=order.workers,
            handler=order.handler,
            host=order.host,
        ) as server,
        Guard(server.pid, order.limit_s),
    ):
        target = Target(server.host, server.port, server.pid)
        closed = TimeWait(target, order.workload.name)
        baseline = process.count_sockets(server.pid)
        attendance.answer("ready", (_reached_at(server, order.host), server.port, baseline))
        for message in attendance.messages(order.limit_s):
            if isinstance(message, Watch):
                served = watch(
                    target,
                    order.workload.name,
                    closed,
                    message.plan.window_ns,
                    message.duration_s,
                    attendance.take,
                )
                attendance.answer("watched", served)
            else:
                attendance.answer("looked", look_at(server))
        if ending := server.died():
            raise LaunchError(f"the server ended while it was measured: {ending}")
        server.stop(STOP_TIMEOUT_S + order.connections / CONNECTS_PER_S)
        said = server.stderr_tail()
        return f"stderr: {said.splitlines()[-1]}" if "Traceback" in said else ""


def _reached_at(server: Server, host: str) -> str:
    """The address where others reach it. Raises LaunchError."""
    address, own = ipaddress.ip_address(server.host), ipaddress.ip_address(host)
    if address.is_unspecified:
        return host
    if address.is_loopback and not own.is_loopback:
        raise LaunchError(
            f"it listens at {server.host}, where no other host reaches it: have it listen at "
            f"{{host}}, which is replaced by {host}"
        )
    return server.host


# A shard of the load.


class DriveOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A place to drive from. limit_s: nothing of it is there for longer than that.

    first: where in the loopback addresses those begin that connections come from.
    """

    host: str
    port: int
    core: int | None
    first: int
    limit_s: float


def drive(topic: str, name: str, order: DriveOrder) -> None:
    """Hold connections, and drive, as it is told: an Order, or a Spec, and then when to begin.

    Raises DriverError.
    """
    with (
        Attendance(topic, name) as attendance,
        Holders((order.host, order.port), order.core, order.first, order.limit_s) as holders,
    ):
        for message in attendance.messages(order.limit_s):
            if isinstance(message, Order):
                held = holders.open(message, lambda: attendance.take(0))
                attendance.answer("held", (held, len(holders)))
            else:
                outcome = _drive(message, order, attendance)
                holders.check()
                attendance.answer("driven", outcome)


def _drive(spec: Spec, order: DriveOrder, attendance: Attendance) -> Outcome:
    """Connect, say so, begin when all do."""
    told_at = 0.0

    def told(operations: int) -> None:
        nonlocal told_at
        attendance.take(0)
        if (now := time.monotonic()) - told_at > TOLD_S:
            told_at = now
            attendance.say("operations", operations)

    def agree(counts: Counts) -> Plan:
        attendance.answer("connected", counts)
        plan = attendance.take(AGREE_S)
        if plan is None:
            raise DriverError(f"nobody said within {AGREE_S:g} s when to begin")
        assert isinstance(plan, Plan)
        return plan

    with Driver(order.core) as driver, Guard(driver.pid, order.limit_s):
        (outcome,) = driver.drive(spec, told, agree)
        return outcome


# What is asked beside the tasks.


class Look(msgspec.Struct, frozen=True, kw_only=True):
    """What a worker's host is. boot: the same for all that share a kernel, and so its clock.

    cores: where it may run what it starts: its own, or what COMPARE_CORES says, such as 1,2,3.
    """

    boot: str
    cores: list[int]
    versions: dict[str, str]
    machine: Machine
    limits: Limits


def look() -> Look:
    machine = look_at_machine()
    if CORES in os.environ:  # the worker's own affinity says nothing then
        machine = msgspec.structs.replace(machine, cores=os.cpu_count() or 1)
    return Look(
        boot=Path("/proc/sys/kernel/random/boot_id").read_text().strip() + _clock_of_its_own(),
        cores=_cores(),
        versions=versions(),
        machine=machine,
        limits=limits_here(),
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
    found = {"Python": platform.python_version()}
    for name in ("distributed", "hdrhistogram", "msgspec", "uvloop"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "(not installed)"
    ours = f"{version('aionet-compare')} ({digest.hexdigest()[:8]})"
    return {**found, "aionet-compare": ours}


def hold(model: Model, workload: Workload) -> Held:
    """As `compare.measure.gate.hold`, there."""
    return gate.hold(model, workload)


def unsupported(model: Model, workload: Workload, connections: int) -> str | None:
    """As `Testbed.unsupported`, as far as the server goes."""
    return model.unsupported(workload) or misfit(model, workload, connections, alone=True)


def _cores() -> list[int]:
    said = os.environ.get(CORES)
    return [*map(int, said.split(","))] if said else sorted(os.sched_getaffinity(0))


def _clock_of_its_own() -> str:
    """In a time namespace the monotonic clock is another one, time_namespaces(7)."""
    try:
        return " ".join(Path("/proc/self/timens_offsets").read_text().split())
    except OSError:
        return ""
