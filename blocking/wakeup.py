"""A descriptor that becomes readable when somebody calls: another thread, or a signal handler.

Before eventfd(2) it was a pipe to oneself ("self-pipe trick", D. J. Bernstein): whoever waits for
sockets in select() waits for this one, too, so that nothing else can be missed.
"""

from __future__ import annotations

import os
import threading


class Wakeup:
    """May be set from anywhere, and any number of times; once closed, that does nothing."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        # Of a thread that closes it while another one sets it; a signal handler may be in either.
        self._lock = threading.RLock()

    def fileno(self) -> int:
        return self._fd

    def set(self) -> None:
        with self._lock:
            if self._fd >= 0:
                os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        os.eventfd_read(self._fd)

    def close(self) -> None:
        with self._lock:
            fd, self._fd = self._fd, -1  # its number may be somebody else's from now on
            os.close(fd)
