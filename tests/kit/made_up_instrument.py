"""An instrument that measures nothing: it finds what a test has it find."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from compare.contract.outcome import Outcome
from compare.measure.testbed import Finding
from compare.results.records import Key, Round, Settings


class Instrument:
    """Stands for the measurement of blocks: what it was asked for, and what it is to find.

    `find` gives what the next round is to have, for a cell and its rate, or why there is none, or
    raises. keys, rates: cell by cell; blocks, numbers: round by round.
    """

    def __init__(self, outcome: Outcome, make_round: Callable[..., Round]) -> None:
        self.keys: list[Key] = []
        self.rates: list[float | None] = []
        self.blocks: list[list[Key]] = []
        self.numbers: list[int] = []
        self.find: Callable[[Key, float | None], dict[str, Any] | str] = lambda key, rate: {}
        self._outcome = outcome
        self._make_round = make_round

    def measure(
        self,
        keys: Sequence[Key],
        settings: Settings,
        rates: Mapping[Key, float],
        told: Callable[[int], None],
        *,
        number: int = 1,
    ) -> dict[Key, Finding]:
        self.blocks.append([*keys])
        self.numbers.append(number)
        return {key: self._measure(key, rates.get(key), number) for key in keys}

    def _measure(self, key: Key, rate: float | None, number: int) -> Finding:
        self.keys.append(key)
        self.rates.append(rate)
        if key.model == "bad":
            return "as always"
        found = self.find(key, rate)
        if isinstance(found, str):
            return found
        return self._outcome, self._make_round(number=number, **found)
