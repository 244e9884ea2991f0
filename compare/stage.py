"""Where a step of the ladder is measured: a server that stands, connections to it, and a load.

The server is the same for all of a step; see `compare.scale`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Protocol

import msgspec

from compare import process
from compare.driver.hold import Held, Order
from compare.driver.load import Spec
from compare.driver.outcome import Outcome
from compare.driver_process import Driver, Told
from compare.holders import SPARE_DESCRIPTORS, Holders, per_process
from compare.launch import Server
from compare.machine import Machine, ephemeral_ports, look
from compare.matrix import Model, Workload
from compare.result import Host, Shard

WARMUP_S = 2.0  # at most; it ends when the rate no longer drifts
CLUSTER_WARMUP_S = 0.5  # the same for all shards, so that their windows are one


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine allows: descriptors of a process and of all, memory, ports, queues."""

    descriptors: int
    all_descriptors: int | None
    memory_kb: int
    ephemeral_ports: int
    backlog: int
    threads: int | None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A server and its machine at one moment.

    anonymous_kb: the memory of all its processes that is not mapped from files, what they share
        once. slab_kb, available_kb: of the machine, proc_meminfo(5). overflows: times that the
        accept queue of any socket was full, since the machine has started. ended: how it did.
    """

    anonymous_kb: int
    size: process.Size
    processes: int
    slab_kb: int
    available_kb: int
    overflows: int
    limits: Limits
    ended: str | None
    stderr: str


class Stage(Protocol):
    """One server and what is connected to it."""

    @property
    def holders(self) -> int:
        """How many processes hold connections."""

    def opened(self) -> int | None:
        """About how many connections there are; None where it is not known yet."""

    def open(self, order: Order, wait: Callable[[], None]) -> Held:
        """Open connections, wherever the server is; `wait` is called meanwhile.

        Raises DriverError, and LaunchError where the server has gone.
        """

    def look(self) -> Seen:
        """At the server."""

    def work(self, spec: Spec, told: Told) -> tuple[Outcome, list[Shard]]:
        """Put a load on it, wherever it is, by several drivers perhaps. Raises as `open`."""


class Stages(Protocol):
    """Where there are stages: this machine, or a cluster. machine, limits: the server's.

    warmup_s: how long a load warms up, at most.
    """

    machine: Machine
    warmup_s: float
    limits: Limits
    hosts: list[Host]

    def unsupported(self, model: Model, workload: Workload, connections: int) -> str | None:
        """Why there is nothing to measure there; None if there is."""

    def stage(
        self, model: Model, workload: Workload, workers: int, connections: int, seconds: float
    ) -> AbstractContextManager[Stage]:
        """A server, of so many processes if of several, for so many connections, for a while.

        Raises LaunchError.
        """


class Here:
    """This machine, with the server on the first of two cores."""

    def __init__(self, cores: tuple[int | None, int | None]) -> None:
        self._cores = cores
        self.warmup_s = WARMUP_S
        self.machine = look()
        self.limits = limits_here()
        self.hosts: list[Host] = []

    def unsupported(self, model: Model, workload: Workload, connections: int) -> str | None:
        return model.unsupported(workload)

    def stage(
        self, model: Model, workload: Workload, workers: int, connections: int, seconds: float
    ) -> AbstractContextManager[Stage]:
        command = model.argv(workload, workers=workers)
        return _LocalStage(Server(command, self._cores[0], env=model.environment), self._cores)


class _LocalStage:
    def __init__(self, server: Server, cores: tuple[int | None, int | None]) -> None:
        self._server = server
        self._cores = cores

    def __enter__(self) -> Stage:
        self._server.__enter__()
        self._holders = Holders((self._server.host, self._server.port), self._cores[1])
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._holders.__exit__(kind, error, traceback)
        self._server.__exit__(kind, error, traceback)

    @property
    def holders(self) -> int:
        return len(self._holders)

    def opened(self) -> int:
        return sum(process.count_descriptors(each) for each in process.tree(self._server.pid))

    def open(self, order: Order, wait: Callable[[], None]) -> Held:
        return self._holders.open(order, wait)

    def look(self) -> Seen:
        return look_at(self._server)

    def work(self, spec: Spec, told: Told) -> tuple[Outcome, list[Shard]]:
        server = self._server
        here = msgspec.structs.replace(
            spec,
            host=server.host,
            port=server.port,
            server_pid=server.pid,
            server_core=self._cores[0],
            driver_core=self._cores[1],
        )
        with Driver(self._cores[1]) as driver:
            return driver.drive(here, told), []


def look_at(server: Server) -> Seen:
    """What there is to see of a server on this machine."""
    memory = _memory()
    return Seen(
        anonymous_kb=process.pss_kb(server.pid, anonymous=True),
        size=process.size(server.pid),
        processes=len(process.tree(server.pid)),
        slab_kb=memory["Slab"],
        available_kb=memory["MemAvailable"],
        overflows=_overflows(),
        limits=limits_here(),
        ended=server.died(),
        stderr=server.stderr_tail(),
    )


def limits_here() -> Limits:
    return Limits(
        descriptors=per_process() + SPARE_DESCRIPTORS,
        all_descriptors=_number("/proc/sys/fs/file-max"),
        memory_kb=_memory()["MemTotal"],
        ephemeral_ports=ephemeral_ports(),
        backlog=_number("/proc/sys/net/core/somaxconn") or 0,
        threads=_number("/proc/sys/kernel/threads-max"),
    )


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None


def _memory() -> dict[str, int]:
    """Of the machine, in KB, proc_meminfo(5)."""
    rows = Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (row.partition(":") for row in rows)}


def _overflows() -> int:
    """How often the accept queue of any socket was full, by /proc/net/netstat."""
    rows = Path("/proc/net/netstat").read_text().splitlines()
    for names, values in zip(rows[::2], rows[1::2], strict=False):
        if names.startswith("TcpExt:"):
            return int(dict(zip(names.split(), values.split(), strict=True))["ListenOverflows"])
    return 0
