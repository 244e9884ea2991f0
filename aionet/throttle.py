"""Log lines that a peer can cause: of each kind a few a second, and how many there were."""

from __future__ import annotations

import logging
import time

log = logging.getLogger("aionet")

MOST = 5  # of a kind
WINDOW_S = 1.0


class _Kind:
    """What was logged of one kind of line lately."""

    __slots__ = ("lines", "silent", "since")

    def __init__(self) -> None:
        self.since = -WINDOW_S
        self.lines = 0
        self.silent = 0


_kinds: dict[str, _Kind] = {}


def throttled(level: int, message: str, *arguments: object, traceback: bool = False) -> None:
    """Log it, but at most MOST lines of the same `message` in WINDOW_S.

    What was left out is counted in the next line that is not. `traceback`: of the exception that is
    being handled.
    """
    kind = _kinds.setdefault(message, _Kind())
    now = time.monotonic()
    if now - kind.since >= WINDOW_S:
        kind.since, kind.lines = now, 0
    if kind.lines >= MOST:
        kind.silent += 1
        return
    kind.lines += 1
    more, kind.silent = kind.silent, 0
    if more:
        message += " (and %d times before that, not logged)"
        arguments = (*arguments, more)
    log.log(level, message, *arguments, exc_info=traceback)
