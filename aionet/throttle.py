"""Log lines that a peer can cause: of each kind a few a second, and how many there were."""

from __future__ import annotations

import logging
import sys
import time
from types import TracebackType

log = logging.getLogger("aionet")

MOST = 5  # of a kind
WINDOW_S = 1.0
TRACEBACK_S = 60.0  # at least between two of exceptions from the same line


class _Kind:
    """What was logged of one kind of line lately."""

    __slots__ = ("lines", "silent", "since")

    def __init__(self) -> None:
        self.since = -WINDOW_S
        self.lines = 0
        self.silent = 0


_kinds: dict[str, _Kind] = {}
_traced: dict[tuple[type[BaseException], str, int], float] = {}  # when it was logged last


def throttled(level: int, message: str, *arguments: object, traceback: bool = False) -> None:
    """Log it, but at most MOST lines of the same `message` in WINDOW_S.

    What was left out is counted in the next line that is not. `traceback`: of the exception that is
    being handled, unless one from the same line of the program was logged in TRACEBACK_S.
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
    _, error, trace = sys.exc_info()
    if traceback and error is not None and not _is_news(error, trace, now):
        message += ": %s, whose traceback is above"
        arguments = (*arguments, type(error).__name__)
        traceback = False
    log.log(level, message, *arguments, exc_info=traceback or None)


def _is_news(error: BaseException, trace: TracebackType | None, now: float) -> bool:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    where = (trace.tb_frame.f_code.co_filename, trace.tb_lineno) if trace is not None else ("", 0)
    key = (type(error), *where)
    if now - _traced.get(key, -TRACEBACK_S) < TRACEBACK_S:
        return False
    _traced[key] = now
    return True
