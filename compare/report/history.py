"""The runs that are kept, as a table."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.table import Table

from compare.report.words import escape
from compare.results.store import Entry


def show_entries(entries: list[Entry], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("run", justify="right")
    for head in ("started", "", "parts", "command"):
        table.add_column(head)
    for each in entries:
        state = "running" if each.running else "interrupted" if each.interrupted else ""
        started = each.started.replace("T", " ").replace("+00:00", " UTC")
        parts = "1 cell" if each.parts == 1 else f"{each.parts} cells"
        table.add_row(str(each.id), started, state, parts, escape(each.command))
    console.print(table)
