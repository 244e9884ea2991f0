"""A step of the ladder on a cluster: connections that stand, and a load, from all drivers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import TracebackType

import msgspec

from compare.cluster.cell import Cell
from compare.cluster.hosts import Hosts, Worker
from compare.cluster.shards import outcome_of, shards_of, split
from compare.cluster.tasks import ServeOrder
from compare.contract.hold import Held, Order
from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.measure.driver_process import Told
from compare.measure.holders import merge_held, split_order
from compare.measure.rung import Seen, Stage
from compare.results.records import Shard


class ClusterStage:
    """A server on its worker, as a context manager. Raises LaunchError and DriverError."""

    def __init__(
        self, hosts: Hosts, server: Worker, drivers: Sequence[Worker], order: ServeOrder
    ) -> None:
        self._server = server
        self._drivers = drivers
        self._order = order
        self._cell = Cell(hosts, order.limit_s)
        self.holders = 0

    def __enter__(self) -> Stage:
        try:
            host, port, _ = self._cell.serve(self._server, self._order)
            self._cell.gather(self._drivers, host, port)
        except BaseException as error:
            self._cell.__exit__(type(error), error, error.__traceback__)
            raise
        self._place = host, port
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._cell.__exit__(kind, error, traceback)

    def opened(self) -> None:
        """Nobody counts them meanwhile."""

    def open(self, order: Order, wait: Callable[[], None]) -> Held:
        parts = min(len(self._drivers), order.connections)
        held = self._cell.hold(split_order(order, parts), wait)
        self.holders += sum(processes for _, processes in held)
        return merge_held([each for each, _ in held])

    def look(self) -> Seen:
        return self._cell.look()

    def work(self, spec: Spec, told: Told) -> tuple[Outcome, list[Shard]]:
        here = msgspec.structs.replace(spec, targets=[Target(*self._place)])
        shares = split(here, self._drivers)
        driven, served = self._cell.drive(shares, spec.warmup_s, spec.slice_s, told)
        return outcome_of(driven, served), shards_of(driven)
