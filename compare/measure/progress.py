"""How far a run is, as a watcher is told."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from compare.results.records import Key, Round


@dataclass
class Progress:
    """What a watcher is told. `done` and `total` count cells over all rounds.

    beside: others that are measured at the same time.
    said: a line to be kept, such as on why a model is not measured.
    rates: operations a second in the window that is under way, some ten times a second.
    """

    key: Key
    round: int
    done: int
    total: int
    beside: int = 0
    finished: Round | None = None
    failure: str | None = None
    note: str = ""
    said: str = ""
    rates: list[float] = field(default_factory=list)
    _last: tuple[float, int] | None = None

    def begin(self) -> None:
        """Another window, on a fresh server."""
        self.rates, self._last = [], None

    def count(self, operations: int) -> None:
        """So many there have been by now."""
        now = time.monotonic()
        if self._last is not None and now > self._last[0]:
            self.rates.append((operations - self._last[1]) / (now - self._last[0]))
        self._last = now, operations
