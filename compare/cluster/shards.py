"""How one load is shared out over drivers, and what they saw put together again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec

from compare.cluster.clock import Clock
from compare.cluster.merge import Core, merged
from compare.cluster.room import faults
from compare.cluster.watch import Served
from compare.contract.outcome import Outcome
from compare.contract.spec import Shard as ShardOf
from compare.contract.spec import Spec, Target
from compare.driver.shared_room import SMALLEST
from compare.measure.holders import shares
from compare.results.percentiles import percentiles
from compare.results.records import Shard

SEED_STEP = 1_000_003  # from one shard's messages to the next one's


class Seat(Protocol):
    """Where a driver runs. address: what it is called. core: its own, if it has one; place: the
    same, and of which host."""

    @property
    def address(self) -> str: ...

    @property
    def core(self) -> int | None: ...

    @property
    def place(self) -> Core | None: ...


class Driven(NamedTuple):
    """What one driver was to do, where, by which clock, and what it saw."""

    worker: Seat
    clock: Clock
    spec: Spec
    outcome: Outcome


def split(spec: Spec, workers: Sequence[Seat]) -> list[Spec]:
    """Connections and rate, shared out, against the one server.

    Of a room each has two members at least, or nothing would be delivered within it; and lines
    that are too short to carry what tells them apart are all said by one.
    """
    many = min(len(workers), spec.connections)
    if spec.workload == "chat":
        many = min(many, spec.connections // 2) if spec.size >= SMALLEST else 1
        many = max(1, many)
    specs = []
    for number, connections in enumerate(shares(spec.connections, many)):
        changes: dict[str, Any] = {
            "targets": [_share(spec.targets[0], connections / spec.connections)],
            "connections": connections,
            "seed": spec.seed + number * SEED_STEP,
            "shard": ShardOf(number, many),
            "pinned": workers[number].core is not None,
        }
        specs.append(msgspec.structs.replace(spec, **changes))
    return specs


def _share(target: Target, share: float) -> Target:
    return msgspec.structs.replace(target, rate=target.rate and target.rate * share)


def outcome_of(driven: Sequence[Driven], served: Served | None) -> Outcome:
    """All shards as one, and what the server used."""
    outcome = merged(
        [each.outcome for each in driven],
        [each.worker.place for each in driven],
        served.usage if served else None,
        served.sizes if served else None,
        served.peak_descriptors if served else 0,
    )
    logs = [each.outcome.room for each in driven if each.outcome.room]
    if not logs:
        return outcome
    found, strange = faults(logs, [each.clock for each in driven])
    errors = Counter(outcome.errors) + Counter(found._asdict())
    errors["wrong_bytes"] += strange
    return msgspec.structs.replace(outcome, errors={**+errors})


def shards_of(driven: Sequence[Driven]) -> list[Shard]:
    """What each did for itself."""
    places = Counter(each.worker.place for each in driven)
    return [_shard(each, shares_core=places[each.worker.place] > 1) for each in driven]


def _shard(driven: Driven, *, shares_core: bool) -> Shard:
    outcome = driven.outcome
    pace = outcome.pace
    return Shard(
        worker=driven.worker.address,
        connections=driven.spec.connections,
        served=outcome.counts.served,
        ops_per_s=outcome.operations / outcome.window_ns * 1e9,
        latency_us=percentiles([outcome.latency], outcome.latency_max_ns),
        cpu_fraction=outcome.driver_cpu_ns / outcome.window_ns,
        shares_core=shares_core,
        late_fraction=pace.late / pace.sends if pace and pace.sends else None,
        late_us=outcome.late_ns / 1000,
        clock_offset_us=driven.clock.offset_ns / 1000,
        clock_error_us=driven.clock.error_ns / 1000,
    )
