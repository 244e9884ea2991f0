"""How many newcomers there may be in a second, and who is not wanted at all."""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING

from aionet.core.peer import Peer
from aionet.core.source import source_of
from aionet.throttle import throttled

if TYPE_CHECKING:
    from aionet.core.hub import Hub

WINDOW_S = 1.0


class Rates:
    """Lets newcomers in, as far as Limits.rate, .peer_rate and the hook on_accept allow.

    limited: whether any of them was set; nothing else need be asked if not.
    """

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._rate, self._peer_rate = hub.limits.rate, hub.limits.peer_rate
        self._filter = hub.hooks.on_accept
        self.limited = any(each is not None for each in (self._rate, self._peer_rate, self._filter))
        self._left = float(self._rate or 0)  # newcomers, before others have to wait
        self._filled = hub.now
        self._began = hub.now  # the second in which sources are counted
        self._of_source: Counter[str] = Counter()

    def may_come(self, peer: Peer) -> bool:
        """Whether this one may come at all."""
        if self._peer_rate is not None and not self._counts(peer, self._peer_rate):
            return False
        return self._filter is None or self._passes(peer)

    @property
    def left(self) -> bool:
        """Whether one more may be let in now."""
        if self._rate is None:
            return True
        now = self._hub.now
        self._left = min(float(self._rate), self._left + (now - self._filled) * self._rate)
        self._filled = now
        return self._left >= 1

    def take(self) -> bool:
        """Let one more in, if there may be."""
        if self._rate is None:
            return True
        if not self.left:
            return False
        self._left -= 1
        return True

    def _counts(self, peer: Peer, most: int) -> bool:
        source = source_of(peer.address)
        if source is None:
            return True
        if self._hub.now - self._began >= WINDOW_S:
            self._of_source.clear()
            self._began = self._hub.now
        self._of_source[source] += 1
        return self._of_source[source] <= most

    def _passes(self, peer: Peer) -> bool:
        assert self._filter is not None
        try:
            if (let_in := self._filter(peer)) is not True and let_in is not False:
                raise TypeError(f"on_accept gave {let_in!r}; it must be True or False")
            return let_in
        except Exception:
            throttled(logging.ERROR, "on_accept failed; who came is reset", traceback=True)
            return False
