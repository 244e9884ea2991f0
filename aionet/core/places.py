"""Who gets a place, who waits for one, and who is turned away."""

from __future__ import annotations

import logging
from collections import Counter, deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from aionet.core.peer import Peer, State, extra_of
from aionet.core.rates import Rates
from aionet.core.source import source_of
from aionet.limits import CloseReason
from aionet.throttle import throttled

if TYPE_CHECKING:
    from aionet.core.hub import Hub, Shell

REOPEN = 16  # who was full accepts again at once when this part of the places is free


class Places:
    """As many as are served at a time. A place is free when its connection is gone, and the program
    that served it has ended, too.
    """

    def __init__(self, hub: Hub, shell: Shell, many: int) -> None:
        self._hub = hub
        self._accept = shell.accept
        self.many = many
        self.taken = 0
        self.full = False
        self._rates = Rates(hub)
        self._waiting: deque[Peer] = deque()  # accepted when there was no place any more
        self._of_source: Counter[str] = Counter()

    @property
    def waiting(self) -> int:
        """How many were accepted and have no place yet."""
        return sum(each.state is State.WAITING for each in self._waiting)

    def admit(self, peer: Peer) -> None:
        if self._rates.limited and not self._rates.may_come(peer):
            self._reject(peer)
        elif self.taken < self.many and not self._waiting and self._rates.take():
            self._seat(peer)
        elif self._hub.limits.on_full == "reject":
            self._reject(peer)
        else:
            peer.reads = False
            extra_of(peer)  # so that `begin` and a shell see that something was in its way
            self._hub.touch(peer)
            self._waiting.append(peer)
            self._close()

    def _seat(self, peer: Peer) -> None:
        hub = self._hub
        if hub.limits.per_peer is not None and (source := source_of(peer.address)) is not None:
            if self._of_source[source] >= hub.limits.per_peer:
                self._reject(peer)
                return
            self._of_source[source] += 1
            extra_of(peer).source = source
        self.taken += 1
        peer.place = 1
        if self.taken >= self.many and hub.limits.on_full == "queue":
            self._close()
        if hub.hooks.on_open is not None:
            tell(hub.hooks.on_open, peer)
        if peer.extra is None:
            hub.meet(peer)
        else:  # it may have waited
            hub.begin(peer)

    def _reject(self, peer: Peer) -> None:
        self._hub.reset(peer, CloseReason.REJECTED)
        if self._hub.hooks.on_reject is not None:
            tell(self._hub.hooks.on_reject, peer)

    def stay(self, peer: Peer) -> None:
        """A program serves it, and needs the place until it `release`s it."""
        peer.place += 1

    def leave(self, peer: Peer) -> None:
        """Its connection is gone."""
        if self._hub.hooks.on_close is not None:
            tell(self._hub.hooks.on_close, peer, peer.reason)
        self.release(peer)

    def release(self, peer: Peer) -> None:
        """Its connection, or the program that served it, needs the place no more."""
        peer.place -= 1
        if peer.place:
            return
        self.taken -= 1
        if peer.extra is not None:
            peer.extra.tls = None  # it is large, and a program may keep the peer
            if (source := peer.extra.source) is not None:
                self._of_source[source] -= 1
                if not self._of_source[source]:
                    del self._of_source[source]
        self._seat_waiting()
        if self.full and (self.many - self.taken) * REOPEN >= self.many:
            self.reopen()

    def reopen(self) -> None:
        """Accept again if there is a place.

        To begin and to stop accepting takes as long as to serve a short connection, so that it is
        not done for each that leaves, but for several, or after a moment.
        """
        self._seat_waiting()
        if self.full and self.taken < self.many and not self._waiting and self._rates.left:
            self.full = False
            self._accept(True)

    def _seat_waiting(self) -> None:
        while self._waiting and self.taken < self.many:
            if self._waiting[0].state is not State.WAITING:
                self._waiting.popleft()
            elif self._waiting[0].is_unknown():
                self._hub.reset(self._waiting.popleft(), CloseReason.RESET)
            elif self._rates.take():
                self._seat(self._waiting.popleft())
            else:
                return

    def _close(self) -> None:
        if not self.full:
            self.full = True
            self._accept(False)


def tell(hook: Callable[..., object], *what: object) -> None:
    try:
        hook(*what)
    except Exception:
        throttled(logging.ERROR, "a hook failed", traceback=True)
