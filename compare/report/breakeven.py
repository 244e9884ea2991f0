"""From how much work a message on the model matters no more: tables, and a chart for the page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from rich import box
from rich.console import Console
from rich.table import Table

from compare.report.figures import Figure, Trace, identify
from compare.report.words import escape, half
from compare.results.naming import time_of, title
from compare.results.records import BreakEven, Load, Metric, Share

WORDS: dict[Metric, str] = {
    "ops_per_s": "operations a second",
    "cpu_us_per_op": "server CPU for an operation",
}
Charts = dict[tuple[Load, Metric], list[BreakEven]]


def by_chart(break_evens: Iterable[BreakEven]) -> Charts:
    """What belongs into one table."""
    charts: Charts = {}
    for each in break_evens:
        charts.setdefault((each.load, each.metric), []).append(each)
    return charts


def pair(each: BreakEven) -> str:
    return f"{each.model} / {each.to}"


def answer(each: BreakEven) -> str:
    """`62us (41us to 110us)`: from where on both are alike."""
    if each.from_us is None:
        words = f"beyond {time_of(each.shares[-1].work_us)}"
    else:
        words = _time(each.from_us)
    if each.from_us_ci95 is None:
        return words
    low, high = each.from_us_ci95
    if low is None:
        return words
    return f"{words} ({_time(low)} to {'?' if high is None else _time(high)})"


def _time(us: float) -> str:
    return time_of(float(f"{us:.2g}"))


def _ratio(share: Share) -> str:
    if share.ratio_ci95 is None:
        return f"{share.ratio:.2f}"
    return f"{share.ratio:.2f} {half(share.ratio_ci95)}"


def rows_of(chart: list[BreakEven]) -> list[list[str]]:
    """The first is the head."""
    works = sorted({share.work_us for each in chart for share in each.shares})
    head = ["ratio", *map(time_of, works), f"within {100 * chart[0].margin:.3g}% from"]
    rows = []
    for each in chart:
        known = {share.work_us: _ratio(share) for share in each.shares}
        rows.append([pair(each), *(known.get(work, "-") for work in works), answer(each)])
    return [head, *rows]


def show_break_evens(break_evens: Iterable[BreakEven], console: Console) -> None:
    for (load, metric), chart in by_chart(break_evens).items():
        console.print()
        console.print(
            f"[bold]break-even[/]: {WORDS[metric]}, by work for a message   [dim]{title(load)}[/]",
            soft_wrap=True,
        )
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        head, *rows = rows_of(chart)
        for name in head:
            justify = "left" if name == head[0] else "right"
            table.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
        for row in rows:
            table.add_row(*map(escape, row))
        console.print(table)


def break_even_charts(break_evens: Iterable[BreakEven]) -> Iterator[Figure]:
    """The ratio of two models against the work for a message, and where it is all the same."""
    for (load, metric), chart in by_chart(break_evens).items():
        traces: list[Trace] = []
        for each in chart:
            trace: Trace = {
                "model": each.model,
                "name": pair(each),
                "mode": "lines+markers",
                "x": [share.work_us for share in each.shares],
                "y": [share.ratio for share in each.shares],
            }
            ends = [share.ratio_ci95 for share in each.shares]
            known = [end for end in ends if end]
            if len(known) == len(ends):
                both = list(zip(trace["y"], known, strict=True))
                trace["error_y"] = {
                    "array": [high - ratio for ratio, (_, high) in both],
                    "arrayminus": [ratio - low for ratio, (low, _) in both],
                }
            traces.append(trace)
        works = [share.work_us for each in chart for share in each.shares]
        margin = chart[0].margin
        traces += [
            {
                "model": "",
                "name": f"within {100 * margin:.3g} %",
                "mode": "lines",
                "raw": True,
                "showlegend": False,
                "x": [min(works), max(works)],
                "y": [bound, bound],
            }
            for bound in (1 / (1 + margin), 1 + margin)
        ]
        yield Figure(
            identify(f"break-even-{metric.replace('_', '-')}", load),
            f"Break-even: {WORDS[metric]}",
            f"{title(load)}. How many times the other's it is; between the dotted lines it is all "
            "the same which of the two serves.",
            traces,
            {
                "xaxis": {"title": {"text": "µs of CPU for a message"}},
                "yaxis": {"title": {"text": f"ratio of {WORDS[metric]}"}},
            },
            rows_of(chart),
        )
