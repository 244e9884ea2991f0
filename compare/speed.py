"""Which rounds were measured while the machine was at full speed."""

from __future__ import annotations

from collections.abc import Sequence

from compare.driver.probe import Work
from compare.result import Round

SLOW = 1.3  # times the shortest, that the same work took


def at_full_speed(rounds: Sequence[Round], among: Sequence[Round]) -> list[bool]:
    """For each of `rounds`, beside the shortest work `among` rounds of the same machine.

    What is not known is taken for fast.
    """
    works = [each.work for each in among if each.work]
    if not works:
        return [True] * len(rounds)
    server = min(each.server_ns for each in works)
    driver = min(each.driver_ns for each in works)

    def is_fast(work: Work | None) -> bool:
        if work is None:
            return True
        return work.server_ns <= SLOW * server and work.driver_ns <= SLOW * driver

    return [is_fast(each.work) for each in rounds]
