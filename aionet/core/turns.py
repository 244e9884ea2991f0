"""Turns: who has more to say to others than these can take at once goes on a little later."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from aionet.core.peer import Peer, State, extra_of

if TYPE_CHECKING:
    from aionet.core.hub import Hub

SPREAD = 4 * 1024 * 1024  # bytes in a turn, over all who get them: some milliseconds
EACH = 64  # bytes that a delivery counts at least for each who gets it, however short it is
MADE = 16 * 1024  # what it counts beyond that: to make it takes its time, also if nobody hears it
PATIENCE_S = 1.0  # for those who are told to take what waits for them
TURN_S = 0.001  # until the next turn
LOOK_S = 0.01  # between two looks whether there is room


class _Pause:
    """rest: deliveries that a peer's service still has. to: who was told last. until: by when it
    goes on whether these take it or not.
    """

    __slots__ = ("rest", "to", "until")

    def __init__(self, rest: Iterator[tuple[Any, Any]], to: Any, until: float) -> None:
        self.rest = rest
        self.to = to
        self.until = until


class Turns:
    """What generators have for others is said in turns, so that everybody else has his as well.

    A turn ends when one who is told has more waiting than Limits.write_buffer, or when enough was
    handed out to all of them. For who does not take it in PATIENCE_S the others do not wait again
    until he has: he is told on, up to Limits.outbox.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self.paused: dict[Peer, _Pause] = {}
        self._slow: set[Peer] = set()  # were waited for in vain

    def begin(self) -> None:
        """Somebody's turn begins."""
        if self._slow:
            self._slow = {each for each in self._slow if self._hub.is_full(each)}

    def is_over(self, to: Any, spread: int) -> bool:
        """Whether a turn ends here: `spread` bytes were handed out, the last ones to `to`."""
        return spread > SPREAD or self._is_crowded(to)

    def pause(self, peer: Peer, to: Any) -> None:
        """`peer` has had its turn."""
        extra = extra_of(peer)
        if extra.rest is not None:
            self.paused[peer] = _Pause(extra.rest, to, self._hub.now + PATIENCE_S)
            extra.rest, extra.paused = None, True

    def forget(self, peer: Peer) -> Iterator[tuple[Any, Any]] | None:
        """It is gone, or nothing more is said for it; what it had to say."""
        self._slow.discard(peer)
        extra_of(peer).paused = False
        pause = self.paused.pop(peer, None)
        return pause.rest if pause is not None else None

    def go_on(self) -> float:
        """Give each of them its next turn, if there is room; how many seconds to the one after."""
        hub = self._hub
        delay = LOOK_S
        for peer, pause in list(self.paused.items()):
            if self.paused.get(peer) is not pause:
                continue  # another one's turn has ended it
            peer.seen = hub.now  # it is not idle, but waits for us
            if self._is_crowded(pause.to):
                if hub.now < pause.until:
                    continue
                self._give_up(pause.to)
            extra_of(peer).rest = self.forget(peer)
            hub.talk.catch_up(peer)
            delay = TURN_S
        return delay

    def _is_crowded(self, to: Any) -> bool:
        limit, slow = self._hub.limits.write_buffer, self._slow
        for peer in _all(to):
            extra = peer.extra
            waiting = peer.waiting if extra is None else peer.waiting + extra.unsent
            if waiting > limit and peer not in slow and peer.state is not State.GONE:
                return True
        return False

    def _give_up(self, to: Any) -> None:
        for peer in _all(to):
            if self._hub.is_full(peer) and peer.state is not State.GONE:
                extra_of(peer)  # so that its end is heard of: Talk.forget
                self._slow.add(peer)


def _all(to: Any) -> list[Peer]:
    return to if to.__class__ is list else [to]


def spread_of(to: Any, what: Any) -> int:
    """What a delivery counts, over all who get it."""
    size = len(what) if what.__class__ is bytes else 0
    return MADE + (len(to) if to.__class__ is list else 1) * max(size, EACH)
