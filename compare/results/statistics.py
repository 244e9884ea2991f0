"""Pure statistics over rounds: what was seen, and how far it may be from the truth.

A round is a fresh process of every server, and has many slices. What a round says of two servers
is one number, in which slices are paired. That of another round differs also for what stays the
same within one, such as the layout of a process's memory; so intervals are over rounds (Kalibera
and Jones, Rigorous benchmarking in reasonable time, ISMM 2013), and hold both.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

CONFIDENCE = 0.95
_FEW, _MANY = 64, 1024  # steps of an integral by Simpson's rule; many where there are few rounds


class Estimate(NamedTuple):
    """A value and its interval; without one there was only one round."""

    value: float
    interval: tuple[float, float] | None

    @property
    def spread(self) -> float:
        """Half the interval, of the value; 0 without one."""
        if self.interval is None or not self.value:
            return 0.0
        return (self.interval[1] - self.interval[0]) / 2 / abs(self.value)


def midmean(values: Sequence[float]) -> float:
    """The mean of the middle half: hardly less efficient than the mean, and a slice in which
    something else had the CPU does not move it (Tukey; a trimmed mean with a quarter on each side).
    """
    ordered = sorted(values)
    cut = len(ordered) // 4
    return statistics.fmean(ordered[cut : len(ordered) - cut])


def mean_of(values: Sequence[float], many: int = 2, confidence: float = CONFIDENCE) -> Estimate:
    """The mean over rounds, and its interval by Student's t.

    many: of how many things that are compared with each other this is the difference of two;
    the intervals of all such differences then hold together (Tukey; with a variance of each pair's
    own, Games and Howell, Journal of Educational Statistics 1, 1976). So they do for the one that
    turned out best, whichever it is.
    """
    middle = statistics.fmean(values)
    if len(values) < 2:
        return Estimate(middle, None)
    error = statistics.stdev(values) / math.sqrt(len(values))
    half = critical(many, len(values) - 1, confidence) * error
    return Estimate(middle, (middle - half, middle + half))


def ratio_of(logs: Sequence[float], many: int = 2, confidence: float = CONFIDENCE) -> Estimate:
    """The same of logarithms of ratios, as a ratio."""
    middle, interval = mean_of(logs, many, confidence)
    return Estimate(_exp(middle), interval and (_exp(interval[0]), _exp(interval[1])))


def _exp(value: float) -> float:
    """Two rounds that differ much tell hardly anything: such an interval has nearly all numbers."""
    return math.exp(max(-700.0, min(value, 700.0)))


def ratio_between(
    ours: Sequence[float], theirs: Sequence[float], confidence: float = CONFIDENCE
) -> Estimate:
    """How many times larger `ours` are, of two runs in which nothing is paired; of logarithms.

    Each may vary as it does (Welch, Biometrika 34, 1947).
    """
    middle = statistics.fmean(ours) - statistics.fmean(theirs)
    if min(len(ours), len(theirs)) < 2:
        return Estimate(_exp(middle), None)
    parts = [statistics.variance(each) / len(each) for each in (ours, theirs)]
    error = math.sqrt(sum(parts))
    if not error:
        return Estimate(_exp(middle), (_exp(middle), _exp(middle)))
    shares = [part / sum(parts) for part in parts]
    freedom = 1 / (shares[0] ** 2 / (len(ours) - 1) + shares[1] ** 2 / (len(theirs) - 1))
    half = critical(2, max(1.0, round(freedom, 1)), confidence) * error
    return Estimate(_exp(middle), (_exp(middle - half), _exp(middle + half)))


@cache
def critical(many: int, freedom: float, confidence: float = CONFIDENCE) -> float:
    """How many standard errors a difference of two among `many` may be off; for 2 Student's t."""
    low, high = 0.0, 10.0
    while _within(high, many, freedom) < confidence:
        high *= 2
    while high - low > 1e-4 * high:
        middle = (low + high) / 2
        if _within(middle, many, freedom) < confidence:
            low = middle
        else:
            high = middle
    return high


def _within(errors: float, many: int, freedom: float) -> float:
    """The distribution of the studentized range (Tukey 1949), at sqrt(2) times `errors`."""
    spread = math.sqrt(2) * errors
    # The standard deviation is estimated: s is distributed as chi / sqrt(freedom).
    scale = (
        math.log(freedom) * freedom / 2 - math.lgamma(freedom / 2) - (freedom / 2 - 1) * math.log(2)
    )
    top = 1 + 8 / math.sqrt(freedom)

    def density(s: float) -> float:
        if s <= 0:
            return 0.0
        return math.exp(scale + (freedom - 1) * math.log(s) - freedom * s * s / 2)

    # In the root of s, since what is near 0 decides where there are few rounds.
    roots = _grid(0.0, math.sqrt(top), _MANY if many == 2 else _FEW)
    below = [2 * x * density(x * x) * _range_below(spread * x * x, many) for x in roots]
    return _simpson(below, math.sqrt(top))


def _range_below(width: float, many: int) -> float:
    """How likely so many standard normals are to lie within `width` of each other."""
    if many == 2:
        return math.erf(width / 2)
    points = [
        many * _phi(z) * (_Phi(z) - _Phi(z - width)) ** (many - 1) for z in _grid(-8.0, 8.0, _FEW)
    ]
    return min(1.0, _simpson(points, 16.0))


def _grid(low: float, high: float, steps: int) -> list[float]:
    return [low + (high - low) * step / steps for step in range(steps + 1)]


def _simpson(values: list[float], length: float) -> float:
    inner = 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2])
    return (values[0] + inner + values[-1]) * length / (len(values) - 1) / 3


def _phi(z: float) -> float:
    return math.exp(-z * z / 2) / math.sqrt(2 * math.pi)


def _Phi(z: float) -> float:  # noqa: N802  its name
    return math.erfc(-z / math.sqrt(2)) / 2
