"""Which requirements a run kept, a line for each cell."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from rich.console import Console

from compare.report.sentences import amount
from compare.report.words import escape, three, time_text
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
    text, unit = _form(each)
    if each.found.interval is None:
        return f": {text(each.found.value)}{unit}, of one round, which has no interval"
    low, high = each.found.interval
    return f": {text(each.found.value)}{unit} ({text(low)} to {text(high)})"


def _form(each: Verdict) -> tuple[Callable[[float], str], str]:
    """In the units in which it was required, and in which the table has it."""
    base, metric = each.requirement.base, each.requirement.metric
    if base:
        return amount, f" x {escape(base)}"
    if metric == "ops":
        return amount, " operations/s"
    if metric == "memory":
        return lambda value: three(value / 2**20), " MB"
    return time_text, ""
