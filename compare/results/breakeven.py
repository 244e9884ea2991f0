"""From how much work a message on it is all the same which of two models serves.

What a model costs is added to each message, and the work of a handler as well: the more of this
there is, the less the model matters. With fixed costs the difference falls as 1 / (work + c), and
so it is interpolated between two amounts of work.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations

from compare.models.matrix import group_of
from compare.results.ranking import UNRANKED, paired, rank, value_of
from compare.results.records import MARGIN, BreakEven, Cell, Metric, Share
from compare.results.statistics import ratio_of
from compare.results.sweep import Sweep, sweeps

METRICS: tuple[Metric, ...] = ("ops_per_s", "cpu_us_per_op")


def break_evens(cells: Iterable[Cell], margin: float = MARGIN) -> list[BreakEven]:
    """Each model to the one that is best without work, and to those of its own kind."""
    return [
        each
        for sweep in sweeps(cells)
        if sweep.parameter == "work_us"
        for metric in METRICS
        for each in _of_sweep(sweep, metric, margin)
    ]


def _of_sweep(sweep: Sweep, metric: Metric, margin: float) -> Iterator[BreakEven]:
    able = {
        model: known
        for model, points in sweep.points.items()
        if len(known := {work: cell for work, cell in points if _is_able(cell, metric)}) > 1
    }
    least = min((work for known in able.values() for work in known), default=0.0)
    first = [known[least] for known in able.values() if least in known]
    order = [each.model for each in rank(first, metric)]
    for better, model in combinations(order, 2):
        if better != order[0] and group_of(better) != group_of(model):
            continue
        works = sorted(able[better].keys() & able[model].keys())
        shares = [
            Share(work_us=work, ratio=found.value, ratio_ci95=found.interval)
            for work in works
            if (logs := paired(able[model][work], able[better][work], metric))
            for found in [ratio_of(logs)]
        ]
        if len(shares) > 1:
            yield _break_even(sweep, metric, model, better, shares, margin)


def _is_able(cell: Cell, metric: Metric) -> bool:
    """What was offered is no merit of a model."""
    known = any(value_of(each, metric) for each in cell.rounds)
    return cell.verdict not in UNRANKED and known and not (cell.pace and metric == "ops_per_s")


def _break_even(
    sweep: Sweep, metric: Metric, model: str, to: str, shares: list[Share], margin: float
) -> BreakEven:
    works = [each.work_us for each in shares]
    limit = math.log1p(margin)
    interval = None
    if all(each.ratio_ci95 for each in shares):
        ends = [_ends(each) for each in shares]
        near, far = ([end[which] for end in ends] for which in (0, 1))
        interval = crossing(works, near, limit), crossing(works, far, limit)
    return BreakEven(
        **{name: getattr(sweep.fixed, name) for name in sweep.fixed.__struct_fields__},
        model=model,
        metric=metric,
        to=to,
        margin=margin,
        shares=shares,
        from_us=crossing(works, [abs(math.log(each.ratio)) for each in shares], limit),
        from_us_ci95=interval,
    )


def _ends(share: Share) -> tuple[float, float]:
    """The least and the largest difference that its interval holds, as logarithms."""
    low, high = (math.log(max(end, 1e-300)) for end in share.ratio_ci95 or (1.0, 1.0))
    near = 0.0 if low <= 0 <= high else min(abs(low), abs(high))
    return near, max(abs(low), abs(high))


def crossing(works: Sequence[float], differences: Sequence[float], limit: float) -> float | None:
    """From where on no difference is above `limit`; None if the last one is.

    works: ascending.
    """
    above = [place for place, each in enumerate(differences) if each > limit]
    if not above:
        return works[0]
    place = above[-1]
    if place == len(works) - 1:
        return None
    before, after = differences[place], differences[place + 1]
    # Of 1 / difference, which grows by as much with each bit of work.
    share = (before - limit) / (before - after) * after / limit
    return works[place] + share * (works[place + 1] - works[place])
