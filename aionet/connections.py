"""All connections of a server: who gets a place, who has one, and what became of the others."""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import ssl
from collections import Counter, deque
from collections.abc import Callable, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.listener import LOOK_EVERY, Gate
from aionet.stats import DrainReport, Stats
from aionet.sweep import Sweep

if TYPE_CHECKING:
    from aionet.connection import Connection
    from aionet.datagram import DatagramEndpoint

log = logging.getLogger("aionet")

CANCEL_S = 1.0  # for a handler to clean up in
LOOPS_OWN_BUFFER = 64 * 1024  # above which asyncio and uvloop call pause_writing()


class Connections:
    """The table of connections, and what they share.

    limit: how many are served at a time.
    now: the sweep's clock, as of its last step: reading a clock for each message would cost
        more than knowing it to the step is worth.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        service: Any,
        limits: Limits,
        timeouts: Timeouts,
        *,
        limit: int,
        tls: ssl.SSLContext | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.loop = loop
        self.service = service
        self.receive_data = service.receive_data
        self.limits = limits
        # A plain transport has this one from the start, and most connections are short.
        usual = tls is None and limits.write_buffer == LOOPS_OWN_BUFFER
        self.write_buffer = None if usual else limits.write_buffer
        self.timeouts = timeouts
        self.limit = limit
        self.tls = tls
        self.hooks = hooks
        self.gate = Gate()
        self.now = loop.time()
        self.draining = False
        self.accepted = 0
        self.closed: Counter[CloseReason] = Counter()
        self.open: list[Connection] = []  # in no order; each knows its place
        self.tasks: set[asyncio.Task[None]] = set()  # handshakes and handlers
        self._served = 0
        self._waiting: deque[Connection] = deque()  # over the limit, but accepted already
        self._from: Counter[str] = Counter()  # served connections by where they come from
        self._looked = 0.0  # when descriptors were last looked at
        self._all_gone = asyncio.Event()
        self._unsent: list[Connection] = []  # peers to whom others have just talked
        self.sweep = Sweep(self)

    def stats(self, endpoints: Sequence[DatagramEndpoint] = ()) -> Stats:
        """The counters as they are now, with those of datagram endpoints beside them."""
        return Stats(
            accepted=self.accepted,
            open=len(self.open),
            waiting=sum(conn.index >= 0 for conn in self._waiting),
            closed=MappingProxyType({reason: self.closed[reason] for reason in CloseReason}),
            accepting=self.gate.open,
            out_of_descriptors=self.gate.out_of_descriptors,
            datagrams=sum(each.datagrams for each in endpoints),
            replies=sum(each.replies for each in endpoints),
            unanswered=sum(each.unanswered for each in endpoints),
            dropped=sum(each.dropped for each in endpoints),
        )

    # In.

    def admit(self, conn: Connection) -> None:
        """Give an accepted connection a place, or let it wait for one, or reset it."""
        self.accepted += 1
        conn.index = len(self.open)
        self.open.append(conn)
        if self.draining:
            conn.drop(CloseReason.DRAIN)
            return
        if self.now != self._looked or not self.accepted % LOOK_EVERY:
            self._looked = self.now
            self.gate.look_at_descriptors()
        if self._served < self.limit and not self._waiting:
            self._seat(conn)
        elif self.limits.on_full == "reject":
            self._reject(conn)
        else:
            conn.wait()
            self._waiting.append(conn)
            self.gate.hold(Gate.FULL)

    def _seat(self, conn: Connection) -> None:
        if self.limits.per_peer is not None and (source := source_of(conn.address)) is not None:
            if self._from[source] >= self.limits.per_peer:
                self._reject(conn)
                return
            self._from[source] += 1
        self._served += 1
        if self._served >= self.limit and self.limits.on_full == "queue":
            self.gate.hold(Gate.FULL)
        conn.seated = True
        if self.hooks is not None:
            self.tell(self.hooks.on_open, conn)
        conn.begin()

    def _reject(self, conn: Connection) -> None:
        conn.drop(CloseReason.REJECTED)
        if self.hooks is not None:
            self.tell(self.hooks.on_reject, conn)

    # Out.

    def discard(self, conn: Connection, reason: CloseReason) -> None:
        """The connection has ended. Its place in the list goes to the last one."""
        last = self.open.pop()
        if last is not conn:
            self.open[conn.index] = last
            last.index = conn.index
        conn.index = -1
        self.closed[reason] += 1
        if conn.seated:
            was_full = self._served >= self.limit
            self._served -= 1
            if self.limits.per_peer is not None and (source := source_of(conn.address)):
                self._from[source] -= 1
                if not self._from[source]:
                    del self._from[source]
            if self.hooks is not None:
                self.tell(self.hooks.on_close, conn, reason)
            if was_full:
                self._fill()
        if not self.open:
            self._all_gone.set()

    def _fill(self) -> None:
        """Give the free place to whoever waits, first to those accepted already."""
        while self._waiting and self._served < self.limit:
            conn = self._waiting.popleft()
            if conn.index >= 0 and not conn.closing:
                conn.go_on()
                self._seat(conn)
        if self._served < self.limit:
            self.gate.release(Gate.FULL)

    def tell(self, hook: Callable[..., None] | None, *what: Any) -> None:
        if hook is None:
            return
        try:
            hook(*what)
        except Exception:
            log.exception("a hook failed")

    # Output that is collected within a turn of the loop.

    def flush_soon(self, peer: Connection) -> None:
        """Flush `peer` after this turn of the loop: many messages then go in one call."""
        if not self._unsent:
            self.loop.call_soon(self._flush)
        self._unsent.append(peer)

    def _flush(self) -> None:
        unsent, self._unsent = self._unsent, []
        for peer in unsent:
            peer.flush()

    # The end.

    async def drain(self, timeout: float) -> DrainReport:
        """Treat every peer as having finished sending; after `timeout` s, reset who is left.

        The gate must be closed before. Handlers that are still running then are cancelled.
        """
        self.draining = True
        aborted = 0
        total = len(self.open)
        if goodbye := getattr(self.service, "say_goodbye", None):
            try:
                for peer, data in goodbye():
                    peer.put(data)
            except Exception:
                log.exception("the service failed to say goodbye")
        for conn in list(self.open):
            conn.drain()
        deadline = self.loop.time() + timeout
        if not await self._gone(deadline):
            aborted = len(self.open)
            for conn in list(self.open):
                conn.drop(CloseReason.DRAIN)
        await finish_tasks(self.tasks, deadline)
        await self._gone(None)
        self.sweep.stop()
        return DrainReport(max(total, aborted) - aborted, aborted)

    async def _gone(self, deadline: float | None) -> bool:
        """Whether everybody has left by `deadline`."""
        try:
            async with asyncio.timeout_at(deadline):
                while self.open:
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
        log.error("%d handlers ignored their cancellation and are left behind", len(tasks))


def source_of(address: Any) -> str | None:
    """Who is counted as one: an IPv4 address, or the /64 of an IPv6 one; None on Unix sockets.

    `address` is a socket's peer name. An IPv4 address inside an IPv6 one is that address.
    """
    if not isinstance(address, tuple):
        return None
    host = str(address[0])
    if ":" not in host:
        return host
    six = ipaddress.IPv6Address(host.partition("%")[0])
    if six.ipv4_mapped is not None:
        return str(six.ipv4_mapped)
    return six.exploded[:19]
