"""A run in few columns and lines, for who has one question to it."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from compare.report.terminal import cost_text, served_text
from compare.report.words import count, escape, milliseconds
from compare.results.naming import noun, schedule
from compare.results.ranking import by_load
from compare.results.records import Cell, Run

AMISS = ("unsupported", "failed", "errors", "gave-way", "rate-unmet")


def show(run: Run, console: Console) -> None:
    """A table for each load; and of a cell whose figures are none of a server that does it all, why
    that is.
    """
    for load, cells in by_load(run.cells).items():
        beside = f" beside {load.idle:,} idle" if load.idle else ""
        due = f", {schedule(load)}" if load.loop == "open" else ""
        what = f"{load.workload}, {load.connections} {noun(load)}{beside}{due}"
        console.print(f"[bold]{escape(what)}[/]", soft_wrap=True)
        console.print(_table(cells))
        for cell in cells:
            if cell.verdict in AMISS:
                console.print(f"{escape(cell.model)}: {escape('; '.join(cell.reasons))}")


def _table(cells: list[Cell]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=False)
    table.add_column("model", overflow="fold")
    left_out = any(cell.counts.served < cell.counts.attempted for cell in cells)
    for name in (*["served"] * left_out, "ops/s", "CPU/op", "p99"):
        table.add_column(name, justify="right", no_wrap=True)
    for cell in sorted(cells, key=lambda cell: cell.server.cpu_us_per_op or 0):
        served = [served_text(cell)] if left_out else []
        rate = "-" if cell.ops_per_s is None else count(cell.ops_per_s)
        p99 = milliseconds(cell.latency_us.p99)
        table.add_row(escape(cell.model), *served, rate, cost_text(cell), p99)
    return table
