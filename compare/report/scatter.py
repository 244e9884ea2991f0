"""Speed against cost, and where the names of points have room."""

from __future__ import annotations

import math
from collections.abc import Sequence

from compare.report.figures import LOG, Figure, identify
from compare.results.records import Cell, Load

Box = tuple[float, float, float, float]  # left, low, right, high, in parts of the picture
POINT = 0.01
LETTER_WIDE, LETTER_HIGH = 0.011, 0.05
SIDES = {
    "top center": (0, 1),
    "middle right": (1, 0),
    "middle left": (-1, 0),
    "bottom center": (0, -1),
}


def speed_against_cost(load: Load, cells: Sequence[Cell]) -> Figure | None:
    """A scatter: to the upper left is better."""
    shown = [cell for cell in cells if cell.ops_per_s and cell.server.cpu_us_per_op]
    if len(shown) < 2:
        return None
    return Figure(
        identify("scatter", load),
        "Speed against cost",
        "The upper left is best: many operations, each for little CPU.",
        [
            {
                "model": cell.model,
                "name": cell.model,
                "x": [cell.server.cpu_us_per_op],
                "y": [cell.ops_per_s],
                "mode": "markers+text",
                "text": [cell.model],
                "textposition": where,
                "showlegend": False,
            }
            for cell, where in zip(shown, _label_places(shown), strict=True)
        ],
        {
            "xaxis": {"title": {"text": "server CPU, µs an operation"}} | LOG,
            "yaxis": {"title": {"text": "operations a second"}, "rangemode": "tozero"},
        },
        [
            ["model", "CPU, µs an operation", "operations a second"],
            *([c.model, f"{c.server.cpu_us_per_op:.3g}", f"{c.ops_per_s:,.0f}"] for c in shown),
        ],
    )


def _label_places(shown: Sequence[Cell]) -> list[str]:
    """On which side of each point its name has most room, in parts of the picture."""
    costs = [math.log(cell.server.cpu_us_per_op or 1.0) for cell in shown]
    rates = [cell.ops_per_s or 0.0 for cell in shown]
    wide = max(costs) - min(costs) or 1.0
    points = [
        ((cost - min(costs)) / wide, rate / max(rates))
        for cost, rate in zip(costs, rates, strict=True)
    ]
    boxes: list[tuple[float, float, float, float]] = [
        (x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points
    ]
    places = []
    for (x, y), cell in zip(points, shown, strict=True):
        half = LETTER_WIDE * len(cell.model) / 2

        def box(side: str, x: float = x, y: float = y, half: float = half) -> Box:
            dx, dy = SIDES[side]
            left, low = x + dx * (half + 2 * POINT), y + dy * (LETTER_HIGH / 2 + 2 * POINT)
            return left - half, low - LETTER_HIGH / 2, left + half, low + LETTER_HIGH / 2

        best = min(SIDES, key=lambda side: sum(_overlap(box(side), other) for other in boxes))
        boxes.append(box(best))
        places.append(best)
    return places


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return max(0.0, wide) * max(0.0, high)
