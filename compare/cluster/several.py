"""Several drivers on this machine, which put the load on one server together: --drivers N."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from functools import partial
from time import perf_counter_ns, sleep
from typing import NamedTuple

from compare.cluster.clock import SAME
from compare.cluster.shards import Driven, outcome_of, shards_of, split
from compare.cluster.watch import Served, watch
from compare.contract.counts import Counts
from compare.contract.outcome import Outcome
from compare.contract.plan import Peer, Plan
from compare.contract.spec import Spec, Target
from compare.driver.meter import TimeWait
from compare.host import process
from compare.host.cores import Cores
from compare.host.launch import Server
from compare.measure.block import Here, spec_of, start_for, stopped
from compare.measure.driver_process import Driver, DriverError, Told
from compare.measure.holders import Holders
from compare.measure.idle import hold, order_of
from compare.measure.testbed import Block, Finding, Say, one_by_one
from compare.models.model import Model
from compare.results.aggregation import with_shards

AGREE_S = 60.0  # that a driver waits for the others
LEAD_S = 0.05  # from deciding on the instant to the instant


class Seat(NamedTuple):
    """A driver: what it is called, and its core, which it may share with others."""

    address: str
    core: int | None

    @property
    def place(self) -> tuple[str, int] | None:
        return None if self.core is None else ("", self.core)


def seats_of(many: int, cores: Cores) -> list[int | None]:
    """The core of each driver: of the first the driver's, then those that are left for us."""
    if cores.driver is None:
        return [None] * many
    free = [cores.driver, *sorted(os.sched_getaffinity(0) - {*cores.server, cores.driver})]
    return [free[number % len(free)] for number in range(many)]


class Several(Here):
    """As `compare.measure.testbed.Testbed`: one server after the other, each by all drivers."""

    def __init__(self, many: int, cores: Cores) -> None:
        super().__init__()
        seats = seats_of(many, cores)
        self._seats = [Seat(f"driver {number + 1}", core) for number, core in enumerate(seats)]

    def measure_all(self, block: Block, told: Told, say: Say) -> dict[str, Finding]:
        return one_by_one(block, lambda model: self._measure(model, block, told, say))

    def _measure(self, model: Model, block: Block, told: Told, say: Say) -> Finding:
        load, settings = block.load, block.settings
        with start_for(block, model, self.limits) as server:
            idle = None
            with Holders((server.host, server.port), settings.driver_core) as holders:
                if load.idle:
                    order = order_of(block)
                    idle = hold(server, model, holders, order, say)
                    say("")
                    if not idle.all_served:
                        return idle
                baseline = process.count_sockets(server.pid)
                target = Target(server.host, server.port, rate=block.rates.get(model.name))
                shares = split(spec_of(block, [target]), self._seats)
                driven, served = self._drive(server, shares, told)
                holders.check()
            if ending := server.died():
                return f"the server ended while it was measured: {ending}"
            found = stopped(server, outcome_of(driven, served), baseline, block, idle)
        if not isinstance(found, tuple):
            return found
        return found[0], with_shards(found[1], shards_of(driven))

    def _drive(
        self, server: Server, shares: Sequence[Spec], told: Told
    ) -> tuple[list[Driven], Served | None]:
        """All shards from one instant on, and what the server used meanwhile."""
        begin = _Begin(len(shares), shares[0])
        operations = [0] * len(shares)

        def tell(number: int, done: int) -> None:
            operations[number] = done
            told(sum(operations))

        with contextlib.ExitStack() as stack:
            drivers = [
                stack.enter_context(Driver(seat.core))
                for seat, _ in zip(self._seats, shares, strict=False)
            ]
            # So that nobody waits for who failed, nor for who is still connecting.
            pool = stack.enter_context(ThreadPoolExecutor(len(shares) + 1))
            for driver in drivers:
                stack.callback(driver.end)
            stack.callback(begin.give_up)
            works = [
                partial(
                    begin.drive, driver, spec, partial(tell, number), partial(begin.agree, number)
                )
                for number, (driver, spec) in enumerate(zip(drivers, shares, strict=True))
            ]
            try:
                parts = [pool.submit(each) for each in works]
                watching = pool.submit(begin.watch, server, shares[0])
            except RuntimeError as error:  # there can be no more threads
                raise DriverError(f"cannot start anything here: {error}") from None
            outcomes = _all_of(parts)
            served = watching.result()
        return [
            Driven(seat, SAME, spec, outcome)
            for seat, spec, outcome in zip(self._seats, shares, outcomes, strict=False)
        ], served


class _OtherError(DriverError):
    """This one is well; another failed, which says why."""


def _all_of(parts: Sequence[Future[Outcome]]) -> list[Outcome]:
    """What each has seen. Raises the DriverError of the one that failed by itself."""
    done, _ = wait(parts, return_when=FIRST_EXCEPTION)
    errors = [error for each in done if (error := each.exception())]
    if errors:
        raise min(errors, key=lambda error: isinstance(error, _OtherError))
    return [each.result() for each in parts]


class _Begin:
    """The instant at which all of them begin, once all are connected."""

    def __init__(self, many: int, spec: Spec) -> None:
        self._spec = spec
        self._members: dict[int, int] = {}
        self._window_ns = 0
        self._all_there = threading.Barrier(many + 1, self._decide)

    def _decide(self) -> None:
        self._begin_ns = perf_counter_ns() + int(LEAD_S * 1e9)
        self._window_ns = self._begin_ns + int(self._spec.warmup_s * 1e9)

    def give_up(self) -> None:
        self._all_there.abort()

    def drive(self, driver: Driver, spec: Spec, told: Told, agree: partial[Plan]) -> Outcome:
        """Raises DriverError, after which nobody waits for it."""
        try:
            (outcome,) = driver.drive(spec, told, agree)
        except BaseException:
            self.give_up()
            raise
        return outcome

    def agree(self, number: int, counts: Counts) -> Plan:
        self._members[number] = counts.served
        self._wait()
        peers = []
        if self._spec.workload == "chat" and len(self._members) > 1:
            others = [each for each in sorted(self._members) if each != number]
            peers = [Peer(each, self._members[each], 0, 0) for each in others]
        return Plan(self._begin_ns, self._window_ns, peers)

    def watch(self, server: Server, spec: Spec) -> Served | None:
        target = Target(server.host, server.port, server.pid)
        closed = TimeWait(target, spec.workload)
        try:
            self._wait()
        except DriverError:  # a driver says why
            return None
        return watch(target, spec.workload, closed, self._window_ns, spec.slice_s, sleep)

    def _wait(self) -> None:
        try:
            self._all_there.wait(AGREE_S)
        except threading.BrokenBarrierError:
            raise _OtherError("another driver failed, or was not ready in time") from None
