"""A loop whose time is made up."""

from __future__ import annotations

import asyncio
import heapq
import time
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

REST_S = 10.0


class InMemory:
    """What has no descriptor to wait for."""


class ClockLoop(asyncio.SelectorEventLoop):
    """A loop whose time stands still until it is moved.

    rested: called whenever nothing is left to be done at a time; what it raises, the caller gets.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._due: list[float] = []  # a heap of when timers ring
        self._busy = False
        self.rested: Callable[[], None] | None = None
        super().__init__()

    def time(self) -> float:
        return self._now

    def call_at(  # type: ignore[override]
        self, when: float, *args: Any, **kwargs: Any
    ) -> asyncio.TimerHandle:
        heapq.heappush(self._due, when)
        return super().call_at(when, *args, **kwargs)

    def call_soon(  # type: ignore[override]
        self, *args: Any, **kwargs: Any
    ) -> asyncio.Handle:
        self._busy = True
        return super().call_soon(*args, **kwargs)

    def add_reader(self, fd: Any, callback: Any, *arguments: Any) -> None:  # type: ignore[override]
        """What is in memory is read when something is put there."""
        if not isinstance(fd, InMemory):
            super().add_reader(fd, callback, *arguments)

    def remove_reader(self, fd: Any) -> bool:
        return not isinstance(fd, InMemory) and super().remove_reader(fd)

    def settle(self) -> None:
        """Turn until nothing is left to be done at this time.

        Raises RuntimeError if there always is.
        """
        self._busy = True
        began = time.monotonic()
        while self._busy:
            if time.monotonic() - began > REST_S:
                raise RuntimeError(
                    f"it has not come to rest in {REST_S:g} s: does a handler send for ever to a "
                    "peer that reads? See connect(reads=False)"
                )
            self._busy = False
            super().call_soon(self.stop)
            self.run_forever()
        if self.rested is not None:
            self.rested()

    def advance(self, seconds: float) -> None:
        until = self._now + seconds
        while self._due and self._due[0] <= until:
            self._now = max(self._now, heapq.heappop(self._due))
            self.settle()
        self._now = until
        self.settle()

    def complete(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`; time moves from timer to timer while it waits."""
        task = self.create_task(work)
        self.settle()
        began = time.monotonic()
        while not task.done():
            if not self._due or time.monotonic() - began > REST_S:
                task.cancel()
                self.settle()
                raise RuntimeError("it waits for something that never happens here")
            self.advance(max(0.0, self._due[0] - self._now))
        return task.result()

    def close(self) -> None:
        """Cancel what is left, so that no task outlives the loop.

        Raises RuntimeError if one does not end all the same.
        """
        self.rested = None
        try:
            if not self.is_closed():
                left = asyncio.all_tasks(self)
                for task in left:
                    task.cancel()
                if left:
                    self.complete(_gather(left))
                self.run_until_complete(self.shutdown_asyncgens())
        finally:
            super().close()


async def _gather(tasks: set[asyncio.Task[Any]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)
