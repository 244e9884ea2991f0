"""Find how far one can go: the highest rate at which something still holds."""

from __future__ import annotations

from collections.abc import Callable

RESOLUTION = 0.02  # of the top


def highest(holds: Callable[[float], bool], top: float) -> float | None:
    """The highest rate up to `top` at which `holds`, to within RESOLUTION of `top`.

    By bisection, so what holds at a rate is taken to hold below it. None if it holds at no
    rate that was tried, down to RESOLUTION of `top`.
    """
    if holds(top):
        return top
    low, high = 0.0, top
    while high - low > RESOLUTION * top:
        middle = (low + high) / 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low or None
