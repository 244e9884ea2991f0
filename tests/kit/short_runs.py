"""Runs that are asked for little and watched by nobody, and their cells."""

from __future__ import annotations

from typing import Any

from compare.measure.run import execute
from compare.results.records import Cell, Settings

# What was at its limit depends on what else this machine does.
BELIEVED = ("ok", "driver-bound", "both-full", "unbound", "not-pinned")


def asked(*models: str, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "workloads": ["tcp-long"],
        "connections": [4],
        "rounds": 1,
        "duration_s": 0.2,  # some messages, also while others have the cores
        "warmup_s": 0.0,
        "sizes": {"tcp-long": 100, "tcp-short": 100, "udp-echo": 100, "chat": 100},
        "seed": 1,
        "server_cores": [],
        "driver_core": None,
    }
    return Settings(models=list(models), **values | changes)


def ignore(_: object) -> None:
    """Neither watch nor keep."""


def cells_of(settings: Settings) -> dict[str, Cell]:
    return {cell.model: cell for cell in execute(settings, ignore, ignore).cells}
