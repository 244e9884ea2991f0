"""Connect, warm up, and turn to each server in slices, in shuffled order."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from time import perf_counter_ns

import msgspec

from compare.contract.outcome import Outcome
from compare.contract.plan import Agree
from compare.contract.spec import FEWEST, LONGEST_S, Spec
from compare.driver.turns import Turns

LEAD_LATENCIES = 2  # that are left out before a slice at least, and
LATENCIES = 3  # that it lasts at least; but neither is longer than LONGEST_S for that
SPIN_NS = 100_000  # the end of a wait: a sleep ends some 0.06 ms late


def drive(
    spec: Spec, told: Callable[[int], None] | None = None, agree: Agree | None = None
) -> list[Outcome]:
    """Put the load on every target, which is ready; `told` hears of the operations of all.

    All are connected at once, and have their turns block after block (Latin letters of a
    randomised block design), so that whatever changes the speed of the machine changes it for
    all. agree: asked once the connections are there, where several drivers do this together to
    one target: when to begin.
    """
    everybody: list[Turns] = []

    def tell() -> None:
        if told:
            told(sum(len(each.load.samples) for each in everybody))

    everybody += [Turns(spec, target, tell) for target in spec.targets]
    for each in everybody:
        each.workload.connect()
    if agree:
        return [_together(everybody[0], agree)]
    for each in everybody:
        each.warm_up()
    usual = [each.usual_s() for each in everybody]
    leads = {
        each: max(each.workload.lead_s, min(LONGEST_S, LEAD_LATENCIES * usual_s))
        for each, usual_s in zip(everybody, usual, strict=True)
    }
    ours = (usual_s for each, usual_s in zip(everybody, usual, strict=True) if not each.over)
    slices, slice_s = _slices(spec, max(ours, default=0.0))
    order = random.Random(spec.seed)
    for _ in range(slices):
        for each in order.sample(everybody, len(everybody)):
            if not each.over:
                each.take(slice_s, leads[each])
    if spec.trace:
        for each in everybody:
            each.take_picture()
    return [each.finish() for each in everybody]


def _slices(spec: Spec, usual_s: float) -> tuple[int, float]:
    """How many, and how long.

    A slice must hold several messages of each connection. Where they take long, it is longer, and
    there are fewer of them in the same time.
    """
    if spec.slices == 1:
        return 1, spec.slice_s
    slice_s = min(LONGEST_S, max(spec.slice_s, LATENCIES * usual_s))
    return max(FEWEST, round(spec.slices * spec.slice_s / slice_s)), slice_s


def _together(turns: Turns, agree: Agree) -> Outcome:
    """As one of several drivers, whose only turn begins when theirs do."""
    plan = agree(turns.load.counts)
    if plan.peers:
        turns.workload.meet(plan.peers)
    wait_until(plan.begin_ns)
    late_ns = perf_counter_ns() - plan.begin_ns
    turns.take(turns.spec.slice_s, plan=plan)
    return msgspec.structs.replace(turns.finish(), late_ns=late_ns)


def wait_until(instant_ns: int) -> None:
    """Sleep, and spin for the last of it."""
    while (left := instant_ns - perf_counter_ns()) > 0:
        if left > SPIN_NS:
            time.sleep((left - SPIN_NS) / 1e9)
