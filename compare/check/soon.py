"""How soon a server answers who waits for each answer."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from compare.check.failure import Failed

SOON_S = 0.01


def must_be_soon(
    tries: Sequence[Sequence[float]], what: str, limit: float, distance: float
) -> None:
    """The trips there and back, in seconds and in several tries, are short as a rule.

    limit: as slow as the machine is now. distance: what the network takes. On a busy machine
    somebody else may have had the CPU; who waits by itself does so every time, so that not even
    the fastest trip is one that an idle machine would call soon.
    """
    usual = min(map(statistics.median, tries))
    fastest = min(map(min, tries))
    if usual > limit + distance:
        many, took, allowed = "half", usual, limit + distance
    elif fastest > SOON_S + distance:
        many, took, allowed = "all", fastest, SOON_S + distance
    else:
        return
    raise Failed(
        f"{what} within {allowed * 1000:.0f} ms, as a rule",
        f"{many} of them took {took * 1000:.0f} ms or more: it waits before it answers",
    )
