"""Timeouts without timers: one sweep looks at all connections in turn.

A timer for each connection, moved at every message, would cost more than the message. So a
connection only notes when something last came or went, and the sweep, a few connections at a
time, finds those for which that is too long ago.
"""

from __future__ import annotations

import asyncio
from collections import deque
from math import ceil
from typing import TYPE_CHECKING, Any

from aionet.limits import CloseReason

if TYPE_CHECKING:
    from aionet.connection import Connection
    from aionet.connections import Connections

# To look at everybody once: a sixteenth of the shortest timeout, within these. A message's
# begin may be noticed two periods late, and so may its end: see the order in _step().
PERIOD_S = (0.05, 4.0)
STEPS = 16  # of a period
STEP_S = 0.01  # at the least
EVER_S = 24 * 3600.0
SLICE = 256  # connections a step, about 0.1 ms: nobody else should notice


class Sweep:
    """Looks at every connection once in each `period`."""

    def __init__(self, connections: Connections) -> None:
        self._all = connections
        timeouts = connections.timeouts
        self._unfinished: Any = None
        if timeouts.message is not None:
            self._unfinished = getattr(connections.service, "unfinished", None)
        waits = [timeouts.idle, timeouts.half_closed, timeouts.write]
        if self._unfinished is not None:
            waits.append(timeouts.message)
        least, most = PERIOD_S
        shortest = min((wait for wait in waits if wait is not None), default=EVER_S)
        self.period = min(max(shortest / 16, least), most)
        self._next = -1  # from the end down: what is appended meanwhile need not be looked at
        self._began = self._since = connections.now  # this time round, and the one before
        self._lingering: deque[tuple[float, Connection]] = deque()
        self._handle: asyncio.TimerHandle | None = None
        self._stepped = connections.loop.time()
        self._delay = 0.0  # to the next step

    def start(self) -> None:
        self._step()

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def close_later(self, conn: Connection) -> None:
        """Close it after Timeouts.linger, should its peer not do so first."""
        self._lingering.append((self._all.loop.time() + self._all.timeouts.linger, conn))

    def _step(self) -> None:
        connections, loop = self._all, self._all.loop
        time = loop.time()
        # Whatever came while the loop was held up was noted with the time before. That time
        # must not count as silence, so a step of our clock is never much longer than it should.
        connections.now += min(time - self._stepped, 2 * self._delay)
        self._stepped, now = time, connections.now
        if connections.gate.is_short:
            connections.gate.look_at_descriptors()
        while self._lingering and self._lingering[0][0] <= time:
            self._lingering.popleft()[1].close_now()
        everybody = connections.open
        steps = max(STEPS, len(everybody) // SLICE)
        # Who lingers is looked for in every step, everybody else once in a period.
        self._delay = delay = max(min(self.period / steps, self._all.timeouts.linger / 4), STEP_S)
        # The last one of the list takes the place of one that leaves. Going downwards, that
        # one was looked at this time round, and will be the next; upwards it would be missed.
        index = min(self._next, len(everybody) - 1)
        stop = index - max(1, ceil(len(everybody) * delay / self.period))
        while index > stop and index >= 0:
            self._look(everybody[index], now)
            index = min(index - 1, len(everybody) - 1)
        if index < 0:
            index = len(everybody) - 1
            self._since, self._began = self._began, now
        self._next = index
        self._handle = loop.call_later(delay, self._step)

    def _look(self, conn: Connection, now: float) -> None:
        timeouts = self._all.timeouts
        quiet = now - conn.seen
        if conn.closing or not conn.seated:
            if conn.seated and timeouts.write is not None and quiet > timeouts.write:
                conn.look_for_progress(now)
            return
        limit = timeouts.half_closed if conn.eof else timeouts.idle
        if limit is not None and quiet > limit:
            conn.expire(CloseReason.IDLE)
        elif self._unfinished is not None and (
            conn.message is not None or conn.seen >= self._since
        ):
            self._time_message(conn, now)
        if conn.paused and timeouts.write is not None:
            conn.look_for_progress(now)

    def _time_message(self, conn: Connection, now: float) -> None:
        limit = self._all.timeouts.message
        try:
            message = self._unfinished(conn)
        except Exception:
            conn.fail()
            return
        if message is None or message != conn.message:
            conn.message, conn.message_since = message, now
        elif limit is not None and now - conn.message_since > limit:
            conn.expire(CloseReason.SLOW_MESSAGE)
