"""A descriptor that becomes readable when somebody calls: another thread, or a signal handler.

Before eventfd(2) it was a pipe to oneself ("self-pipe trick", D. J. Bernstein): whoever waits for
sockets in select() waits for this one, too, so that nothing else can be missed.
"""

from __future__ import annotations

import os


class Wakeup:
    """May be set from anywhere, and any number of times; once closed, that does nothing."""

    def __init__(self) -> None:
        self._fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def fileno(self) -> int:
        return self._fd

    def set(self) -> None:
        if self._fd >= 0:
            os.eventfd_write(self._fd, 1)

    def clear(self) -> None:
        os.eventfd_read(self._fd)

    def close(self) -> None:
        fd, self._fd = self._fd, -1  # its number may be somebody else's from now on
        os.close(fd)
