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
SURE = 0.99  # that what the slices have in bursts is the server's
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


def ordered(cells: Iterable[Cell], comparisons: Iterable[Comparison]) -> list[Cell]:
    """Those of a load as they stand, the best first; who is not ranked by the rate.

    Pairs of slices tell more than means of rates do, and may have another one for the best.
    """
    cells = list(cells)
    rates = {cell.model: cell.ops_per_s or 0.0 for cell in cells}
    if any(cell.pace for cell in cells):
        places = {each.model: each.ratio for each in comparisons if each.metric == "p99_us"}
        return sorted(
            cells, key=lambda cell: (places.get(cell.model, math.inf), -rates[cell.model])
        )
    for each in comparisons:
        if each.metric == "ops_per_s" and each.standing != "best" and each.best in rates:
            rates[each.model] = rates[each.best] * each.ratio
    return sorted(cells, key=lambda cell: -rates[cell.model])


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
    if metric == "p99_us" and any(cell.load.is_promise for cell in able):
        return []  # each has the rate at which its p99 is what was promised
    sign = -1 if metric == "ops_per_s" else 1
    best = _best(able, metric, sign)
    found = [_comparison(best, best, metric, ratio_of([0.0]), "best", margin, None)]
    round_s = sum(_turns_s(each) + each.warmup_s for cell in able for each in cell.rounds)
    round_s /= max(len(cell.rounds) for cell in able)
    for cell in able:
        logs = paired(cell, best, metric) if cell is not best else []
        if not logs:
            continue
        estimate = ratio_of(logs, len(able), confidence)
        sure = ratio_of(logs, confidence=_sure(len(able), confidence))
        standing = _standing(estimate, sure, margin)
        more = _more_rounds(len(logs), estimate, sure, margin) if standing == "unclear" else None
        needs_s = min(_LONGEST_S, more * round_s) if more else None
        found.append(_comparison(cell, best, metric, estimate, standing, margin, needs_s))
    if len(found) < 2:  # they share no round
        return []
    return sorted(found, key=lambda each: (each.standing != "best", sign * each.ratio))


def _turns_s(each: Round) -> float:
    return sum(slice_.turn_ns for slice_ in each.slices) / 1e9 or each.window_s


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

    Costs are those of the whole round: CPU time is its server's own, in whichever slice it is used.
    A rate is paired slice by slice, and of those the middle half counts, since what something else
    took from one of them is not the server's; but where that leaves out what comes again in every
    round, such as a garbage collection, it is the whole round's. So is a p99.
    """
    others = {each.number: each for each in theirs.rounds}
    both = [(each, others[each.number]) for each in ours.rounds if each.number in others]
    whole = [_whole(one, other, metric) for one, other in both]
    if metric == "ops_per_s":
        middle = [_middle(one, other) for one, other in both]
        known = [(a, b) for a, b in zip(whole, middle, strict=True) if a is not None]
        if known and all(b is not None for _, b in known) and not _in_bursts(known):
            return [b for _, b in known if b is not None]
    return [log for log in whole if log is not None]


def _whole(one: Round, other: Round, metric: Metric) -> float | None:
    """The logarithm of the ratio of two rounds, each as a whole."""
    sums: list[float | None] = [value_of(each, metric) for each in (one, other)]
    if metric == "ops_per_s":
        sums = [_rate_of(each) or found for each, found in zip((one, other), sums, strict=True)]
    ours, theirs = sums
    return math.log(ours / theirs) if ours and theirs and ours * theirs > 0 else None


def _rate_of(each: Round) -> float:
    window_ns = sum(slice_.window_ns for slice_ in each.slices)
    return 1e9 * sum(slice_.operations for slice_ in each.slices) / window_ns if window_ns else 0.0


def _middle(one: Round, other: Round) -> float | None:
    """Of the middle half of their slices; None where a slice holds less than an operation."""
    pairs = [(_rate(a), _rate(b)) for a, b in zip(one.slices, other.slices, strict=False)]
    logs = [math.log(a / b) for a, b in pairs if a and b]
    return midmean(logs) if logs and 2 * len(logs) >= len(pairs) else None


def _in_bursts(rounds: Sequence[tuple[float, float | None]]) -> bool:
    """Whether whole rounds say beyond doubt something else than the middle of their slices."""
    found = mean_of([whole - (middle or 0.0) for whole, middle in rounds], confidence=SURE)
    return found.interval is not None and not found.interval[0] <= 0 <= found.interval[1]


def _rate(each: Slice) -> float:
    return each.operations / each.window_ns


def value_of(each: Round, metric: Metric) -> float | None:
    if metric == "cpu_us_per_op":
        return each.server.cpu_us_per_op
    return each.latency_us.p99 if metric == "p99_us" else each.ops_per_s


def _typical(cell: Cell, metric: Metric) -> float:
    values = [value for each in cell.rounds if (value := value_of(each, metric))]
    return mean_of([math.log(value) for value in values]).value


def _sure(many: int, confidence: float) -> float:
    """So sure each of all pairs and metrics has to be for all together to be as sure as asked.

    By Bonferroni: of many equal servers then at most one table in twenty has any that is behind, in
    whichever metric and however few rounds.
    """
    return 1 - (1 - confidence) / (math.comb(many, 2) * len(METRICS))


def _standing(estimate: Estimate, sure: Estimate, margin: float) -> Standing:
    if estimate.interval is None or sure.interval is None:
        return "unclear"
    low, high = sure.interval
    if not low <= 1 <= high:
        return "behind"
    low, high = estimate.interval
    return "tied" if 1 / (1 + margin) <= low and high <= 1 + margin else "unclear"


def _more_rounds(rounds: int, estimate: Estimate, sure: Estimate, margin: float) -> float | None:
    """Until one of the intervals is short enough, as the square root of their number has it."""
    if estimate.interval is None or sure.interval is None:
        return None
    off = abs(math.log(estimate.value))
    wide = [
        (math.log(high) - math.log(low)) / 2 for low, high in (sure.interval, estimate.interval)
    ]
    short = off, math.log1p(margin) - off  # behind, or tied
    enough = [
        rounds * ((half / to) ** 2 - 1) for half, to in zip(wide, short, strict=True) if to > 0
    ]
    return max(1.0, min(enough)) if enough else None


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
