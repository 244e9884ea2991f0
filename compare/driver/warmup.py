"""When a server has warmed up: once its rate no longer drifts, and it keeps up with what is due."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from time import perf_counter_ns

from compare.driver.load import Load

SLICE_S = 0.02
SLICES = 6  # that must agree
WILD = 0.5  # standard deviation of a slice, of the rate: this is no noise but a step
DRIFT = 0.05  # of the rate, from the first half of them to the second


def warm_up(
    load: Load, tick: Callable[[int], None], at_most_s: float, until: int | None = None
) -> bool:
    """Drive until the rate is stationary, or for `at_most_s`; whether it was.

    The rate of an open loop is constant however long its queue grows; there what was due must
    be done as well. With `until`, a time in ns, exactly until then.
    """
    deadline = perf_counter_ns() + int(at_most_s * 1e9) if until is None else until
    operations: list[int] = []
    due: list[int] = []
    while (left := (deadline - perf_counter_ns()) / 1e9) > 0:
        before, offered = len(load.samples), load.offered
        load.run(min(SLICE_S, left), tick)
        operations.append(len(load.samples) - before)
        due.append(load.offered - offered)
        if until is None and is_warm(operations[-SLICES:], due[-SLICES:]):
            return True
    # The last one may be cut short.
    return is_warm(operations[-SLICES - 1 : -1], due[-SLICES - 1 : -1])


def is_warm(operations: Sequence[int], due: Sequence[int]) -> bool:
    """Whether slices show no drift, and no queue that grows; of a closed loop nothing is due."""
    offered = sum(due)
    behind = offered - sum(operations)
    return is_stationary(operations) and behind <= max(DRIFT * offered, 2 * math.sqrt(offered))


def is_stationary(operations: Sequence[int]) -> bool:
    """Whether slices of equal length show no drift: their halves differ by less than DRIFT.

    Or by no more than chance explains, where the slices differ that much among themselves, or
    hold only a few operations each: twice the standard error of the difference.
    """
    if len(operations) < SLICES:
        return False
    half = len(operations) // 2
    first, second = operations[:half], operations[half:]
    means = sum(first) / half, sum(second) / len(second)
    overall = sum(operations) / len(operations)
    spread = sum((x - means[0]) ** 2 for x in first) + sum((x - means[1]) ** 2 for x in second)
    variance = max(spread / (len(operations) - 2), overall)  # counts vary at least like that
    if variance > max(4 * overall, (WILD * overall) ** 2):
        return False
    error = math.sqrt(variance * (1 / half + 1 / len(second)))
    return abs(means[1] - means[0]) <= max(DRIFT * overall, 2 * error)
