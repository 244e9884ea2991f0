"""File descriptors: how many connections they suffice for, and what is said when they do not."""

from __future__ import annotations

import fcntl
import logging
import math
import os
import resource
import time

log = logging.getLogger("aionet")

RESERVE = 128
FEW = 256  # a limit below this is not the usual one
_MOST = 2**31 - 1  # a descriptor is a C int
# Accepting is tried again far more often than anybody wants to read about it.
WARN_EVERY_S = 1.0

_quiet_until = -math.inf


def descriptor_reserve() -> int:
    """How many descriptors are left to the rest of the program, however many want to be served.

    For log files, modules that are yet to be loaded, connections of a handler's own, and for those
    who are accepted before it is noticed that descriptors run short. Of a small limit a quarter.
    """
    return min(RESERVE, _limit() // 4)


def descriptor_room() -> int:
    """How many more connections this process may hold, at least 1; says so if that is few.

    As the soft limit is (getrlimit(2)), less what is in use now, less the reserve.
    """
    limit = _limit()
    room = max(1, limit - len(os.listdir("/proc/self/fd")) - descriptor_reserve())
    if limit < FEW:
        log.warning("ulimit -n is %d: at most %d connections at a time, others wait", limit, room)
    return room


def descriptors_are_short(descriptor: int, beside: int) -> bool:
    """Whether only three quarters of the reserve are left, once `beside` more are taken.

    The other quarter is for who is accepted beyond the room before that is noticed.
    descriptor: any that is open.
    """
    limit, reserve = _limit(), descriptor_reserve()
    taken: list[int] = []
    try:
        # The lowest free one each, so one this high says that all below it are taken. Those of
        # the standard streams do not count: a program may have closed them.
        for _ in range(beside + 1):
            taken.append(fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3))  # noqa: PERF401
    except OSError:
        return True
    finally:
        for each in taken:
            os.close(each)
    return taken[-1] >= limit - reserve + reserve // 4


def _limit() -> int:
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else soft


def warn_cannot_accept(message: str, *args: object) -> None:
    """Log why nobody can be accepted now; at most one such line a second in a process."""
    global _quiet_until
    now = time.monotonic()
    if now >= _quiet_until:
        _quiet_until = now + WARN_EVERY_S
        log.warning(message, *args)
