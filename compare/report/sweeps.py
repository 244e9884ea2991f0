"""What changes with a parameter: tables for a terminal, curves for the page."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from rich import box
from rich.console import Console
from rich.table import Table

from compare.report.figures import LOG, Figure, Trace, identify
from compare.report.pressure import buffers_in_words, lost_share, show_losses
from compare.report.words import byte_rate, count, escape, microseconds, milliseconds
from compare.results.naming import title
from compare.results.records import Cell, Idle
from compare.results.sweep import Sweep, bytes_per_idle, payload_per_s, sweeps

DUE = ("rate", "share")  # what an open loop is asked for
LEAST = 100  # idle connections, for what one of them takes to be more than a page


class Measure(NamedTuple):
    """A figure of a cell, in words and as text."""

    words: str
    of: Callable[[Cell], float | None]
    text: Callable[[float | None], str]


CPU = Measure("server CPU for an operation", lambda cell: cell.server.cpu_us_per_op, microseconds)
P99 = Measure("p99 latency", lambda cell: cell.latency_us.p99, milliseconds)
P50 = Measure("p50 latency", lambda cell: cell.latency_us.p50, milliseconds)
OPS = Measure(
    "operations a second",
    lambda cell: cell.ops_per_s,
    lambda value: "-" if value is None else count(value),
)
PAYLOAD = Measure(
    "one-way payload a second",
    payload_per_s,
    lambda value: "-" if value is None else byte_rate(value),
)
LOST = Measure(
    "share lost of what was due",
    lost_share,
    lambda value: "-" if value is None else f"{value:.1%}",
)
MEMORY = Measure(
    "server memory for idle connections, KB",
    lambda cell: cell.held.server_kb if cell.held else None,
    lambda value: "-" if value is None else f"{value:,.0f} KB",
)


def _measures(sweep: Sweep) -> tuple[Measure, ...]:
    if sweep.fixed.loop == "open":
        cells = (cell for points in sweep.points.values() for _, cell in points)
        lost = (LOST,) if any(lost_share(cell) is not None for cell in cells) else ()
        return (*lost, P50, P99, CPU)
    return (OPS, PAYLOAD, P99, CPU) if sweep.parameter == "size" else (OPS, P99, CPU)


# For a terminal.


def show_sweeps(cells: Sequence[Cell], console: Console) -> None:
    """A table for each parameter with several values; and what became of idle connections."""
    for sweep in sweeps(cells):
        if len(sweep.points) == 1:
            console.print()
            (model,) = sweep.points
            console.print(
                f"[bold]{escape(model)}[/], by {sweep.words}   [dim]{_beside(sweep)}[/]",
                soft_wrap=True,
            )
            console.print(_table_of_one(sweep, model))
        for measure in _measures(sweep) if len(sweep.points) > 1 else ():
            console.print()
            console.print(
                f"[bold]{measure.words}[/], by {sweep.words}   [dim]{_beside(sweep)}[/]",
                soft_wrap=True,
            )
            console.print(_table(sweep, measure))
        if sweep.parameter in DUE:
            show_losses(sweep, _beside(sweep), console)
    if any(cell.held for cell in cells):
        console.print()
        console.print("[bold]idle connections[/], each served once   [dim]of one round[/]")
        console.print(_held_table(cells))
        for model, memory in bytes_per_idle(cell for cell in cells if cell.idle >= LEAST).items():
            console.print(
                f"{escape(model)}: {memory / 1024:.2f} KB of server memory for each idle one",
                soft_wrap=True,
            )


def _beside(sweep: Sweep) -> str:
    words = title(sweep.fixed)
    return words.replace(", 0 connections", "").replace(", 0 B", "")


def _value(sweep: Sweep, value: float) -> str:
    return f"{value:.4g}" if sweep.parameter == "share" else f"{value:,.10g}"


def _table(sweep: Sweep, measure: Measure) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("model")
    for value in sweep.values:
        table.add_column(_value(sweep, value), justify="right", no_wrap=True)
    for model, points in sweep.points.items():
        known = {value: measure.of(cell) for value, cell in points}
        table.add_row(escape(model), *(measure.text(known.get(value)) for value in sweep.values))
    return table


def _table_of_one(sweep: Sweep, model: str) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    measures = _measures(sweep)
    for name in (sweep.words, *(measure.words for measure in measures)):
        table.add_column(name, justify="right", no_wrap=True)
    for value, cell in sweep.points[model]:
        texts = [measure.text(measure.of(cell)) for measure in measures]
        table.add_row(_value(sweep, value), *texts)
    return table


def _held_table(cells: Iterable[Cell]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    columns: dict[str, Callable[[Idle], str]] = {
        "served": lambda held: f"{held.counts.served:,}",
        "opened in": lambda held: f"{held.took_s:.1f} s",
        "first reply p50": lambda held: milliseconds(held.first_reply_us.p50),
        "p99": lambda held: milliseconds(held.first_reply_us.p99),
        "server": lambda held: f"{held.server_kb / 1024:,.1f} MB",
        "kernel": lambda held: f"{held.kernel_kb / 1024:,.1f} MB",
    }
    for name in ("model", "idle", *columns):
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    for cell in cells:
        if cell.held:
            texts = [of(cell.held) for of in columns.values()]
            table.add_row(escape(cell.model), f"{cell.idle:,}", *texts)
    return table


# For the page.


def curves(cells: Sequence[Cell]) -> Iterator[Figure]:
    """Each measure against each parameter; in an open loop against what was due in a second."""
    for sweep in sweeps(cells):
        more = (MEMORY,) if sweep.parameter == "idle" else ()
        for number, measure in enumerate((*_measures(sweep), *more)):
            if figure := _curve(sweep, measure, number):
                yield figure


_UNITS = {
    P50: (1e3, ", ms"),
    P99: (1e3, ", ms"),
    CPU: (1.0, ", µs"),
    PAYLOAD: (1e6, ", MB"),
    LOST: (0.01, ", %"),
}


def _curve(sweep: Sweep, measure: Measure, number: int) -> Figure | None:
    due = sweep.parameter in DUE
    words = "operations due in a second" if due else sweep.words
    scale, units = _UNITS.get(measure, (1.0, ""))
    unit = measure.words + units
    traces: list[Trace] = []
    rows = [["model", words, unit]]
    for model, points in sweep.points.items():
        known = [
            (cell.pace.offered if due and cell.pace else value, figure / scale)
            for value, cell in points
            if (figure := measure.of(cell)) is not None and (value or due)
        ]
        if len(known) > 1:
            xs, ys = [x for x, _ in known], [y for _, y in known]
            traces.append(
                {"model": model, "name": model, "mode": "lines+markers", "x": xs, "y": ys}
            )
            rows += [[model, f"{x:,.6g}", f"{y:,.3g}"] for x, y in known]
    if not traces:
        return None
    return Figure(
        identify(f"by-{sweep.parameter}-{number}", sweep.fixed),
        f"{measure.words[0].upper()}{measure.words[1:]} by {words}",
        _caption(sweep, measure),
        traces,
        {
            "xaxis": {"title": {"text": words}} | ({} if due else LOG),
            "yaxis": {"title": {"text": unit}} | _axis(measure, due=due),
        },
        rows,
    )


def _axis(measure: Measure, *, due: bool) -> dict[str, str]:
    linear = measure in (OPS, LOST) or (due and measure is CPU)
    return {"rangemode": "tozero"} if linear else LOG


def _caption(sweep: Sweep, measure: Measure) -> str:
    words = f"{_beside(sweep)}."
    if measure is LOST:
        buffers = buffers_in_words([cell for points in sweep.points.values() for _, cell in points])
        return " ".join([words, "Where a line leaves 0 is what the model can take.", *buffers])
    if sweep.parameter == "idle":
        return f"{words} A flat line is what epoll promises."
    if sweep.parameter in DUE:
        return f"{words} Where a line turns up is what the model can take."
    return words
