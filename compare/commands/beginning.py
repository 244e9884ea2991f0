"""How Ctrl-C ends a command that has begun nothing yet, and only imports."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def ended_by_interrupts() -> Iterator[None]:
    """It ends us at once, with a line, where nothing is begun that would have to be ended."""
    ours = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT)
    if not ours or handler is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def _end(number: int, frame: FrameType | None) -> None:
    """By that signal, which ends the loop of a shell as well, and is status 130 there."""
    with contextlib.suppress(OSError):
        os.write(2, b"interrupted\n")
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
