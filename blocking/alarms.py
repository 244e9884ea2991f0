"""What is to happen later, on a thread that only waits for descriptors."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable


class Alarms:
    """Callbacks and when they are due. Empty, it is false."""

    def __init__(self) -> None:
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()  # so that equal times do not compare callbacks

    def __bool__(self) -> bool:
        return bool(self._due)

    def call_later(self, delay: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._due, (time.monotonic() + delay, next(self._serial), callback))

    def ring(self) -> float | None:
        """Call what is due; how many seconds there are until the next, None without one."""
        while self._due:
            left = self._due[0][0] - time.monotonic()
            if left > 0:
                return left
            heapq.heappop(self._due)[2]()
        return None
