"""The answer in words, made from the figures: who is best, by how much, and what is tied."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from compare.report.profiles import calls_in_words, frames_in_words
from compare.report.reasons import listed, reasons_of
from compare.report.words import milliseconds, time_text
from compare.results.ranking import UNRANKED, by_load, ordered
from compare.results.records import Cell, Comparison, Load, Run
from compare.results.verdict import OTHERS

MOST_NAMED = 8  # in one sentence
STANDINGS = ("best", "tied", "unclear", "behind")


def loads_of(run: Run) -> dict[Load, list[Cell]]:
    """The cells of a run by their loads, the best first."""
    return {
        load: ordered(cells, [each for each in run.comparisons if each.load == load])
        for load, cells in by_load(run.cells).items()
    }


def answer(
    cells: Sequence[Cell], comparisons: Sequence[Comparison], promised_us: float | None = None
) -> list[str]:
    """Sentences on one load, the most important first. Several runs have each their own best.

    promised_us: below which the p99 is at rates that were looked for, if that is one for all.
    """
    ranked = [each for each in comparisons if each.metric == "ops_per_s"]
    costs = [each for each in comparisons if each.metric == "cpu_us_per_op"]
    tails = [each for each in comparisons if each.metric == "p99_us"]
    looked_for = any(cell.load.is_promise for cell in cells)
    sentences = [
        *(_promise(cells, promised_us) if looked_for else _speed(ranked, cells)),
        *(_tail(tails, cells) if any(cell.pace for cell in cells) and not looked_for else ()),
        *_cost(costs, cells),
        *_held(cells),
        *_handshakes(cells),
        *calls_in_words(cells),
        *frames_in_words(cells),
        *(f"{each}." for each in reasons_of(_ranked(cells))),
        *_left_out(cells),
    ]
    return sentences or ["Nothing was measured."]


def _speed(ranked: Sequence[Comparison], cells: Sequence[Cell]) -> Iterator[str]:
    rates = {cell.model: cell.ops_per_s or 0.0 for cell in cells}
    ranked = [each for each in ranked if each.model in rates]
    if not ranked:
        able = [cell for cell in cells if cell.ops_per_s]
        if len(able) == 1:
            pace, does = able[0].pace, f"{able[0].model} does {amount(able[0].ops_per_s)}"
            if pace and "rate-unmet" in able[0].verdicts:
                yield f"{does} of the {amount(pace.offered)} operations a second that were due."
            else:
                yield f"{does} operations a second{' as it was asked to' if pace else ''}."
        return
    doubted = {cell.model for cell in cells if _is_doubted(cell)}
    for best in [each.model for each in ranked if each.standing == "best"]:
        mine = [each for each in ranked if each.best == best]
        sure = not any(
            each.model in doubted for each in mine if each.standing in ("best", "behind")
        )
        yield from _beside(best, rates[best], mine, sure=sure)


def _beside(best: str, rate: float, ranked: Sequence[Comparison], *, sure: bool) -> Iterator[str]:
    """sure: whether nothing but the servers decided."""
    by = {
        standing: [each for each in ranked if each.standing == standing] for standing in STANDINGS
    }
    words = (
        f"{best} is the fastest{'' if sure else ' here'} with {amount(rate)} operations a second"
    )
    if by["tied"]:
        words += f"; {_names(by['tied'])} {'is' if len(by['tied']) == 1 else 'are'} tied with it"
    yield words + "."
    if by["behind"]:
        behind = [f"{each.model} at {_times(each)}" for each in by["behind"][:MOST_NAMED]]
        doubt = "beyond doubt" if sure else "as they were measured, with the reservations below"
        yield f"Behind it, {doubt}: {', '.join(behind)}."
    if by["unclear"]:
        close = [f"{each.model} ({_times(each)})" for each in by["unclear"][:MOST_NAMED]]
        yield f"More rounds would tell where these stand: {', '.join(close)}."


def _is_doubted(cell: Cell) -> bool:
    """Whether more than the server decided how fast it was."""
    others = cell.driver.wait_fraction or 0.0
    return cell.verdict not in UNRANKED and (cell.verdict != "ok" or others > OTHERS)


def _ranked(cells: Sequence[Cell]) -> list[Cell]:
    return [cell for cell in cells if cell.verdict not in UNRANKED]


def _promise(cells: Sequence[Cell], promised_us: float | None) -> Iterator[str]:
    kept = [f"{cell.model} {amount(cell.ops_per_s)}" for cell in cells if cell.ops_per_s]
    if kept:
        below = "as promised" if promised_us is None else f"below {time_text(promised_us)}"
        yield f"With a p99 {below}, operations a second at most: {', '.join(kept)}."
    else:
        yield "No rate was found that keeps the promise."


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


def _handshakes(cells: Sequence[Cell]) -> Iterator[str]:
    done = [(cell.model, cell.handshakes) for cell in cells if cell.handshakes]
    if done:
        agreed = dict.fromkeys(f"{each.version} with {each.cipher}" for _, each in done)
        known = [(model, p50) for model, each in done if (p50 := each.latency_us.p50)]
        took = ", ".join(f"{model} {milliseconds(p50)}" for model, p50 in known)
        words = f"; a handshake takes at the median: {took}" if took else ""
        yield f"All speak {', '.join(agreed)}{words}."


def _times(each: Comparison) -> str:
    if each.ratio_ci95 is None:
        return f"{each.ratio:.2f} x"
    low, high = each.ratio_ci95
    return f"{each.ratio:.2f} x ({low:.2f} to {high:.2f})"


def _names(ranked: Sequence[Comparison]) -> str:
    return listed([each.model for each in ranked])


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
            why = f": {cell.reasons[0]}" if cell.reasons else ""
            yield f"{cell.model}: {cell.verdict}{why}."
        elif counts.served < counts.attempted and cell.workload != "tcp-short":
            yield f"{cell.model} serves {counts.served} of {counts.attempted} connections."


def amount(value: float | None) -> str:
    """A number as people say it."""
    if value is None:
        return "-"
    if value >= 1e6:
        return f"{value / 1e6:.2f} million"
    return f"{float(f'{value:.3g}'):,.0f}" if value >= 100 else f"{value:.3g}"
