"""What slow messages do to all the others: the latencies of each model with and without them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table

from compare.report.figures import LOG, Figure, Trace, identify
from compare.report.words import escape, milliseconds
from compare.results.naming import time_of, title
from compare.results.records import Cell, Load

HEAD = ("model", "slow ones", "p50", "p90", "p99", "p99.9")


def _beside(cells: Iterable[Cell]) -> Iterator[tuple[Load, list[Cell]]]:
    """Loads that differ in their slow messages alone, where there are several."""
    groups: dict[Load, list[Cell]] = {}
    for cell in cells:
        fixed = msgspec.structs.replace(cell.load, slow_share=0.0, slow_us=0.0)
        groups.setdefault(fixed, []).append(cell)
    for fixed, group in groups.items():
        if len({cell.load for cell in group}) > 1:
            order = list(dict.fromkeys(cell.model for cell in group))
            yield fixed, sorted(group, key=lambda cell: (order.index(cell.model), _slow(cell)))


def _slow(cell: Cell) -> tuple[float, float]:
    return cell.slow_us, cell.slow_share


def _words(cell: Cell) -> str:
    if not cell.slow_share:
        return "none"
    return f"{100 * cell.slow_share:.10g}% by {time_of(cell.slow_us)}"


def _rows(cells: Sequence[Cell]) -> list[list[str]]:
    rows = []
    for cell in cells:
        us = cell.latency_us
        values = (us.p50, us.p90, us.p99, us.p99_9)
        rows.append([cell.model, _words(cell), *map(milliseconds, values)])
    return rows


def show_slow(cells: Sequence[Cell], console: Console) -> None:
    for fixed, group in _beside(cells):
        console.print()
        console.print(
            f"[bold]latency beside slow messages[/], these among them   [dim]{title(fixed)}[/]",
            soft_wrap=True,
        )
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for place, name in enumerate(HEAD):
            table.add_column(name, justify="left" if place < 2 else "right", no_wrap=True)
        for row in _rows(group):
            table.add_row(*map(escape, row))
        console.print(table)


def slow_charts(cells: Sequence[Cell]) -> Iterator[Figure]:
    """The p99 of each model, with and without them."""
    for fixed, group in _beside(cells):
        traces: list[Trace] = []
        for model in dict.fromkeys(cell.model for cell in group):
            known = [
                (_words(cell), cell.latency_us.p99 / 1000)
                for cell in group
                if cell.model == model and cell.latency_us.p99 is not None
            ]
            if known:
                traces.append(
                    {
                        "model": model,
                        "name": model,
                        "mode": "lines+markers",
                        "x": [words for words, _ in known],
                        "y": [p99 for _, p99 in known],
                    }
                )
        if traces:
            yield Figure(
                identify("slow", fixed),
                "p99 latency beside slow messages",
                f"{title(fixed)}. The slow ones are among them; where the p50 moves, too, as the "
                "table has it, everybody waits for them.",
                traces,
                {
                    "xaxis": {"title": {"text": "slow messages"}, "type": "category"},
                    "yaxis": {"title": {"text": "p99 latency, ms"}} | LOG,
                },
                [list(HEAD), *_rows(group)],
            )
