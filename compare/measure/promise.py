"""Whether rounds of an open loop keep a promise: their p99, and that they did what was due."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

from compare.results.records import Round
from compare.results.statistics import mean_of
from compare.results.verdict import LATE

STEEP = 4  # a p99 near the limit grows with such a power of the rate, or a higher one
LEAST, MOST = 0.8, 0.98
NEARLY = 0.95  # of what is due; whoever does less has a queue that grows


def tail(rounds: Sequence[Round]) -> tuple[float, float]:
    """Between what the p99 lies, in us; of few operations none may be late."""
    tails = [each.latency_us.p99 or each.latency_us.max for each in rounds]
    known = [each for each in tails if each is not None]
    if not known or len(known) < len(tails):
        return math.inf, math.inf
    found = mean_of(known)
    return found.interval or (found.value, found.value)


def lower(broken_by: float) -> float:
    """The part of a rate that is tried next, where the p99 may be so many times what was promised.

    Rather too near than too far: what is left out is never looked at again.
    """
    return min(MOST, max(LEAST, math.pow(broken_by, -1 / STEEP)))


def keep_up(rounds: Sequence[Round]) -> bool:
    """Whether server and driver both did what was due, but for what was under way at the ends."""
    paces = [(each, each.pace) for each in rounds if each.pace is not None]
    done = sum(each.operations for each, _ in paces)
    offered = sum(pace.offered * each.window_s for each, pace in paces)
    late = statistics.fmean(pace.late_fraction for _, pace in paces)
    return done >= NEARLY * offered and late <= LATE
