"""Which requirements a run kept, a line for each cell."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from compare.report.sentences import amount
from compare.report.words import escape
from compare.results.naming import short
from compare.results.requirement import Verdict

_COLOURS = {"kept": "green", "broken": "bold red", "unclear": "yellow"}


def show_requirements(found: Sequence[Verdict], console: Console) -> None:
    """Those that were kept, too, since how nearly is worth knowing."""
    console.print()
    for each in found:
        key = each.key
        cell = escape(f"{key.model} {short(key.load)}")
        line = f"[{_COLOURS[each.answer]}]{each.answer:<8}[/]{escape(each.requirement.text)}"
        console.print(f"{line}   {cell}{_words(each)}", soft_wrap=True)


def _words(each: Verdict) -> str:
    if each.found is None:
        return ": there is no figure to hold against it"
    unit = f" x {escape(each.requirement.base)}" if each.requirement.base else _unit(each)
    if each.found.interval is None:
        return f": {amount(each.found.value)}{unit}, of one round, which has no interval"
    low, high = each.found.interval
    return f": {amount(each.found.value)}{unit} ({amount(low)} to {amount(high)})"


def _unit(each: Verdict) -> str:
    return {"ops": " operations/s", "memory": " bytes"}.get(each.requirement.metric, " µs")
