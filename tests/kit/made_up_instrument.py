"""An instrument that measures nothing: it finds what a test has it find."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compare.driver.outcome import Outcome
from compare.host.launch import LaunchError
from compare.results.records import Key, Round, Settings


class Instrument:
    """Stands for the measurement of one cell: what it was asked for, and what it is to find.

    `find` gives what the next round is to have, for a cell and its rate, or raises.
    """

    def __init__(self, outcome: Outcome, make_round: Callable[..., Round]) -> None:
        self.keys: list[Key] = []
        self.rates: list[float | None] = []
        self.find: Callable[[Key, float | None], dict[str, Any]] = lambda key, rate: {}
        self._outcome = outcome
        self._make_round = make_round

    def measure(
        self,
        key: Key,
        settings: Settings,
        rate: float | None,
        wait: Callable[[], None],
        *,
        number: int = 0,
    ) -> tuple[Outcome, Round]:
        self.keys.append(key)
        self.rates.append(rate)
        if key.model == "bad":
            raise LaunchError("as always")
        return self._outcome, self._make_round(**self.find(key, rate))
