"""Log lines that a peer can cause: of each kind a few a second, and how many there were."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

log = logging.getLogger("aionet")

MOST = 5  # of a kind
WINDOW_S = 1.0
TRACEBACK_S = 60.0  # at least between two of exceptions through the same lines
KEPT = 1000  # of them


class _Kind:
    """What was logged of one kind of line lately."""

    __slots__ = ("lines", "news", "silent", "since")

    def __init__(self) -> None:
        self.since = -WINDOW_S
        self.lines = 0
        self.news = 0  # of them, beyond MOST
        self.silent = 0


_kinds: dict[str, _Kind] = {}
_traced: dict[int, float] = {}  # by the lines of a traceback: when it was logged last


def throttled(level: int, message: str, *arguments: object, traceback: bool = False) -> None:
    """Log it, but at most MOST lines of the same `message` in WINDOW_S.

    What was left out is counted in the next line that is not. `traceback`: of the exception that is
    being handled, unless one through the same lines was logged in TRACEBACK_S; one that is new is
    not left out behind MOST others.
    """
    kind = _kinds.setdefault(message, _Kind())
    now = time.monotonic()
    if now - kind.since >= WINDOW_S:
        kind.since, kind.lines, kind.news = now, 0, 0
    _, error, trace = sys.exc_info()
    key = _key(error, trace) if traceback and error is not None else 0
    is_news = bool(key) and now - _traced.get(key, -TRACEBACK_S) >= TRACEBACK_S
    if kind.lines >= MOST:
        kind.news += is_news
        if not is_news or kind.news > MOST:
            kind.silent += 1
            return
    kind.lines += 1
    more, kind.silent = kind.silent, 0
    if more:
        message += " (and %d times before that, not logged)"
        arguments = (*arguments, more)
    if is_news:
        if len(_traced) >= KEPT:
            _traced.clear()
        _traced[key] = now
    elif key:
        message += ": %s, whose traceback is above"
        arguments = (*arguments, type(error).__name__)
    log.log(level, message, *arguments, exc_info=is_news or None)


def _key(error: BaseException, trace: TracebackType | None) -> int:
    lines = []
    while trace is not None:
        lines.append((trace.tb_frame.f_code.co_filename, trace.tb_lineno))
        trace = trace.tb_next
    return hash((type(error), *lines))


def forget() -> None:
    """Leave nothing out because of what was logged before."""
    _kinds.clear()
    _traced.clear()
