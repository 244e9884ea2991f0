"""The matrix explained: what each cell is, and why one cannot run."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from compare.matrix import DEFAULT_MODELS, MODELS, WORKLOADS


def show_catalogue(console: Console) -> None:
    workloads = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("workload", "one operation is", "--connections are"):
        workloads.add_column(name, overflow="fold")
    for workload in WORKLOADS.values():
        workloads.add_row(workload.name, workload.operation, workload.connections)
    console.print(workloads)
    console.print()
    cells = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("model", "workload", "what it is there"):
        cells.add_column(name, overflow="fold")
    for model in MODELS.values():
        mark = "" if model.name in DEFAULT_MODELS else " (only when named)"
        cells.add_row(f"[bold]{model.name}[/]", "all" + mark, escape(model.summary))
        for name, workload in WORKLOADS.items():
            if reason := model.unsupported(workload):
                cells.add_row("", name, f"[yellow]cannot run:[/] {escape(reason)}")
            elif meaning := model.meaning.get(name):
                cells.add_row("", name, escape(meaning))
        cells.add_section()
    console.print(cells)
