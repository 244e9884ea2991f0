"""Who is best under a load, and by how much the others are behind."""

from __future__ import annotations

from collections.abc import Sequence

from compare.results.records import Cell, Comparison, Loop, Standing
from compare.results.statistics import chance, holm, ratio

ENOUGH = 4  # rounds on each side, before a test can tell anything apart
# A rank test on rounds needs no quiet machine, only rounds.
RANKED = ("ok", "driver-bound", "noisy")


def rank_all(cells: Sequence[Cell]) -> list[Comparison]:
    """The cells of each load by themselves."""
    loads: dict[tuple[str, int, Loop], list[Cell]] = {}
    for cell in cells:
        loads.setdefault((cell.workload, cell.connections, cell.loop), []).append(cell)
    return [each for load in loads.values() for each in rank(load)]


def rank(cells: Sequence[Cell]) -> list[Comparison]:
    """Every cell of one load that can be ranked, the best first.

    Where all were asked for the same rate there is no best, and with one alone neither.
    """
    able = sorted(
        (cell for cell in cells if cell.verdict in RANKED and cell.ops_per_s),
        key=lambda cell: -(cell.ops_per_s or 0),
    )
    asked = {cell.pace.rate for cell in able if cell.pace}
    if len(able) < 2 or len(asked) == 1:
        return []
    best, *others = able
    theirs = _rates(best)
    chances = [chance(_rates(cell), theirs) for cell in others]
    found = [_comparison(best, best, 1.0, "best")]
    for cell, each, differs in zip(others, chances, holm(chances), strict=True):
        interval = ratio(_rates(cell), theirs).interval
        tied = interval is not None and interval[0] <= 1 <= interval[1]
        found.append(
            _comparison(cell, best, each, "behind" if differs else "tied" if tied else "close")
        )
    return found


def _comparison(cell: Cell, best: Cell, by_chance: float, standing: Standing) -> Comparison:
    estimate = ratio(_rates(cell), _rates(best))
    return Comparison(
        model=cell.model,
        workload=cell.workload,
        connections=cell.connections,
        loop=cell.loop,
        best=best.model,
        ratio=estimate.value,
        ratio_ci95=None if cell is best else estimate.interval,
        chance=by_chance,
        standing=standing,
    )


def _rates(cell: Cell) -> list[float]:
    return [each.ops_per_s for each in cell.rounds]
