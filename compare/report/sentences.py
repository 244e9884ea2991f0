"""The answer in words, made from the figures: who is best, by how much, and what is tied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compare.report.words import milliseconds
from compare.results.ranking import UNRANKED, by_load
from compare.results.records import Cell, Comparison, Load, Run

MOST_NAMED = 8  # in one sentence
STANDINGS = ("best", "tied", "unclear", "behind")


def loads_of(run: Run) -> dict[Load, list[Cell]]:
    """The cells of a run by their loads, the fastest first."""
    return {
        load: sorted(cells, key=lambda cell: -(cell.ops_per_s or 0))
        for load, cells in by_load(run.cells).items()
    }


def answer(cells: Sequence[Cell], comparisons: Sequence[Comparison]) -> list[str]:
    """Sentences on one load, the most important first. Several runs have each their own best."""
    ranked = [each for each in comparisons if each.metric == "ops_per_s"]
    costs = [each for each in comparisons if each.metric == "cpu_us_per_op"]
    tails = [each for each in comparisons if each.metric == "p99_us"]
    sentences = [
        *_speed(ranked, cells),
        *(_tail(tails, cells) if any(cell.pace for cell in cells) else ()),
        *_cost(costs, cells),
        *_held(cells),
        *_left_out(cells),
    ]
    return sentences or ["Nothing was measured."]


def _speed(ranked: Sequence[Comparison], cells: Sequence[Cell]) -> Iterator[str]:
    rates = {cell.model: cell.ops_per_s or 0.0 for cell in cells}
    ranked = [each for each in ranked if each.model in rates]
    if not ranked:
        able = [cell for cell in cells if cell.ops_per_s]
        if len(able) == 1:
            due = " as it was asked to" if able[0].pace else ""
            yield f"{able[0].model} does {amount(able[0].ops_per_s)} operations a second{due}."
        return
    for best in [each.model for each in ranked if each.standing == "best"]:
        yield from _beside(best, rates[best], [each for each in ranked if each.best == best])


def _beside(best: str, rate: float, ranked: Sequence[Comparison]) -> Iterator[str]:
    by = {
        standing: [each for each in ranked if each.standing == standing] for standing in STANDINGS
    }
    words = f"{best} is the fastest with {amount(rate)} operations a second"
    if by["tied"]:
        words += f"; {_names(by['tied'])} {'is' if len(by['tied']) == 1 else 'are'} tied with it"
    yield words + "."
    if by["behind"]:
        behind = [f"{each.model} at {_times(each)}" for each in by["behind"][:MOST_NAMED]]
        yield f"Behind it, beyond doubt: {', '.join(behind)}."
    if by["unclear"]:
        close = [f"{each.model} ({_times(each)})" for each in by["unclear"][:MOST_NAMED]]
        yield f"More rounds would tell where these stand: {', '.join(close)}."


def _tail(ranked: Sequence[Comparison], cells: Sequence[Cell]) -> Iterator[str]:
    """Of an open loop, where the rate is what was asked for, and latency the answer."""
    p99 = {cell.model: cell.latency_us.p99 for cell in cells}
    for cell in cells if not ranked else ():
        if cell.latency_us.p99:
            yield f"{cell.model} has a p99 of {milliseconds(cell.latency_us.p99)}."
    for best in [each for each in ranked if each.standing == "best"]:
        yield f"{best.model} has the lowest p99, {milliseconds(p99.get(best.model))}."
        beside = [each for each in ranked if each.best == best.model and each is not best]
        if beside:
            others = [f"{each.model} {_times(each)}" for each in beside[:MOST_NAMED]]
            yield f"The others have so many times that: {', '.join(others)}."


def _held(cells: Sequence[Cell]) -> Iterator[str]:
    held = [cell for cell in cells if cell.held and cell.held.all_served and cell.idle]
    if held:
        each = [f"{cell.model} {cell.held.server_kb / cell.idle:.2f}" for cell in held if cell.held]
        yield f"An idle connection takes so many KB of the server's memory: {', '.join(each)}."


def _times(each: Comparison) -> str:
    if each.ratio_ci95 is None:
        return f"{each.ratio:.2f} x"
    low, high = each.ratio_ci95
    return f"{each.ratio:.2f} x ({low:.2f} to {high:.2f})"


def _names(ranked: Sequence[Comparison]) -> str:
    names = [each.model for each in ranked]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _cost(ranked: Sequence[Comparison], cells: Sequence[Cell]) -> Iterator[str]:
    costs = {cell.model: cell.server.cpu_us_per_op for cell in cells}
    ranked = [each for each in ranked if each.model in costs]
    for best in [each for each in ranked if each.standing == "best"]:
        beside = [each for each in ranked if each.best == best.model and each is not best]
        words = (
            f"{best.model} costs the server least CPU, {amount(costs[best.model])} µs an operation"
        )
        if beside:
            dearest = max(beside, key=lambda each: each.ratio)
            words += f"; {dearest.model} most, {_times(dearest)} as much"
        yield words + "."


def _left_out(cells: Sequence[Cell]) -> Iterator[str]:
    for cell in cells:
        counts = cell.counts
        if cell.verdict in UNRANKED:
            yield f"{cell.model}: {cell.verdict}."
        elif counts.served < counts.attempted and cell.workload != "tcp-short":
            yield f"{cell.model} serves {counts.served} of {counts.attempted} connections."


def amount(value: float | None) -> str:
    """A number as people say it."""
    if value is None:
        return "-"
    if value >= 1e6:
        return f"{value / 1e6:.2f} million"
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"
