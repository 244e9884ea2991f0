"""Which rounds were measured while the machine was at full speed."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from compare.driver.probe import Work
from compare.results.records import Round

SLOW: dict[Callable[[Work], int | None], float] = {
    lambda work: work.server_ns: 1.3,  # times the shortest, that the same work took
    lambda work: work.driver_ns: 1.3,
    lambda work: work.between_ns: 1.2,  # it says the most
}


def at_full_speed(rounds: Sequence[Round], among: Sequence[Round]) -> list[bool]:
    """For each of `rounds`, beside the shortest work `among` rounds of the same machine.

    What is not known is taken for fast.
    """
    fast = [True] * len(rounds)
    for part, slow in SLOW.items():
        shortest = min((took for each in among if (took := _took(part, each))), default=None)
        if shortest is None:
            continue
        for number, each in enumerate(rounds):
            took = _took(part, each)
            fast[number] &= took is None or took <= slow * shortest
    return fast


def _took(part: Callable[[Work], int | None], of: Round) -> int | None:
    return part(of.work) if of.work else None
