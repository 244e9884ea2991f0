"""What more cores gain, and what keeps them from gaining more: a table, and curves for the page."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from compare.report.figures import Figure, Trace, identify
from compare.report.words import escape, spread
from compare.results.naming import title
from compare.results.records import Constant, Load, Rung, Scalability
from compare.results.scalability import Law

STEPS = 8  # of a curve between two numbers of cores


def by_load(found: Sequence[Scalability]) -> dict[Load, list[Scalability]]:
    """All models under a load together."""
    loads: dict[Load, list[Scalability]] = {}
    for each in found:
        loads.setdefault(each.load, []).append(each)
    return loads


# For a terminal.


def show_scaling(found: Sequence[Scalability], console: Console) -> None:
    """A table for each load; what the laws are not by the servers alone stands below."""
    for load, models in by_load(found).items():
        console.print()
        console.print(
            f"[bold]what more cores gain[/]   [dim]{title(load)}; efficiency: operations a second "
            "of each core, of those on the fewest[/]",
            soft_wrap=True,
        )
        console.print(_table(models))
        notes: dict[str, list[str]] = {}
        for each in models:
            for note in each.notes:
                notes.setdefault(note, []).append(each.model)
        for note, whose in notes.items():
            who = "" if len(whose) == len(models) else f"{escape(', '.join(whose))}: "
            console.print(f"{who}{note}", soft_wrap=True)


def _table(models: Sequence[Scalability]) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    rungs = sorted({rung.cores for each in models for rung in each.rungs})
    names = ("contention", "coherency", "most at")
    for name in ("model", *(f"on {many}" for many in rungs), *names):
        table.add_column(name, justify="left" if name == "model" else "right", no_wrap=True)
    for each in models:
        known = {rung.cores: rung for rung in each.rungs}
        table.add_row(
            escape(each.model),
            *(_efficiency(known.get(many)) for many in rungs),
            constant(each.contention),
            constant(each.coherency),
            peak(each.peak_cores),
        )
    return table


def _efficiency(rung: Rung | None) -> str:
    if rung is None:
        return "-"
    if not rung.efficiency_ci95:
        return f"{rung.efficiency:.0%}"
    low, high = rung.efficiency_ci95
    return f"{rung.efficiency:.0%} {spread((high - low) / 2)}"


def constant(known: Constant | None) -> str:
    """With its interval, if there is one."""
    if known is None:
        return "-"
    if known.ci95 is None:
        return f"{known.value:.3g}"
    low, high = known.ci95
    return f"{known.value:.3g} ({low:.2g} to {high:.2g})"


def peak(cores: float | None) -> str:
    return "-" if cores is None else f"{cores:.0f} cores"


# For the page.


def curves(found: Sequence[Scalability]) -> Iterator[Figure]:
    """How many times what the law says of one core, as measured and as the law has it."""
    for load, models in by_load(found).items():
        traces: list[Trace] = []
        rows = [["model", "cores", "times one core", "efficiency", "contention", "coherency"]]
        for each in models:
            law = law_of(each)
            traces.append(
                {
                    "model": each.model,
                    "name": each.model,
                    "mode": "markers",
                    "x": [rung.cores for rung in each.rungs],
                    "y": [rung.ops_per_s / law.one for rung in each.rungs],
                }
            )
            xs = _steps(each.rungs[0].cores, each.rungs[-1].cores)
            traces.append(
                {
                    "model": each.model,
                    "name": f"{each.model}, the law",
                    "mode": "lines",
                    "x": xs,
                    "y": [law.at(x) / law.one for x in xs],
                    "raw": True,
                }
            )
            constants = [constant(each.contention), constant(each.coherency)]
            rows += [
                [
                    each.model,
                    str(rung.cores),
                    f"{rung.ops_per_s / law.one:.3g}",
                    _efficiency(rung),
                    *constants,
                ]
                for rung in each.rungs
            ]
        notes = dict.fromkeys(note for each in models for note in each.notes)
        yield Figure(
            identify("scaling", load),
            "What more cores gain",
            f"{title(load)}. How many times the operations of one core; dotted is the Universal "
            "Scalability Law, by whose constants a line bends down."
            + "".join(f" {note[0].upper()}{note[1:]}." for note in notes),
            traces,
            {
                "xaxis": {"title": {"text": "cores of the server"}, "rangemode": "tozero"},
                "yaxis": {"title": {"text": "times one core"}, "rangemode": "tozero"},
            },
            rows,
        )


def law_of(each: Scalability) -> Law:
    coherency = each.coherency.value if each.coherency else 0.0
    return Law(each.one_ops_per_s, each.contention.value, coherency)


def _steps(low: int, high: int) -> list[float]:
    many = (high - low) * STEPS if high - low < STEPS else STEPS * STEPS
    return [low + (high - low) * step / many for step in range(many + 1)]
