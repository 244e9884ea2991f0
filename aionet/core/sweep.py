"""Deadlines without timers: one sweep looks at all peers in turn.

A timer for each peer, moved at every message, would cost more than the message. So a peer only
notes when something last came or went, and the sweep, a few peers at a time, finds those for which
that is too long ago.
"""

from __future__ import annotations

from collections import OrderedDict
from math import ceil
from typing import TYPE_CHECKING

from aionet.core.peer import Extra, Peer, State, extra_of
from aionet.limits import CloseReason

if TYPE_CHECKING:
    from aionet.core.hub import Hub

# To look at everybody once: a sixteenth of the shortest timeout, within these seconds.
PERIOD_S = (0.05, 4.0)
STEPS = 16  # of a period
STEP_S = 0.01  # at the least
EVER_S = 24 * 3600.0
SLICE = 256  # peers a step, about 0.1 ms: nobody else should notice
LINGER_LOOKS = 8  # in Timeouts.linger, whether all has been acknowledged


class Sweep:
    """Looks at every peer once in each `period`, and at those who are closed more often."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        timeouts = hub.timeouts
        waits = [timeouts.idle, timeouts.half_closed, timeouts.write, timeouts.message]
        if hub.shakes_hands:
            waits.append(timeouts.handshake)
        least, most = PERIOD_S
        shortest = min((wait for wait in waits if wait is not None), default=EVER_S)
        self.period = min(max(shortest / 16, least), most)
        self._linger_look = max(timeouts.linger / LINGER_LOOKS, STEP_S)
        self._next = -1  # from the end down: what is appended meanwhile need not be looked at
        self._closed: OrderedDict[Peer, float] = OrderedDict()  # when to look at it
        self._stepped: float | None = None
        self._delay = 0.0  # to the next step

    def see_off(self, peer: Peer) -> None:
        """It was closed: look whether it takes the rest, and then ends itself."""
        if peer.extra is not None:
            peer.extra.base_at = -1.0
        self._closed[peer] = self._hub.now + self._linger_look

    def forget(self, peer: Peer) -> None:
        """It is gone, and must not be kept until it would be looked at."""
        self._closed.pop(peer, None)

    def step(self, time: float) -> float:
        """Look at some; how many seconds there are to the next step."""
        hub = self._hub
        if self._stepped is not None:
            # Whatever came while the program was held up was noted with the time before. That time
            # must not count as silence, so a step of our clock is never much longer than it should.
            hub.now += min(time - self._stepped, 2 * self._delay)
        self._stepped, now = time, hub.now
        due = now + self._delay / 2  # the nearest step
        while self._closed and next(iter(self._closed.values())) <= due:
            self._look_at_closed(self._closed.popitem(last=False)[0], now)
        everybody = hub.open
        steps = max(STEPS, len(everybody) // SLICE)
        self._delay = max(min(self.period / steps, self._linger_look), STEP_S)
        # The last one of the list takes the index of one that leaves. Going downwards, that
        # one was looked at this time round, and will be the next; upwards it would be missed.
        index = min(self._next, len(everybody) - 1)
        stop = index - max(1, ceil(len(everybody) * self._delay / self.period))
        while index > stop and index >= 0:
            self._look(everybody[index], now)
            index = min(index - 1, len(everybody) - 1)
        self._next = index if index >= 0 else len(everybody) - 1
        return self._delay

    def _look(self, peer: Peer, now: float) -> None:
        timeouts, state, extra = self._hub.timeouts, peer.state, peer.extra
        if state is State.HANDSHAKE:
            if timeouts.handshake is not None and now - extra_of(peer).since > timeouts.handshake:
                self._hub.expire(peer, CloseReason.HANDSHAKE)
            return
        if state is not State.OPEN and state is not State.HALF_CLOSED:
            return
        if extra is not None and (extra.unsent or extra.base_at >= 0):
            self._judge(peer, extra, now)
            if peer.state is State.GONE:
                return
        limit = timeouts.idle if state is State.OPEN else timeouts.half_closed
        if (
            extra is not None
            and extra.message is not None
            and peer.reads
            and timeouts.message is not None
            and now - extra.since > timeouts.message
        ):
            self._hub.expire(peer, CloseReason.SLOW_MESSAGE)
        elif limit is not None and now - peer.seen > limit:
            if peer.unacked():
                self._watch(peer, now)  # it has something to take: that is another question
            elif extra is not None and extra.base_at >= 0:
                extra.base_at, peer.seen = -1.0, now  # it had, and has taken all of it
                self._hub.talk.ease(peer)
            else:
                self._hub.expire(peer, CloseReason.IDLE)

    # Who takes too little.

    def _watch(self, peer: Peer, now: float) -> None:
        extra = extra_of(peer)
        if extra.base_at < 0:
            extra.base, extra.given, extra.base_at = peer.unacked(), 0, now
            if peer.outbox is None:
                peer.outbox = []  # so that what is given to it is counted

    def _judge(self, peer: Peer, extra: Extra, now: float) -> None:
        """Reset who in Timeouts.write took not even Limits.min_rate of what waited for it then."""
        timeouts, state = self._hub.timeouts, peer.state
        # Where nobody is too slow, who takes something is still not idle.
        window = timeouts.write or (timeouts.idle if state is State.OPEN else timeouts.half_closed)
        if window is None:
            return
        if extra.base_at < 0:
            self._watch(peer, now)
        elif now - extra.base_at > window:
            unacked = peer.unacked()
            taken = extra.base + extra.given - unacked
            least = self._hub.limits.min_rate * (now - extra.base_at)
            if timeouts.write is None:
                if unacked and not taken and not peer.closing and now - peer.seen > window:
                    self._hub.expire(peer, CloseReason.IDLE)
                    return
            elif unacked and taken < min(extra.base, max(1.0, least)):
                self._hub.reset(peer, CloseReason.SLOW_READER)
                return
            extra.base_at = -1.0
            if taken:
                peer.seen = now
            if unacked:
                self._watch(peer, now)
            else:
                self._hub.talk.ease(peer)

    def _look_at_closed(self, peer: Peer, now: float) -> None:
        """Linger counts from when the last byte was acknowledged."""
        extra = extra_of(peer)
        if peer.outbox or peer.unacked():
            self._judge(peer, extra, now)
        elif peer.state is State.FLUSHING:
            peer.state, extra.since = State.LINGERING, now
        elif now - extra.since >= self._hub.timeouts.linger:
            self._hub.close_now(peer)
        if peer.state is not State.GONE:
            self._closed[peer] = now + self._linger_look
