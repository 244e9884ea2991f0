"""What a self-test found, as a table."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from compare.report.words import escape
from compare.selftest.finding import Finding

_COLOURS = {"right": "green", "wrong": "bold red", "differs": "yellow", "noisy": "yellow"}


def show_findings(findings: Sequence[Finding], console: Console) -> None:
    """Planted against recovered, and how many of which kind."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name in ("planted fault", "planted", "recovered", ""):
        left = name in ("planted fault", "")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for each in findings:
        colour = _COLOURS[each.state]
        table.add_row(
            *map(escape, (each.name, each.planted, each.recovered)),
            f"[{colour}]{each.state}[/]",
        )
    console.print(table)
    states = [each.state for each in findings]
    counts = ", ".join(f"{sum(each == state for each in states)} {state}" for state in _COLOURS)
    console.print(f"{counts}", soft_wrap=True)
    if "noisy" in states:
        console.print(
            "noisy: something else used the CPU meanwhile; stop other programs, then run again",
            soft_wrap=True,
        )
