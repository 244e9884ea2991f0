"""Pure statistics over rounds: what was seen, and how far it may be from the truth."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

# Student's t, two-sided 95 %, for 1 to 30 degrees of freedom (any table of it).
_T95 = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)


def _t95(freedom: int) -> float:
    if freedom <= len(_T95):
        return _T95[freedom - 1]
    z = 1.959964  # of the normal distribution, then Fisher's expansion in 1/freedom
    return z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)


class Estimate(NamedTuple):
    """A value and its 95 % interval; without an interval, one round is all there was."""

    value: float
    interval: tuple[float, float] | None


def centre(values: Sequence[float]) -> Estimate:
    """The geometric mean over rounds, with Student's interval on the logarithms.

    Rates differ by factors, so their logarithms are what is roughly normal; over rounds,
    each with a fresh server, and not over requests, which are anything but independent
    (Georges et al., OOPSLA 2007; Kalibera and Jones, ISMM 2013). `values` are positive.
    """
    logs = [math.log(value) for value in values]
    mean = math.fsum(logs) / len(logs)
    if len(logs) < 2:
        return Estimate(math.exp(mean), None)
    variance = math.fsum((x - mean) ** 2 for x in logs) / (len(logs) - 1)
    t = _t95(len(logs) - 1)
    half = t * math.sqrt(variance / len(logs))
    return Estimate(math.exp(mean), (math.exp(mean - half), math.exp(mean + half)))


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
def _mann_whitney_cut(n: int, m: int) -> int:
    """The largest c with P(U < c) <= 2.5 % for samples of n and m without a difference."""
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
    allowed = 0.025 * math.comb(n + m, n)
    at_most = itertools.accumulate(counts)
    return sum(1 for total in at_most if total <= allowed)


def can_tell(ours: Sequence[float], theirs: Sequence[float]) -> bool | None:
    """Whether two sets of rounds differ; None where there are too few rounds to say."""
    interval = ratio(ours, theirs).interval
    return None if interval is None else not interval[0] <= 1 <= interval[1]
