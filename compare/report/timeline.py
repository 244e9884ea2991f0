"""What happened when: operations slice by slice, and when connections waited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from compare.report.figures import Figure, Trace, identify
from compare.results.records import Cell, Load

MOST_POINTS = 150  # of a line


def over_time(load: Load, cells: Sequence[Cell]) -> Figure | None:
    """Operations a second, slice by slice, of all rounds one after the other."""
    traces = []
    for cell in cells:
        rates = [
            each.operations / each.window_ns * 1e9
            for round_ in cell.rounds
            for each in round_.slices
        ]
        if len(rates) < 2:
            continue
        step = -(-len(rates) // MOST_POINTS)
        groups = [rates[i : i + step] for i in range(0, len(rates), step)]
        share = 100 / len(groups)
        traces.append(
            {
                "model": cell.model,
                "name": cell.model,
                "mode": "lines",
                "x": [round(share * (i + 0.5), 2) for i in range(len(groups))],
                "y": [float(f"{sum(each) / len(each):.4g}") for each in groups],
            }
        )
    if not traces:
        return None
    return Figure(
        identify("time", load),
        "Over time",
        "Operations a second from the first slice to the last. Where all lines dip together the "
        "machine was slower, which ratios do not show; where one drifts by itself, look at that.",
        traces,
        {
            "xaxis": {"title": {"text": "% of what was measured"}},
            "yaxis": {"title": {"text": "operations a second"}, "rangemode": "tozero"},
        },
        [
            ["model", "slowest", "middle", "fastest"],
            *(
                [str(each["name"]), *(f"{value:,.0f}" for value in _spread(each["y"]))]
                for each in traces
            ),
        ],
    )


def _spread(values: Any) -> tuple[float, float, float]:
    ordered = sorted(values)
    return ordered[0], ordered[len(ordered) // 2], ordered[-1]


def timeline(load: Load, cell: Cell, number: int) -> Figure | None:
    """When connections of one model waited for their replies, as bars."""
    if cell.trace is None:
        return None
    lanes = cell.trace.lanes
    width = cell.trace.width_us / 1000
    kinds: dict[str, Trace] = {
        kind: {
            "type": "bar",
            "orientation": "h",
            "lane": kind,
            "name": kind,
            "y": [],
            "base": [],
            "x": [],
        }
        for kind in ("waiting", "waiting, next", "no reply yet")
    }

    def add(kind: str, lane: int, start: float, end: float) -> None:
        start, end = max(0.0, start / 1000), min(width, end / 1000)
        if end > start:
            kinds[kind]["y"].append(f"{lane + 1}")
            kinds[kind]["base"].append(round(start, 4))
            kinds[kind]["x"].append(round(end - start, 4))

    rows = [["connection", "replies", "longest wait, ms", "awaits a reply since, ms"]]
    for lane in lanes:
        for turn, (start, end) in enumerate(lane.spans):
            add(("waiting", "waiting, next")[turn % 2], lane.connection, start, end)
        if lane.waiting_since is not None:
            last = lane.spans[-1][1] if lane.spans else lane.waiting_since
            kind = (
                "no reply yet"
                if not lane.spans
                else ("waiting", "waiting, next")[len(lane.spans) % 2]
            )
            add(kind, lane.connection, max(lane.waiting_since, last), cell.trace.width_us)
        waits = [end - start for start, end in lane.spans]
        since = lane.waiting_since
        rows.append(
            [
                f"{lane.connection + 1}",
                f"{len(lane.spans)}",
                f"{max(waits) / 1000:.3f}" if waits else "-",
                "-" if since is None else f"{(cell.trace.width_us - since) / 1000:.3f}",
            ]
        )
    return Figure(
        identify(f"timeline-{number}", load),
        cell.model,
        f"{sum(len(lane.spans) for lane in lanes)} replies to {len(lanes)} connections in "
        f"{width:.3g} ms.",
        [each for each in kinds.values() if each["x"]],
        {
            "barmode": "overlay",
            "xaxis": {"title": {"text": "ms"}, "range": [0, width]},
            "yaxis": {
                "title": {"text": "connection"},
                "type": "category",
                "categoryorder": "array",
                "categoryarray": [f"{lane.connection + 1}" for lane in reversed(lanes)],
            },
            "lines": len(lanes),
            "showlegend": False,
        },
        rows,
    )
