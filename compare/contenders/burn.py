"""CPU that a handler takes: so much of the thread's own clock, whoever else has the core."""

from __future__ import annotations

import statistics
from collections.abc import Callable
from time import thread_time_ns

STEP = 100  # turns of an empty loop, between two looks in a calibration
LOOKS = 200
MOST_S = 0.02  # that a calibration may take
BY_TURNS = 0.5  # of what is left, before the clock is looked at again, which is a system call


class Burner:
    """Takes CPU of the thread that calls it, by CLOCK_THREAD_CPUTIME_ID (clock_gettime(2)).

    A process that waits for the core, or a thread for the interpreter's lock, has not worked.
    """

    def __init__(self) -> None:
        took = []
        for _ in range(LOOKS):
            began = thread_time_ns()
            for _ in range(STEP):
                pass
            took.append(thread_time_ns() - began)
        self._turns_per_ns = STEP / statistics.median(took)
        self.beside_ns = 0.0  # of each call, and of what calls it

    def burn(self, ns: float) -> None:
        """Take `ns` of CPU, that of this call and of `beside_ns` among them."""
        ns -= self.beside_ns
        end = thread_time_ns() + ns
        while (left := end - thread_time_ns()) > 0:
            for _ in range(int(left * BY_TURNS * self._turns_per_ns)):
                pass

    def calibrate(self, call: Callable[[], object], ns: float) -> None:
        """Find out what `call`, which burns `ns`, takes more than that."""
        many = max(3, min(LOOKS, int(MOST_S * 1e9 / ns)))
        took = []
        for _ in range(many):
            began = thread_time_ns()
            call()
            took.append(thread_time_ns() - began)
        clock = statistics.median(_clock() for _ in range(LOOKS))
        self.beside_ns = max(0.0, statistics.median(took) - clock - ns)


def _clock() -> int:
    """What looking at it twice takes of what lies between."""
    began = thread_time_ns()
    return thread_time_ns() - began
