"""What servers on a loop of asyncio have in common, whatever reads and writes there."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable

from aionet.command import Serve
from aionet.signals import end_at_once
from compare.contenders.connection import hub_of


class Server:
    """A hub's shell: its peers write at once, so that to settle with them takes no waiting."""

    def __init__(self, task: Serve) -> None:
        self.loop = asyncio.get_running_loop()
        self.timeouts = task.timeouts
        self.hub = hub_of(task, self, self.loop.time())
        self._ended = asyncio.Event()
        self._tick()

    def wake(self) -> None:
        self.loop.call_soon(self._settle)

    def _settle(self) -> None:
        """After this turn of the loop: many messages to a peer then go in one call."""
        dirty, self.hub.dirty = self.hub.dirty, []
        for conn in dirty:
            conn.settle()

    def accept(self, more: bool) -> None:
        """As Shell.accept: who comes when there is no place waits for one."""

    def _tick(self) -> None:
        self.loop.call_later(self.hub.tick(self.loop.time()), self._tick)
        if self.hub.draining and not self.hub.open:
            self._ended.set()

    async def drain(self) -> None:
        """Treat every peer as having finished sending; reset who is not done in time."""
        self.hub.drain()
        self.loop.call_later(self.timeouts.drain, self.hub.end)
        await self._ended.wait()


async def signalled(ready: Callable[[], None]) -> None:
    """Until SIGTERM or SIGINT; a second one ends at once."""
    loop, told = asyncio.get_running_loop(), asyncio.Event()

    def stop() -> None:
        told.set()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, end_at_once, number)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    ready()
    await told.wait()
