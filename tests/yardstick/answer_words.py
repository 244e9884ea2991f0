"""Figures of a run as docs/questions.md has them; one that it does not hold raises LookupError."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from compare.report.terminal import cost_text, rate_text
from compare.report.words import markdown_table, milliseconds, spread, three
from compare.results.ranking import paired
from compare.results.records import Cell, Run
from compare.results.statistics import mean_of, ratio_of

SPEED = "operations/s | server CPU for each | p99 | verdict"


def plain(model: str) -> str:
    """Without the Python that it ran on."""
    return model.partition("@")[0]


def labels_of(run: Run) -> list[str]:
    """The Pythons that it ran on, in their order."""
    return list(dict.fromkeys(cell.model.partition("@")[2] for cell in run.cells))


def cell_of(run: Run, model: str, **load: object) -> Cell:
    for cell in run.cells:
        same = all(getattr(cell, name) == value for name, value in load.items())
        if plain(cell.model) == model and same and cell.verdict not in ("failed", "unsupported"):
            return cell
    words = " ".join(f"{name}={value}" for name, value in load.items())
    raise LookupError(f"there is no figure of {model} {words}".rstrip())


def number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else three(value)


def with_interval(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return number(value)
    return f"{number(value)} [{number(interval[0])}, {number(interval[1])}]"


def times(ours: Cell, theirs: Cell) -> str:
    """How many times the server CPU of theirs an operation on ours takes."""
    logs = paired(ours, theirs, "cpu_us_per_op")
    if not logs:
        raise LookupError(f"{ours.model} and {theirs.model} share no round")
    return with_interval(*ratio_of(logs))


def table(heads: str, rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """heads: with | between. words: how many columns are that, and not figures."""
    names = [each.strip() for each in heads.split("|")]
    head, _, *rest = markdown_table(names, rows, "")
    rule = ["---" if place < words else "--:" for place in range(len(names))]
    return "\n".join([head, f"|{'|'.join(rule)}|", *rest])


def percent(value: float) -> str:
    return "none" if not value else f"{100 * value:.2g} %"


def speed(cell: Cell) -> list[str]:
    """As SPEED has it."""
    p99 = milliseconds(cell.latency_us.p99)
    return [rate_text(cell).strip(), cost_text(cell), p99, cell.verdict]


def latency(cell: Cell, name: str) -> str:
    """A percentile, p50 and so on, and how sure it is over rounds."""
    us = getattr(cell.latency_us, name)
    _, interval = mean_of([getattr(each.latency_us, name) or 0.0 for each in cell.rounds] or [0.0])
    if not us or not interval:
        return milliseconds(us)
    return f"{milliseconds(us)} {spread((interval[1] - interval[0]) / 2 / us)}"
