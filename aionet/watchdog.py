"""A loop that hangs ends its process, whatever keeps it.

The kernel's own timer does it, by a signal whose default action is to kill, and the loop puts it
off as long as it turns. So it also works in a call that keeps the GIL, where no thread and no
handler of this process could do anything, and without a parent that would look after it.

The first signal only writes to stderr where each thread is, and lets the second one kill: who was
stopped (Ctrl-Z) for longer than the timer finds one signal pending when it goes on, and must have
the time to turn once.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal

from aionet.native import handle_once


def watch(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    """Let SIGALRM kill this process when `loop` has not turned for `seconds`, from now on."""
    import faulthandler  # here: in an interpreter beside the main one it cannot be imported

    signal.setitimer(signal.ITIMER_REAL, seconds / 2, seconds / 2)
    faulthandler.unregister(signal.SIGALRM)
    signal.signal(signal.SIGALRM, lambda *ignored: None)
    # Not where there is no stderr. It is C, and does without the GIL.
    with contextlib.suppress(AttributeError, OSError, RuntimeError, ValueError):
        faulthandler.register(signal.SIGALRM)
    handle_once(signal.SIGALRM)
    loop.call_later(seconds / 4, watch, loop, seconds)
