"""An instrument that measures nothing: it finds what a test has it find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compare.contract.outcome import Outcome
from compare.measure.testbed import Block, Finding
from compare.models.model import Model
from compare.results.records import Idle, Key, Round

ONE, TWO, BAD = (Model(name, "made up", ()) for name in ("one", "two", "bad"))


class Instrument:
    """Stands for the measurement of blocks: what it was asked for, and what it is to find.

    `find` gives what the next round is to have, for a cell and its rate, or why there is none, or
    the idle connections that were too many, or raises. `bad` always fails. keys, rates: cell by
    cell; blocks, numbers: round by round.
    """

    def __init__(self, outcome: Outcome, make_round: Callable[..., Round]) -> None:
        self.keys: list[Key] = []
        self.rates: list[float | None] = []
        self.blocks: list[list[Key]] = []
        self.numbers: list[int] = []
        self.find: Callable[[Key, float | None], dict[str, Any] | Idle | str] = lambda key, rate: {}
        self._outcome = outcome
        self._make_round = make_round

    def measure(self, block: Block, *_: object) -> dict[str, Finding]:
        keys = [Key(each.name, block.load) for each in block.models]
        self.blocks.append(keys)
        self.numbers.append(block.number)
        return {
            key.model: self._measure(key, block.rates.get(key.model), block.number) for key in keys
        }

    def _measure(self, key: Key, rate: float | None, number: int) -> Finding:
        self.keys.append(key)
        self.rates.append(rate)
        if key.model == BAD.name:
            return "as always"
        found = self.find(key, rate)
        if not isinstance(found, dict):
            return found
        return self._outcome, self._make_round(number=number, **found)
