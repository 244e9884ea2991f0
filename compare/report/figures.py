"""Runs as plotly figures: plain data for its script, each with the same as a table.

Every model has one colour, dash and marker on the whole page, so that no figure is read by colour
alone. Colours are set by the page's script, which knows the theme.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from compare.contract.histogram import merge
from compare.results.naming import slug
from compare.results.records import Cell, Load

Trace = dict[str, Any]
LOG = {"type": "log", "tickformat": ",~r"}  # else ticks say 2 and 5, and not of what
TICKS_PER_HALF = 8  # of a percentile curve: so many points each time the rest halves
LEAST_BEYOND = 10  # samples beyond the last point of a curve
STEPS = [float(f"{step}e{power}") for power in range(-4, 6) for step in (1, 2, 5)]
NINES = (0.0, 50.0, 90.0, 99.0, 99.9, 99.99, 99.999, 99.9999)
STATES = ("served", "starved", "refused", "reset", "timed_out")


class Figure(msgspec.Struct, frozen=True):
    """What plotly draws, what it means in a sentence, and the same figures in rows.

    traces: `model` in each says whose style it has. rows: the first is the head.
    """

    id: str
    title: str
    caption: str
    traces: list[Trace]
    layout: dict[str, Any]
    rows: list[list[str]]


def percentiles(load: Load, cells: Sequence[Cell]) -> Figure | None:
    """Latency against percentile, on HdrHistogram's scale: each nine takes the same room."""
    traces: list[Trace] = []
    rows = [["model", *(f"p{nine:g}" for nine in NINES[1:5]), "max"]]
    for cell in cells:
        if cell.latency_hdr is None:
            continue
        xs, ys, last = [], [], 0.0
        histogram = merge([cell.latency_hdr])
        total = histogram.get_total_count()
        if not total:
            continue
        for each in histogram.get_percentile_iterator(TICKS_PER_HALF):
            percentile = float(each.percentile_level_iterated_to)
            if percentile <= last or total * (100 - percentile) / 100 < LEAST_BEYOND:
                continue
            last = percentile
            xs.append(round(100 / (100 - percentile), 4))
            ys.append(round(each.value_iterated_to / 1e6, 5))
        name = cell.model
        traces.append({"model": name, "name": name, "x": xs, "y": ys, "mode": "lines"})
        if cell.pace is not None:
            service = cell.pace.service_us
            pairs = [(2, service.p50), (10, service.p90), (100, service.p99), (1000, service.p99_9)]
            known = [(x, y / 1000) for x, y in pairs if y is not None]
            traces.append(
                {
                    "model": name,
                    "name": f"{name}, from sending",
                    "x": [x for x, _ in known],
                    "y": [y for _, y in known],
                    "mode": "markers+lines",
                    "raw": True,
                }
            )
        us = cell.latency_us
        values = (us.p50, us.p90, us.p99, us.p99_9, us.max)
        rows.append(
            [name, *("-" if value is None else f"{value / 1000:.3f} ms" for value in values)]
        )
    if not traces:
        return None
    raw = (
        " Dotted: counted from sending, which hides what waiting cost."
        if load.loop == "open"
        else ""
    )
    return Figure(
        identify("latency", load),
        "Latency by percentile",
        f"Further right is rarer: at 99 % one operation in a hundred takes longer.{raw}",
        traces,
        {
            "xaxis": {
                "type": "log",
                "title": {"text": "percentile"},
                "tickvals": [100 / (100 - nine) for nine in NINES],
                "ticktext": [f"{nine:g} %" for nine in NINES],
            },
            "yaxis": {"title": {"text": "latency, ms"}, "tickvals": STEPS} | LOG,
            "hovermode": "x unified",
        },
        rows,
    )


def speed(load: Load, cells: Sequence[Cell]) -> Figure | None:
    """Operations a second, with the interval of their mean."""
    shown = [cell for cell in cells if cell.ops_per_s]
    return _bars(
        identify("speed", load),
        "Speed",
        "Operations a second; the line is the interval of the mean over rounds.",
        "operations a second",
        [(cell, cell.ops_per_s or 0.0, cell.ops_per_s_ci95) for cell in shown],
    )


def cost(load: Load, cells: Sequence[Cell]) -> Figure | None:
    """Server CPU per operation, with the interval of its mean."""
    shown = [
        (cell, each_us, cell.cpu_us_per_op_ci95)
        for cell in cells
        if (each_us := cell.server.cpu_us_per_op) is not None
    ]
    return _bars(
        identify("cost", load),
        "Cost",
        "CPU time of the server for one operation, all its threads: what you pay where speed is "
        "not the limit.",
        "server CPU, µs an operation",
        shown,
    )


def _bars(
    id_: str,
    title: str,
    caption: str,
    unit: str,
    shown: Sequence[tuple[Cell, float, tuple[float, float] | None]],
) -> Figure | None:
    if not shown:
        return None
    traces = []
    rows = [["model", unit, "interval"]]
    for cell, value, interval in reversed(shown):
        bar: Trace = {
            "type": "bar",
            "orientation": "h",
            "model": cell.model,
            "name": cell.model,
            "y": [cell.model],
            "x": [value],
            "showlegend": False,
        }
        if interval:
            bar["error_x"] = {"array": [interval[1] - value], "arrayminus": [value - interval[0]]}
        traces.append(bar)
    for cell, value, interval in shown:
        words = f"{interval[0]:,.6g} to {interval[1]:,.6g}" if interval else "too few rounds"
        rows.append([cell.model, f"{value:,.6g}", words])
    layout = {"xaxis": {"title": {"text": unit}, "rangemode": "tozero"}, "lines": len(shown)}
    return Figure(id_, title, caption, traces, layout, rows)


def connections(load: Load, cells: Sequence[Cell]) -> Figure | None:
    """What became of the connections, as stacked bars."""
    shown = [cell for cell in cells if cell.counts.attempted]
    if not shown:
        return None
    names = [cell.model for cell in reversed(shown)]
    traces: list[Trace] = []
    for state in STATES:
        shares = [_share(cell, state) for cell in reversed(shown)]
        if any(shares) or state == "served":
            traces.append(
                {
                    "type": "bar",
                    "orientation": "h",
                    "state": state,
                    "name": state.replace("_", " "),
                    "y": names,
                    "x": shares,
                }
            )
    return Figure(
        identify("connections", load),
        "What became of the connections",
        "Served means at least one right answer. The kernel completes handshakes by itself, so "
        "that being connected says little.",
        traces,
        {
            "barmode": "stack",
            "xaxis": {"title": {"text": "% of those attempted"}, "range": [0, 100]},
            "lines": len(shown),
        },
        [
            ["model", "attempted", *(state.replace("_", " ") for state in STATES)],
            *(
                [
                    cell.model,
                    f"{cell.counts.attempted:,}",
                    *(f"{getattr(cell.counts, state):,}" for state in STATES),
                ]
                for cell in shown
            ),
        ],
    )


def _share(cell: Cell, state: str) -> float:
    count: int = getattr(cell.counts, state)
    return round(100 * count / cell.counts.attempted, 3)


def identify(kind: str, load: Load) -> str:
    return f"{kind}-{slug(load)}"
