"""A cluster as the place where cells are measured."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from compare.cluster.cell import SERVER, Cell
from compare.cluster.cell import Shard as Seen
from compare.cluster.hosts import ClusterError, Hosts, Worker
from compare.cluster.merge import merged
from compare.cluster.tasks import ServeOrder, unsupported, why_not
from compare.driver.load import Shard as ShardOf
from compare.driver.load import Spec
from compare.driver.outcome import Outcome
from compare.driver_process import CONNECTS_PER_S, GRACE_S, DriverError, Told
from compare.launch import Place
from compare.matrix import MODELS, WORKLOADS, Model, Workload
from compare.measure import Gone, close_after, spec_of
from compare.percentiles import percentiles
from compare.result import Host, Key, Round, Settings, Shard, round_of

WARMUP_S = 0.5  # the same for all shards, so that their windows are one
AGAIN_S = 5.0  # that a worker may take to come back
EXAMINE_S = 120.0  # that the checks of one model may take
SEED_STEP = 1_000_003  # from one shard's messages to the next one's
ALONE = "chat"  # members of one room are driven from one host


class Cluster:
    """Workers that drive, and one that serves; or a server that stands at `target` already.

    Raises ClusterError where it lacks what it takes.
    """

    def __init__(self, hosts: Hosts, target: Place | None = None) -> None:
        self._hosts = hosts
        self._target = target
        drivers = hosts.addresses("driver")
        servers = hosts.addresses("server")
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
            Host(
                worker=address,
                role="server" if address == server else "driver",
                machine=look.machine,
            )
            for address, look in looks.items()
        ]
        self.machine = self.hosts[0].machine

    def unsupported(self, model: Model, workload: Workload) -> str | None:
        if self._target:
            return None
        return self._examine(unsupported, model, workload)

    def why_not(self, model: Model, workload: Workload) -> str | None:
        if self._target:
            return None
        return self._examine(why_not, model, workload)

    def _examine(
        self, task: Callable[[Model, Workload], str | None], model: Model, workload: Workload
    ) -> str | None:
        """What the server's worker says of them."""
        server = self._wait_for("server", 1)[0]
        future = self._hosts.client.submit(
            *(task, model, workload), workers=[server], resources={"server": 1}, pure=False
        )
        try:
            answer: str | None = future.result(timeout=EXAMINE_S)
        except Exception as error:
            self._hosts.addresses()
            return f"the worker {server} could not look at it: {error}"
        return answer

    def measure(
        self, key: Key, settings: Settings, rate: float | None, told: Told, *, number: int = 0
    ) -> tuple[Outcome, Round]:
        """One experiment by all drivers there are. Raises as every testbed does."""
        drivers = self._wait_for("driver", self._many)
        drivers = drivers[: 1 if key.workload == ALONE else key.connections]
        server = None if self._target else self._wait_for("server", 1)[0]
        try:
            workers = self._hosts.placed(server, drivers)
        except ClusterError as error:
            raise DriverError(str(error)) from None
        with Cell(self._hosts, told) as cell:
            if self._target:
                host, port = self._target.host, self._target.port
            else:
                order = self._order(cell, key, settings, workers[0])
                host, port = cell.start(workers.pop(0), order)
            spec = spec_of(key, settings, rate, number, host, port)
            seen = cell.drive(_split(spec, workers), WARMUP_S, settings.duration_s)
            served = cell.end() if not self._target else None
        outcome = merged(
            [each.outcome for each in seen],
            [each.worker.place for each in seen],
            served.window if served else None,
            served.sizes if served else None,
            served.peak_descriptors if served else 0,
        )
        messages = [*outcome.details, *([served.said] if served and served.said else [])]
        finished = round_of(outcome, served.baseline_descriptors if served else 0, messages)
        places = Counter(each.worker.place for each in seen)
        late = [each.outcome.late_ns / 1000 for each in seen]
        return outcome, msgspec.structs.replace(
            finished,
            shards=[_shard(each, places[each.worker.place] > 1) for each in seen],
            start_skew_us=max(late) - min(late),
        )

    def _order(self, cell: Cell, key: Key, settings: Settings, worker: Worker) -> ServeOrder:
        took = WARMUP_S + settings.duration_s + GRACE_S + key.connections / CONNECTS_PER_S
        return ServeOrder(
            task=cell.address(SERVER),
            model=MODELS[key.model],
            workload=WORKLOADS[key.workload],
            host=worker.host,
            core=worker.core,
            close_after=close_after(key, settings),
            connections=key.connections,
            duration_s=settings.duration_s,
            limit_s=EXAMINE_S + 3 * took,
        )

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


def _split(spec: Spec, workers: list[Worker]) -> list[tuple[Worker, Spec]]:
    """Connections and rate, shared out."""
    many = len(workers)
    shares = []
    for number, worker in enumerate(workers):
        connections = spec.connections // many + (number < spec.connections % many)
        changes: dict[str, Any] = {
            "connections": connections,
            "rate": spec.rate and spec.rate * connections / spec.connections,
            "seed": spec.seed + number * SEED_STEP,
            "warmup_s": WARMUP_S,
            "shard": ShardOf(number, many),
            "driver_core": worker.core,
        }
        shares.append((worker, msgspec.structs.replace(spec, **changes)))
    return shares


def _shard(seen: Seen, shares_core: bool) -> Shard:
    outcome = seen.outcome
    pace = outcome.pace
    return Shard(
        worker=seen.worker.address,
        connections=seen.spec.connections,
        served=outcome.counts.served,
        ops_per_s=outcome.operations / outcome.window_ns * 1e9,
        latency_us=percentiles([outcome.latency], outcome.latency_max_ns),
        cpu_fraction=outcome.driver.cpu_ns / outcome.driver.elapsed_ns,
        shares_core=shares_core,
        late_fraction=pace.late / pace.sends if pace and pace.sends else None,
        late_us=outcome.late_ns / 1000,
        clock_error_us=seen.clock.error_ns / 1000,
    )
