"""When operations are due in an open loop: at a rate, whatever the server does."""

from __future__ import annotations

import random
from collections.abc import Iterator

from compare.contract.spec import Arrivals


def due_times(start: int, rate: float, arrivals: Arrivals, seed: int) -> Iterator[int]:
    """Times in ns from `start` on, without end; `rate` a second.

    fixed: evenly spaced. poisson: independent of each other, as the requests of many people
    are, with exponentially distributed gaps (Kingman, Poisson Processes, 1993, 4.1).
    """
    gap = 1e9 / rate
    if arrivals == "fixed":
        number = 0
        while True:
            yield start + int(number * gap)
            number += 1
    draw = random.Random(seed).expovariate
    time = float(start)
    while True:
        time += draw(1.0) * gap
        yield int(time)
