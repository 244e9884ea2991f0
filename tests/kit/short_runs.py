"""Runs that are asked for little and watched by nobody, and their cells."""

from __future__ import annotations

from typing import Any

from compare.measure.run import Keeper, Watcher, execute
from compare.models.model import Model
from compare.results.records import Cell, Run, Settings

# What was at its limit depends on what else this machine does.
BELIEVED = ("ok", "driver-bound", "both-full", "unbound", "not-pinned")


def asked(*models: Model, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "workloads": ["tcp-long"],
        "connections": [4],
        "sizes": [100],
        "rounds": 1,
        "duration_s": 0.2,  # some messages, also while others have the cores
        "warmup_s": 0.0,
        "seed": 1,
        "server_cores": [],
        "driver_core": None,
    }
    return Settings(models=[each.name for each in models], **values | changes)


def ignore(_: object) -> None:
    """Neither watch nor keep."""


def run_of(*models: Model, watch: Watcher = ignore, keep: Keeper = ignore, **changes: Any) -> Run:
    return execute(asked(*models, **changes), models, watch, keep)


def cells_of(*models: Model, **changes: Any) -> dict[str, Cell]:
    """By the model's name; of one load."""
    return {cell.model: cell for cell in run_of(*models, **changes).cells}
