"""The counters of all workers together, as their parent knows them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

from aionet.stats import Stats
from aionet.throttle import throttled

if TYPE_CHECKING:
    from aionet.server import Server

OnStats = Callable[[Stats], object]

TELL_S = 1.0


class Tally:
    """Adds up what workers report, those that have ended included."""

    def __init__(self, on_stats: OnStats) -> None:
        self._on_stats = on_stats
        self._workers: dict[int, Stats] = {}  # by pid, of those that are there
        self._over: list[Stats] = []  # of all that have ended, at most one

    def report(self, pid: int, data: bytes) -> None:
        self._workers[pid] = Stats.unpack(data)
        self._tell()

    def end(self, pid: int) -> None:
        """That worker has ended; what it reported last still counts."""
        if stats := self._workers.pop(pid, None):
            self._over = [reduce(add, [stats.over(), *self._over])]
            if stats.open:
                self._tell()

    def _tell(self) -> None:
        tell(self._on_stats, reduce(add, [*self._workers.values(), *self._over]))


def tell(on_stats: OnStats, stats: Stats) -> None:
    try:
        on_stats(stats)
    except Exception:
        throttled(logging.ERROR, "on_stats failed", traceback=True)


@contextlib.asynccontextmanager
async def keep_telling(server: Server, on_stats: OnStats) -> AsyncIterator[None]:
    """Within it, `on_stats` is called once a second if counters have changed, and at the end."""

    async def keep() -> None:
        last = None
        while True:
            await asyncio.sleep(TELL_S)
            if (stats := server.stats) != last:
                last = stats
                tell(on_stats, stats)

    telling = asyncio.create_task(keep())
    try:
        yield
    finally:
        telling.cancel()
        with contextlib.suppress(RuntimeError):  # it has not come to serve
            tell(on_stats, server.stats)
