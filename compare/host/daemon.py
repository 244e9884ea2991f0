"""A thread beside all others, which ends with us."""

from __future__ import annotations

import errno
import threading
from collections.abc import Callable


def daemon(work: Callable[[], object]) -> threading.Thread:
    """One that has begun with `work`. Raises BlockingIOError where there can be no more of them.

    As where there can be no more processes: pthread_create(3) says EAGAIN for the same limits.
    """
    thread = threading.Thread(target=work, daemon=True)
    try:
        thread.start()
    except RuntimeError as error:
        raise BlockingIOError(errno.EAGAIN, str(error)) from None
    return thread
