"""The connections of a server on a loop: the hub's clock, its listeners, and their end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

from aionet.core import hub_class, meter
from aionet.descriptors import descriptor_reserve
from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.listener import Gate
from aionet.protocol import Service
from aionet.stats import DrainReport, Stats
from aionet.throttle import throttled

if TYPE_CHECKING:
    from aionet.datagram import DatagramEndpoint
    from aionet.proxied import Proxied

log = logging.getLogger("aionet")

CANCEL_S = 1.0  # for a handler to clean up in
LOOPS_OWN_BUFFER = 64 * 1024  # above which asyncio and uvloop call pause_writing()


class Connections:
    """A hub's shell on an event loop. limit: how many are served at a time.

    may_be_tls: whether some of them speak it, or will.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        *,
        limit: int,
        may_be_tls: bool = False,
        count_bytes: bool = False,
        hooks: Hooks | None = None,
    ) -> None:
        self.loop = loop
        # A transport has this one from the start, and most connections are short.
        usual = limits.write_buffer == LOOPS_OWN_BUFFER
        self.write_buffer = None if usual else limits.write_buffer
        self.gate = Gate()
        self.tasks: set[asyncio.Task[None]] = set()  # of handlers
        self.unnamed: set[Proxied] = set()  # have not said yet for whom they are
        self.draining = asyncio.Event()
        self._all_gone = asyncio.Event()
        self._ticking: asyncio.TimerHandle | None = None
        self.looked = -1.0  # when descriptors were last looked at
        self.look_at = 0  # accepts, at the latest
        now = loop.time()
        self.hub = hub_class(may_be_tls)(
            service, limits, timeouts, self, places=limit, now=now, hooks=hooks
        )
        if count_bytes:
            meter.count_bytes(self.hub)

    def stats(self, endpoints: Sequence[DatagramEndpoint] = ()) -> Stats:
        """The counters as they are now, with those of datagram endpoints beside them."""
        hub = self.hub
        return Stats(
            accepted=hub.accepted,
            open=len(hub.open),
            waiting=hub.places.waiting,
            closed=MappingProxyType({**hub.closed}),
            accepting=self.gate.open,
            out_of_descriptors=self.gate.out_of_descriptors,
            datagrams=sum(each.datagrams for each in endpoints),
            handlers=len(self.tasks),
            replies=sum(each.replies for each in endpoints),
            received_bytes=hub.received_bytes,
            sent_bytes=hub.sent_bytes,
            unanswered=sum(each.unanswered for each in endpoints),
            dropped=sum(each.dropped for each in endpoints),
        )

    # What the hub wants.

    def wake(self) -> None:
        self.loop.call_soon(self._settle)

    def _settle(self) -> None:
        """After this turn of the loop: many messages to a peer then go in one call."""
        dirty, self.hub.dirty = self.hub.dirty, []
        for peer in dirty:
            if peer.dirty:
                try:
                    peer.settle()
                except Exception:
                    failed = "the connection from %s failed"
                    throttled(logging.ERROR, failed, peer.address, traceback=True)
        if (turns := self.hub.talk.turns).paused:  # rather now than at the next tick
            turns.go_on()

    def accept(self, more: bool) -> None:
        if more:
            self.gate.release(Gate.FULL)
        else:
            self.gate.hold(Gate.FULL)

    # Time.

    def start(self) -> None:
        self._tick()

    def _tick(self) -> None:
        delay = 1.0
        try:
            if self.gate.is_short:
                self.gate.look_at_descriptors()
            delay = self.hub.tick(self.loop.time())
        except Exception:
            throttled(logging.ERROR, "time stands still for a while", traceback=True)
        self._ticking = self.loop.call_later(delay, self._tick)

    def accepted(self) -> None:
        """Somebody was accepted."""
        if self.hub.now != self.looked or self.hub.accepted + len(self.unnamed) >= self.look_at:
            self.look_at_descriptors()

    def look_at_descriptors(self) -> None:
        """After an accept, now and then."""
        self.looked = self.hub.now
        self.look_at = self.hub.accepted + len(self.unnamed) + descriptor_reserve() // 8
        self.gate.look_at_descriptors()

    # The end.

    async def drain(self, deadline: float) -> DrainReport:
        """Treat every peer as having finished sending; at `deadline`, reset who is left.

        The gate must be closed before. Handlers that are still running then are cancelled.
        """
        hub = self.hub
        total = len(hub.open)
        self.draining.set()
        for each in list(self.unnamed):
            each.refuse(CloseReason.DRAIN)
        hub.drain()
        aborted = 0
        try:
            if self.loop.time() >= deadline or not await self.all_gone(deadline):
                aborted = hub.end()
        except asyncio.CancelledError:
            hub.end()  # or they would be served on while the loop closes
            raise
        await finish_tasks(self.tasks, deadline)
        await self.all_gone(None)
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        return DrainReport(max(total, aborted) - aborted, aborted)

    def left(self) -> None:
        """A connection has gone."""
        if not self.hub.open and not self.unnamed:
            self._all_gone.set()

    async def all_gone(self, deadline: float | None) -> bool:
        """Whether everybody has left by `deadline`."""
        try:
            async with asyncio.timeout_at(deadline):
                while self.hub.open or self.unnamed:
                    self._all_gone.clear()
                    await self._all_gone.wait()
        except TimeoutError:
            return False
        return True


async def finish_tasks(tasks: set[asyncio.Task[None]], deadline: float) -> None:
    """Wait for `tasks` until `deadline`, then cancel them; not for one that ignores that."""
    if tasks:
        loop = asyncio.get_running_loop()
        await asyncio.wait(tasks, timeout=max(0.0, deadline - loop.time()))
    if tasks:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks, timeout=CANCEL_S)
    if tasks:
        log.error("handlers that ignored their cancellation and are left behind: %d", len(tasks))
