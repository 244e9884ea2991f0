"""What changes with one parameter of a load, all others alike: a curve for each model."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from compare.results.records import Cell, Load

PARAMETERS: dict[str, tuple[str, float | None]] = {
    "connections": ("connections", 0),
    "idle": ("idle connections", 0),
    "size": ("bytes of a message", 0),
    "work_us": ("µs of CPU for a message", 0),
    "wait_us": ("µs until a message is answered", 0),
    "cores": ("cores of the server", 0),
    "rate": ("operations due in a second", None),
    "share": ("share of what each does in a closed loop", None),
}


class Sweep(NamedTuple):
    """parameter: by its name in `Load`. fixed: the rest, the parameter as if it were not there.

    points: by model, each value that was measured, ascending, and its cell.
    """

    parameter: str
    fixed: Load
    points: dict[str, list[tuple[float, Cell]]]

    @property
    def words(self) -> str:
        return PARAMETERS[self.parameter][0]

    @property
    def values(self) -> list[float]:
        return sorted({value for points in self.points.values() for value, _ in points})


def sweeps(cells: Iterable[Cell]) -> list[Sweep]:
    """All parameters that have several values, each for all values of the others."""
    cells = list(cells)
    found = []
    for parameter, (_, absent) in PARAMETERS.items():
        groups: dict[Load, list[Cell]] = {}
        for cell in cells:
            if getattr(cell, parameter) is not None:
                fixed = msgspec.structs.replace(cell.load, **{parameter: absent})
                groups.setdefault(fixed, []).append(cell)
        for fixed, group in groups.items():
            if len({getattr(cell, parameter) for cell in group}) > 1:
                points: dict[str, list[tuple[float, Cell]]] = {}
                for cell in sorted(group, key=lambda cell: getattr(cell, parameter)):
                    points.setdefault(cell.model, []).append((getattr(cell, parameter), cell))
                found.append(Sweep(parameter, fixed, points))
    return found


def payload_per_s(cell: Cell) -> float | None:
    """Bytes of messages that were answered in a second; of a chat, that were delivered.

    One way: an echo has had as many the other way. What carries them is not counted.
    """
    return None if cell.ops_per_s is None else cell.ops_per_s * cell.size


def bytes_per_idle(cells: Iterable[Cell]) -> dict[str, float]:
    """Server memory that each idle connection takes, in bytes, by model.

    By least squares over the numbers of them, where there are several.
    """
    points: dict[str, list[tuple[int, float]]] = {}
    for cell in cells:
        if cell.held and cell.held.all_served:
            points.setdefault(cell.model, []).append((cell.idle, cell.held.server_kb * 1024.0))
    return {
        model: statistics.linear_regression(*zip(*known, strict=True)).slope
        if len({idle for idle, _ in known}) > 1
        else sum(memory for _, memory in known) / sum(idle for idle, _ in known)
        for model, known in points.items()
    }
