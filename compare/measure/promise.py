"""The highest rate of an open loop at which rounds keep a promise: their p99, and what was due."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence

from compare.measure.tally import Tally
from compare.results.records import Round
from compare.results.statistics import mean_of
from compare.results.verdict import LATE

STEEP = 4  # a p99 near the limit grows with such a power of the rate, or a higher one
LEAST, MOST = 0.8, 0.98
FEWEST = 2  # rounds: one has no interval, so that nothing is beyond doubt
MORE = 4  # times the usual rounds at most, where it is not told, or not narrowly
WITHIN = 0.06  # of the promise: half an interval of the p99 that is narrow
NEAR = 0.01  # of a rate: nearer to the promise is not looked for
STEPS = 10  # rates at most
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


def higher(room: float) -> float:
    """How many times a rate is tried next, where the p99 may be so many times what it is.

    Rather too near here, too: from there one can go on.
    """
    return min(1 / LEAST, math.pow(room, 1 / STEEP))


def keep_up(rounds: Sequence[Round]) -> bool:
    """Whether server and driver both did what was due, but for what was under way at the ends."""
    paces = [(each, each.pace) for each in rounds if each.pace is not None]
    done = sum(each.operations for each, _ in paces)
    offered = sum(pace.offered * each.window_s for each, pace in paces)
    late = statistics.fmean(pace.late_fraction for _, pace in paces)
    return done >= NEARLY * offered and late <= LATE


def keep(tally: Tally, promised: float, usual: int, measure: Callable[[], None]) -> None:
    """Go from the tally's rate to the highest one at which its p99 is below `promised` us.

    Where the promise does not hold beyond doubt, lower rates are tried; where there is room above,
    higher ones. The tally is left with the rounds of the answer, if there is one: `keeps_promise`.
    usual: how many rounds are measured at each rate, by `measure`, which may end the tally. What it
    meets with above a rate that keeps the promise, or raises there, is not the end of that answer.
    """
    best = None
    above = tally.capacity / (1 - NEAR)  # no rate from here on keeps it
    untold: list[tuple[float, float, float]] = []
    try:
        for _ in range(STEPS):
            assert tally.rate is not None
            _tell(tally, promised, max(FEWEST, usual), measure)
            if tally.over:
                break
            low, high = tail(tally.rounds)
            if high <= promised and keep_up(tally.rounds):
                best = tally.rate, [*tally.outcomes], [*tally.rounds]
                rate = min(tally.rate * higher(promised / high), above * (1 - NEAR))
                if rate <= tally.rate * (1 + NEAR):
                    break
            else:
                above = tally.rate
                if low <= promised:
                    untold.append((tally.rate, low, high))
                if best:
                    break
                rate = tally.rate * lower(high / promised)
            tally.begin_again(rate)
    finally:
        if untold:
            rate, low, high = untold[-1]
            tally.note(
                f"from {rate:,.0f}/s on it could not be told: between {low / 1000:.3g} and "
                f"{high / 1000:.3g} ms, since the p99 differs much from round to round"
            )
        if best:
            if why := tally.why_over:
                tally.note(f"at {tally.rate:,.0f}/s: {why}")
            tally.begin_again(*best)
            tally.keeps_promise = True


def _tell(tally: Tally, promised: float, usual: int, measure: Callable[[], None]) -> None:
    """Rounds, until the promise is kept or broken beyond doubt, and the first one narrowly.

    A wide interval costs rate: what is beyond doubt is then far below what may be.
    """
    while True:
        while not tally.over and (not tally.rounds or len(tally.rounds) % usual):
            measure()
        low, high = tail(tally.rounds)
        narrow = high <= promised and high - low <= 2 * WITHIN * promised
        told = narrow or low > promised or math.isinf(high)
        if tally.over or told or len(tally.rounds) >= MORE * usual:
            return
        measure()
