"""File descriptors: how many connections they suffice for, and what is said when they do not."""

from __future__ import annotations

import logging
import math
import resource
import time

log = logging.getLogger("aionet")

_MOST = 2**31 - 1  # a descriptor is a C int
# Accepting is tried again far more often than anybody wants to read about it.
WARN_EVERY_S = 1.0

_quiet_until = -math.inf


def descriptor_room(reserve: int = 64) -> int:
    """How many connections this process may hold: at least 1, `reserve` below RLIMIT_NOFILE.

    The soft limit is what counts (getrlimit(2)). The reserve is for everything else that
    needs a descriptor: listeners, epolls, pipes, log files, modules that are yet to be loaded.
    """
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MOST
    return max(1, soft - reserve)


def warn_cannot_accept(message: str, *args: object) -> None:
    """Log why nobody can be accepted now; at most one such line a second in a process."""
    global _quiet_until
    now = time.monotonic()
    if now >= _quiet_until:
        _quiet_until = now + WARN_EVERY_S
        log.warning(message, *args)
