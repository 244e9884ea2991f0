"""A cluster as the place where cells are measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from compare.cluster.cell import BEYOND_S, BUSY_S, Cell
from compare.cluster.hosts import ClusterError, Hosts, Worker
from compare.cluster.shards import outcome_of, shards_of, split
from compare.cluster.tasks import ServeOrder, hold, unsupported
from compare.contract.spec import Target
from compare.host.limits import SPARE_DESCRIPTORS
from compare.host.place import Place
from compare.measure.block import close_after, handler_of, spec_of
from compare.measure.driver_process import CONNECTS_PER_S, DriverError, Told, limit_s
from compare.measure.holders import merge_held, split_order
from compare.measure.idle import idle_of, order_of, workers
from compare.measure.testbed import Block, Finding, Gone, Held, Say, one_by_one
from compare.models.matrix import WORKLOADS
from compare.models.model import Model, Workload
from compare.results.aggregation import round_of, with_shards
from compare.results.records import Host, Idle

T = TypeVar("T")

AGAIN_S = 5.0  # that a worker may take to come back
POLL_S = 0.02
EXAMINE_S = 120.0  # that the checks of one model may take


def longest_s(block: Block) -> float:
    """That one of its servers and the drivers are there at most, until no connection is left."""
    load = block.load
    opening_s = 2 * load.idle / min(CONNECTS_PER_S, block.settings.ramp or CONNECTS_PER_S)
    ending_s = 4 * (load.connections + load.idle) / CONNECTS_PER_S
    return limit_s(spec_of(block, [Target("", 0)])) + opening_s + ending_s + BEYOND_S


class Cluster:
    """Workers that drive, and one that serves; or a server that stands at `target` already.

    Raises ClusterError where it lacks what it takes.
    """

    def __init__(self, hosts: Hosts, target: Place | None = None) -> None:
        self._hosts = hosts
        self._target = target
        servers = hosts.addresses("server")
        # Who has both could not do both at a time.
        drivers = [each for each in hosts.addresses("driver") if target or each not in servers[:1]]
        for resource, found in (("driver", drivers), ("server", servers or target)):
            if not found:
                raise ClusterError(
                    f"no worker of {hosts.address} has the resource {resource}=1: start one with "
                    f"dask worker {hosts.address} --resources {resource}=1"
                )
        self._many = len(drivers)
        server = None if target else servers[0]
        looks = hosts.look_at([*([server] if server else []), *drivers])
        self.hosts = [
            Host(worker=each, role="server" if each == server else "driver", machine=look.machine)
            for each, look in looks.items()
        ]
        first = looks[self.hosts[0].worker]
        self.machine, self.limits = first.machine, first.limits

    def unsupported(
        self, model: Model, workload: Workload, connections: int, at_once: int
    ) -> str | None:
        """Also where the limits of any host are too low."""
        share = -(-connections // self._many)
        looks = self._hosts.look_at(self._hosts.addresses("driver"))
        for address, look in looks.items():
            if share + SPARE_DESCRIPTORS > look.limits.descriptors:
                return (
                    f"{share} connections from {address} are more than a process may have there: "
                    f"ulimit -Hn {share + SPARE_DESCRIPTORS}, or more workers with driver=1"
                )
        if self._target:
            return None
        return self._examine(unsupported, model, workload, connections)

    def hold(self, model: Model, workload: Workload) -> Held:
        if self._target:
            return Held()
        held = self._examine(hold, model, workload)
        return Held(barred=held) if isinstance(held, str) else held

    def _examine(self, task: Callable[..., T], *arguments: object) -> T | str:
        """What the server's worker says, or why it does not."""
        server = self._wait_for("server", 1)[0]
        future = self._hosts.client.submit(
            task, *arguments, workers=[server], resources={"server": 1}, pure=False
        )
        deadline = time.monotonic() + EXAMINE_S
        try:
            while not future.done():
                if server not in self._hosts.addresses() or time.monotonic() > deadline:
                    return f"the worker {server} did not say whether it can be measured"
                time.sleep(POLL_S)
            answer: T = future.result(timeout=EXAMINE_S)
        except Gone:
            raise
        except Exception as error:
            self._hosts.addresses()
            return f"the worker {server} could not look at it: {error}"
        finally:
            future.cancel()
        return answer

    def measure(self, block: Block, told: Told, say: Say) -> dict[str, Finding]:
        """One after the other, each by all drivers there are."""
        return one_by_one(block, lambda model: self._measure(model, block, told, say))

    def _measure(self, model: Model, block: Block, told: Told, say: Say) -> Finding:
        load, settings = block.load, block.settings
        server, drivers = self._workers(max(load.connections, load.idle))
        many, most_s = load.connections + load.idle, longest_s(block)
        with Cell(self._hosts, most_s) as cell:
            if server is None:
                assert self._target is not None
                host, port, baseline = self._target.host, self._target.port, 0
            else:
                order = ServeOrder(
                    model=model,
                    workload=WORKLOADS[load.workload],
                    host=server.host,
                    core=server.core,
                    close_after=close_after(load, settings),
                    workers=workers(load, settings, self.limits),
                    handler=handler_of(block),
                    connections=many,
                    limit_s=BUSY_S + most_s,
                )
                host, port, baseline = cell.serve(server, order)
            cell.gather(drivers, host, port)
            idle = self._hold(cell, model, block, len(drivers), say) if load.idle else None
            if idle:
                if not idle.all_served:
                    return idle
                baseline += load.idle
            target = Target(host, port, rate=block.rates.get(model.name))
            shares = split(spec_of(block, [target]), drivers)
            driven, served = cell.drive(shares, settings.warmup_s, settings.duration_s, told)
            said = cell.end(many) if server else ""
        outcome = outcome_of(driven, served)
        messages = [*outcome.details, *([said] if said else [])]
        return outcome, with_shards(
            round_of(outcome, baseline, messages, block.number, idle), shards_of(driven)
        )

    def _hold(self, cell: Cell, model: Model, block: Block, drivers: int, say: Say) -> Idle:
        """Idle connections from all drivers; nobody counts them meanwhile."""
        order = order_of(block)
        before = cell.look()
        parts = split_order(order, min(drivers, order.connections))
        words = f"{model.name}: opening {order.connections:,} idle connections"
        held = cell.hold(parts, lambda: say(words))
        say("")
        together = merge_held([each for each, _ in held])
        processes = sum(many for _, many in held)
        return idle_of(model, together, before, cell.look(), processes)

    def _workers(self, most: int) -> tuple[Worker | None, list[Worker]]:
        """A server's, if it is ours, and drivers, as many as there are and no more than that."""
        servers = [] if self._target else self._hosts.addresses("server")[:1]
        drivers = [each for each in self._wait_for("driver", self._many) if each not in servers]
        drivers = drivers[:most]
        server = None if self._target else self._wait_for("server", 1)[0]
        try:
            workers = self._hosts.placed(server, drivers)
        except ClusterError as error:
            raise DriverError(str(error)) from None
        known = {each.worker for each in self.hosts}
        self.hosts += [
            Host(worker=each.address, role="driver", machine=each.look.machine)
            for each in workers[1 if server else 0 :]
            if each.address not in known
        ]
        return (workers[0], workers[1:]) if server else (None, workers)

    def _wait_for(self, resource: str, many: int) -> list[str]:
        """Its workers; those that were lost are given a moment to come back. Raises Gone."""
        deadline = time.monotonic() + AGAIN_S
        while len(found := self._hosts.addresses(resource)) < many:
            if time.monotonic() > deadline:
                if not found:
                    raise Gone(f"no worker of {self._hosts.address} with {resource}=1 is left")
                self._many = len(found)  # and do not wait for them again
                break
            time.sleep(0.2)
        return found
