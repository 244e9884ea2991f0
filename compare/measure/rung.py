"""Where a step of the ladder is measured: a server that stands, connections to it, and a load.

The server is the same for all of a step; see `compare.measure.ladder`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol

import msgspec

from compare.contract.hold import Held, Order
from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.host import process
from compare.host.cores import Cores
from compare.host.launch import Server
from compare.host.limits import Limits, limits_here
from compare.host.machine import Machine, look, memory, tcp_ext
from compare.measure.driver_process import Driver, Told
from compare.measure.holders import Holders
from compare.models.matrix import Model, Workload
from compare.results.records import Host, Shard

WARMUP_S = 2.0  # at most; it ends when the rate no longer drifts
CLUSTER_WARMUP_S = 0.5  # the same for all shards, so that their windows are one


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
    """This machine, with the server on cores of its own."""

    def __init__(self, cores: Cores) -> None:
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
        return _LocalStage(Server(command, self._cores.server, env=model.surroundings), self._cores)


class _LocalStage:
    def __init__(self, server: Server, cores: Cores) -> None:
        self._server = server
        self._cores = cores

    def __enter__(self) -> Stage:
        self._server.__enter__()
        self._holders = Holders((self._server.host, self._server.port), self._cores.driver)
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
            targets=[Target(server.host, server.port, server.pid)],
            pinned=self._cores.driver is not None,
        )
        with Driver(self._cores.driver) as driver:
            (outcome,) = driver.drive(here, told)
        return outcome, []


def look_at(server: Server) -> Seen:
    """What there is to see of a server on this machine."""
    used = memory()
    return Seen(
        anonymous_kb=process.pss_kb(server.pid, anonymous=True),
        size=process.size(server.pid),
        processes=len(process.tree(server.pid)),
        slab_kb=used["Slab"],
        available_kb=used["MemAvailable"],
        overflows=tcp_ext("ListenOverflows"),
        limits=limits_here(),
        ended=server.died(),
        stderr=server.stderr_tail(),
    )
