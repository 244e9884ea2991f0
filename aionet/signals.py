"""SIGTERM and SIGINT: the first one drains, a second one ends at once."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import Any, NoReturn


def stop_on_signals(
    drain: Callable[[], None], abort: Callable[[], None], drain_timeout: float
) -> None:
    """On SIGTERM or SIGINT call `drain`, and `abort` after `drain_timeout` seconds.

    A second signal ends the process at once, with the status that a shell gives to that.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, end_at_once)
        signal.signal(signal.SIGALRM, lambda number, frame: abort())
        signal.setitimer(signal.ITIMER_REAL, drain_timeout)
        drain()

    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, stop)


def end_at_once(number: int, *ignored: Any) -> NoReturn:
    """A signal handler for those who do not want to wait."""
    os._exit(128 + number)
