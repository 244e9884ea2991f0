"""Who is best under a load, by each metric, and by how much the others are behind."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import msgspec

from compare.contract.outcome import Slice
from compare.results.records import MARGIN, Cell, Comparison, Load, Metric, Round, Standing
from compare.results.statistics import CONFIDENCE, Estimate, mean_of, midmean, ratio_of

UNRANKED = ("failed", "unsupported", "errors", "gave-way")
NO_TAIL = {"driver-bound", "rate-unmet"}  # of an open loop: the p99 is not the server's, or grows
METRICS: tuple[Metric, ...] = ("ops_per_s", "cpu_us_per_op", "p99_us")
_LONGEST_S = 86_400.0  # what takes longer to tell is not foretold


def rank_all(
    cells: Sequence[Cell], margin: float = MARGIN, confidence: float = CONFIDENCE
) -> list[Comparison]:
    """The cells of each load by themselves, by every metric."""
    return [
        each
        for load in by_load(cells).values()
        for metric in METRICS
        for each in rank(load, metric, margin, confidence)
    ]


def by_load(cells: Iterable[Cell]) -> dict[Load, list[Cell]]:
    """The cells of each load, in the order of the run."""
    loads: dict[Load, list[Cell]] = {}
    for cell in cells:
        loads.setdefault(cell.load, []).append(cell)
    return loads


def rank(
    cells: Sequence[Cell],
    metric: Metric = "ops_per_s",
    margin: float = MARGIN,
    confidence: float = CONFIDENCE,
) -> list[Comparison]:
    """Every cell of one load that can be ranked, the best first.

    Where each was offered what we chose, the rate is no merit of its own; and with one alone
    there is no best.
    """
    able = [
        cell
        for cell in cells
        if cell.verdict not in UNRANKED
        and not (cell.pace and metric == "p99_us" and NO_TAIL & {*cell.verdicts})
        and any(value_of(each, metric) for each in cell.rounds)
    ]
    if len(able) < 2 or (metric == "ops_per_s" and any(cell.pace for cell in able)):
        return []
    sign = -1 if metric == "ops_per_s" else 1
    best = _best(able, metric, sign)
    found = [_comparison(best, best, metric, ratio_of([0.0]), "best", margin, None)]
    round_s = sum(each.window_s + each.warmup_s for cell in able for each in cell.rounds)
    round_s /= max(len(cell.rounds) for cell in able)
    for cell in able:
        logs = paired(cell, best, metric) if cell is not best else []
        if not logs:
            continue
        estimate = ratio_of(logs, len(able), confidence)
        standing = _standing(estimate, margin)
        more = _more_rounds(len(logs), estimate, margin) if standing == "unclear" else None
        needs_s = min(_LONGEST_S, more * round_s) if more else None
        found.append(_comparison(cell, best, metric, estimate, standing, margin, needs_s))
    return sorted(found, key=lambda each: (each.standing != "best", sign * each.ratio))


def _best(able: Sequence[Cell], metric: Metric, sign: int) -> Cell:
    """Whom nobody beats, where slices are paired."""
    best, *others = sorted(able, key=lambda cell: sign * _typical(cell, metric))
    for cell in others:
        logs = paired(cell, best, metric)
        if logs and sign * mean_of(logs).value < 0:
            best = cell
    return best


def paired(ours: Cell, theirs: Cell, metric: Metric) -> list[float]:
    """For each round that both have, the logarithm of the ratio of ours to theirs.

    Rates and costs are paired slice by slice, so that what slowed the machine down slowed down
    both; a p99 is the whole round's, since a slice has too few latencies for it.
    """
    others = {each.number: each for each in theirs.rounds}
    both = [(each, others[each.number]) for each in ours.rounds if each.number in others]
    return [log for one, other in both if (log := log_ratio(one, other, metric)) is not None]


def log_ratio(one: Round, other: Round, metric: Metric) -> float | None:
    """Of two rounds with the same number."""
    if metric != "p99_us":
        of = _rate if metric == "ops_per_s" else _cost
        pairs = [(of(a), of(b)) for a, b in zip(one.slices, other.slices, strict=False)]
        logs = [math.log(a / b) for a, b in pairs if a and b]
        if 2 * len(logs) >= max(len(pairs), 1):  # else a slice holds less than an operation
            return midmean(logs)
    ours, theirs = value_of(one, metric), value_of(other, metric)
    return math.log(ours / theirs) if ours and theirs else None


def _rate(each: Slice) -> float:
    return each.operations / each.window_ns


def _cost(each: Slice) -> float:
    """To the clock tick where processes ended in it (fork): then now and then nothing."""
    return (each.cpu_ns or 0) / each.turn_operations if each.turn_operations else 0.0


def value_of(each: Round, metric: Metric) -> float | None:
    if metric == "cpu_us_per_op":
        return each.server.cpu_us_per_op
    return each.latency_us.p99 if metric == "p99_us" else each.ops_per_s


def _typical(cell: Cell, metric: Metric) -> float:
    values = [value for each in cell.rounds if (value := value_of(each, metric))]
    return mean_of([math.log(value) for value in values]).value


def _standing(estimate: Estimate, margin: float) -> Standing:
    if estimate.interval is None:
        return "unclear"
    low, high = estimate.interval
    if not low <= 1 <= high:
        return "behind"
    return "tied" if 1 / (1 + margin) <= low and high <= 1 + margin else "unclear"


def _more_rounds(rounds: int, estimate: Estimate, margin: float) -> float | None:
    """Until the interval is short enough, as the square root of their number has it."""
    if estimate.interval is None:
        return None
    half = math.log(estimate.interval[1] / estimate.interval[0]) / 2
    off = abs(math.log(estimate.value))
    short = max(off, math.log1p(margin) - off)
    return max(1.0, rounds * ((half / short) ** 2 - 1))


def _comparison(
    cell: Cell,
    best: Cell,
    metric: Metric,
    estimate: Estimate,
    standing: Standing,
    margin: float,
    needs_s: float | None,
) -> Comparison:
    return Comparison(
        model=cell.model,
        **msgspec.structs.asdict(cell.load),
        metric=metric,
        best=best.model,
        ratio=estimate.value,
        ratio_ci95=estimate.interval,
        margin=margin,
        standing=standing,
        needs_s=needs_s,
    )
