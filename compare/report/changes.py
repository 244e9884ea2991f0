"""What `compare diff` found, as a table for a terminal, and as Markdown for a pull request."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from compare.report.words import escape, for_markdown, markdown_table, time_text
from compare.results.diff import METRICS, Change, Diff, Metric

_COLOURS = {
    "worse": "bold red",
    "better": "green",
    "same": "dim",
    "not worse": "dim",
    "unclear": "yellow",
}
FEW = 5  # cells, that are named where many are not measured in both
_HEADS = ("cell", "metric", "base", "new", "change", "answer")
_TEXTS: dict[Metric, Callable[[float], str]] = {
    "ops_per_s": lambda value: f"{value:,.{0 if value >= 1000 else 2}f}/s",
    "p99": time_text,
    "cpu": time_text,
}


def show_changes(diff: Diff, console: Console) -> None:
    """Print what changed, and the answer last."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for head in _HEADS:
        table.add_column(head, justify="right" if head in ("base", "new", "change") else "left")
    for each in diff.changes:
        table.add_row(*(escape(word) for word in _row(each)), style=_COLOURS[each.answer])
    if diff.changes:
        console.print(table)
    for line in _notes(diff):
        console.print(escape(line), soft_wrap=True)
    head, items, _ = _said(diff)
    alone = sentence(diff)
    lines = [alone] if len(items) < 2 else [f"{head}:", *(f"    {each}" for each in items)]
    for line in lines:
        console.print(f"[{_COLOURS[diff.answer]}]{escape(line)}[/]", soft_wrap=True)


def markdown(diff: Diff) -> str:
    """The same as GitHub-flavoured Markdown."""
    lines = [f"**{for_markdown(sentence(diff))}**", ""]
    if diff.changes:
        rows = map(_row, diff.changes)
        lines += markdown_table(_HEADS, rows, left="cell metric answer")
    notes = [f"- {for_markdown(line)}" for line in _notes(diff)]
    return "\n".join([*lines, *([""] if notes else []), *notes]) + "\n"


def sentence(diff: Diff) -> str:
    """The answer in words."""
    head, items, between = _said(diff)
    return f"{head}: {between.join(items)}" if items else head


def _said(diff: Diff) -> tuple[str, list[str], str]:
    """The answer, of what it is so, and what is put between these in one line."""
    worse = [f"{each.cell} ({each.metric})" for each in diff.changes if each.answer == "worse"]
    if diff.answer == "worse":
        return "regressed", [*diff.broken, *worse], ", "
    if diff.answer == "unclear":
        return "inconclusive", diff.advice or ["there is nothing to compare"], "; "
    better = [f"{each.cell} ({each.metric})" for each in diff.changes if each.answer == "better"]
    also = "; better" if better else ""
    return f"nothing is worse by {100 * diff.threshold:.3g}% or more{also}", better, ", "


def _row(change: Change) -> tuple[str, ...]:
    text = _TEXTS[change.metric]
    moved = f"{change.ratio - 1:+.1%}"
    if change.ratio_ci95:
        low, high = change.ratio_ci95
        moved += f" ({low - 1:+.1%} to {high - 1:+.1%})"
    return (
        change.cell,
        change.metric,
        text(change.base),
        text(change.new),
        moved,
        change.answer,
    )


def _notes(diff: Diff) -> Iterator[str]:
    for words in diff.forced:
        yield f"compared all the same, though not made alike: {words}"
    for cell, words in diff.broken.items():
        yield f"{cell}: {words}"
    if len(diff.missing) <= FEW:
        yield from (f"not measured in both: {cell}" for cell in diff.missing)
    else:
        of = f"{', '.join(diff.missing[:FEW])} and {len(diff.missing) - FEW} more"
        yield f"not measured in both: {of}"
    for metric, moved in diff.drift.items():
        yield (
            f"{METRICS[metric].words} of the {diff.control} moved by {moved - 1:+.1%} in all; the "
            "changes are beside that"
        )
    if diff.answer == "worse":
        yield from diff.advice
