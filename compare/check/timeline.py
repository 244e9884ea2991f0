"""What the clients of one check did, in order, and what they said."""

from __future__ import annotations

import time
from collections import deque
from typing import NamedTuple

from compare.check.failure import FEW

REMEMBERED = 400  # calls; what went wrong is near the end
SAID = 16  # messages, among which that of another client is looked for


class Call(NamedTuple):
    """One system call of the client: seconds since the check began, who, what, and its result."""

    at_s: float
    client: str
    call: str
    result: str


class Timeline:
    """What the clients of one check did, in order; equal calls in a row are counted."""

    def __init__(self) -> None:
        self.stuck: str | None = None  # whose last wait was in vain, and nobody did more
        self._began = time.monotonic()
        self._calls: deque[tuple[Call, int]] = deque(maxlen=REMEMBERED)
        self._said: deque[tuple[str, bytes]] = deque(maxlen=SAID)

    def note(self, client: str, call: str, result: str = "") -> None:
        self.stuck = None
        now = Call(time.monotonic() - self._began, client, call, result)
        if self._calls and self._calls[-1][0][1:] == now[1:]:
            first, times = self._calls.pop()
            self._calls.append((first, times + 1))
        else:
            self._calls.append((now, 1))

    def say(self, client: str, data: bytes) -> None:
        """It is sent now, or some of it."""
        self._said.append((client, data))

    def is_of_another(self, client: str, piece: bytes) -> bool:
        """Whether that came to a client which has not said it, and another one has."""
        whose = {each for each, data in self._said if piece in data}
        return len(piece) > FEW and bool(whose) and client not in whose

    def calls(self) -> list[tuple[Call, int]]:
        return list(self._calls)
