"""SIGTERM and SIGINT: the first one drains, a second one ends at once."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, NoReturn

# A handler in Python runs between two steps of the interpreter. A signal that comes after the
# last of them before accept() blocks would wait for the next connection; this bounds the wait.
TICK_S = 0.2


@contextmanager
def stop_on_signals(
    drain: Callable[[], None],
    abort: Callable[[], None],
    drain_timeout: float,
    *,
    second: Callable[[int, FrameType | None], None] | signal.Handlers = signal.SIG_DFL,
) -> Iterator[None]:
    """Within it, SIGTERM and SIGINT call `drain`, and `abort` after `drain_timeout` seconds.

    A `second` signal is left to the kernel, which ends the process whatever it waits for; for
    one of several processes, which Ctrl-C reaches directly and through its parent, there is
    `carry_on`.
    """
    deadline = math.inf

    def stop(number: int, frame: FrameType | None) -> None:
        nonlocal deadline
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, second)
        deadline = time.monotonic() + drain_timeout
        drain()

    def tick(number: int, frame: FrameType | None) -> None:
        if time.monotonic() > deadline:
            abort()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)
    signal.signal(signal.SIGALRM, tick)
    signal.setitimer(signal.ITIMER_REAL, TICK_S, TICK_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def carry_on(number: int, frame: FrameType | None) -> None:
    """A signal handler for those who know already."""


def end_at_once(number: int, *ignored: Any) -> NoReturn:
    """A signal handler for those who do not want to wait."""
    os._exit(128 + number)
