"""Some models as a run measures them: in rounds, by turns."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import msgspec

from compare.host.cores import Cores
from compare.host.launch import LaunchError
from compare.measure.block import measure
from compare.measure.testbed import Block
from compare.models.model import Model
from compare.results.aggregation import cell_of
from compare.results.records import Cell, Key, Load, Settings

AA_S = 0.2  # in a round, of each


def side_by_side(
    cores: Cores,
    models: Sequence[Model],
    workload: str,
    rounds: int,
    duration_s: float = AA_S,
    **changes: Any,
) -> list[Cell]:
    """A cell of each model, in their order; changes: of the load. Raises LaunchError."""
    load = msgspec.structs.replace(Load(workload=workload, connections=16, size=100), **changes)
    settings = Settings(
        models=[each.name for each in models],
        workloads=[workload],
        connections=[load.connections],
        rounds=rounds,
        duration_s=duration_s,
        warmup_s=0.05,
        seed=1,
        server_cores=list(cores.server),
        driver_core=cores.driver,
    )
    seen: dict[str, list[Any]] = {each.name: [] for each in models}
    for number in range(1, rounds + 1):
        shuffled = random.Random(number).sample(models, len(models))
        block = Block(shuffled, load, settings, number=number)
        for name, finding in measure(block, lambda operations: None).items():
            if not isinstance(finding, tuple):
                raise LaunchError(str(finding))
            seen[name].append(finding)
    return [
        cell_of(Key(name, load), [a for a, _ in found], [b for _, b in found], ["ok"], [])
        for name, found in seen.items()
    ]
