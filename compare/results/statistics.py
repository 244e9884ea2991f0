"""Pure statistics over rounds: what was seen, and how far it may be from the truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

LEAST = 5  # rounds for an interval; the confidence is then 94 %, and from 6 on at least 95 %


class Estimate(NamedTuple):
    """A value and its interval; without one there were too few rounds.

    confidence: of the interval, as exact intervals have it: the next above 95 %.
    """

    value: float
    interval: tuple[float, float] | None
    confidence: float | None = None

    @property
    def spread(self) -> float:
        """Half the interval, of the value; 0 without one."""
        if self.interval is None or not self.value:
            return 0.0
        return (self.interval[1] - self.interval[0]) / 2 / self.value


def centre(values: Sequence[float]) -> Estimate:
    """The median over rounds, with the exact interval between two of the values.

    That a value is below the median is as likely as not, whatever the distribution; how many
    are is binomial (Conover, Practical Nonparametric Statistics, 3.2). Over rounds, each with a
    fresh server, and not over requests, which are anything but independent (Georges et al.,
    OOPSLA 2007; Kalibera and Jones, ISMM 2013). Five values cover the median in 94 % only.
    """
    ordered = sorted(values)
    many = len(ordered)
    middle = (ordered[(many - 1) // 2] + ordered[many // 2]) / 2
    if many < LEAST:
        return Estimate(middle, None)
    below = list(itertools.accumulate(math.comb(many, k) for k in range(many)))
    outside = max(1, sum(1 for total in below if total <= 0.025 * 2**many))
    confidence = 1 - 2 * below[outside - 1] / 2**many
    return Estimate(middle, (ordered[outside - 1], ordered[-outside]), confidence)


def ratio(ours: Sequence[float], theirs: Sequence[float]) -> Estimate:
    """How many times larger `ours` are: the Hodges-Lehmann shift of the logarithms.

    The interval is the exact one that belongs to the Mann-Whitney test: it assumes no
    distribution (Hollander, Wolfe and Chicken, Nonparametric Statistical Methods, 4.3). It
    is None where there are too few rounds for 95 %, which takes four on each side.
    """
    shifts = sorted(math.log(a) - math.log(b) for a in ours for b in theirs)
    middle = (shifts[(len(shifts) - 1) // 2] + shifts[len(shifts) // 2]) / 2
    cut = _mann_whitney_cut(len(ours), len(theirs))
    if cut == 0:
        return Estimate(math.exp(middle), None)
    return Estimate(math.exp(middle), (math.exp(shifts[cut - 1]), math.exp(shifts[-cut])))


@cache
def _mann_whitney(n: int, m: int) -> tuple[int, ...]:
    """How many arrangements of n and m values have U <= 0, 1, 2, ..."""
    # counts[u] = how many of the arrangements have that U: a product of polynomials.
    counts = [1]
    for i in range(1, n + 1):
        rising = [0] * (len(counts) + m + i)
        for u, count in enumerate(counts):
            rising[u] += count
            rising[u + m + i] -= count
        for u in range(i, len(rising)):
            rising[u] += rising[u - i]
        counts = rising[: i * m + 1]
    return tuple(itertools.accumulate(counts))


def _mann_whitney_cut(n: int, m: int) -> int:
    """The largest c with P(U < c) <= 2.5 % for samples of n and m without a difference."""
    allowed = 0.025 * math.comb(n + m, n)
    return sum(1 for total in _mann_whitney(n, m) if total <= allowed)


def chance(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """How likely rounds that do not differ are to look at least so different; two-sided.

    The exact Mann-Whitney test. Where values are equal it errs on the side of no difference.
    """
    below = sum((a < b) + (a == b) / 2 for a in ours for b in theirs)
    extreme = math.ceil(min(below, len(ours) * len(theirs) - below))
    at_most = _mann_whitney(len(ours), len(theirs))
    return min(1.0, 2 * at_most[extreme] / math.comb(len(ours) + len(theirs), len(ours)))


def least_rounds(comparisons: int, allowed: float = 0.05) -> int:
    """Rounds on each side that it takes to tell any of so many apart, by chance() and holm()."""
    rounds = 1
    while 2 / math.comb(2 * rounds, rounds) > allowed / max(1, comparisons):
        rounds += 1
    return rounds


def holm(chances: Sequence[float], allowed: float = 0.05) -> list[bool]:
    """Which of several differences are real, so that at most `allowed` of such lists err.

    Holm's step-down procedure (Scandinavian Journal of Statistics 6, 1979).
    """
    real = [False] * len(chances)
    for rank, index in enumerate(sorted(range(len(chances)), key=chances.__getitem__)):
        if chances[index] > allowed / (len(chances) - rank):
            break
        real[index] = True
    return real
