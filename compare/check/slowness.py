"""How slow this machine is at the moment, by which the patience of the checks is reckoned."""

from __future__ import annotations

import socket
import time
from functools import lru_cache

USUAL_ROUND_US = 15.0  # of a byte there and back within this process, on an idle machine
CALIBRATE_S = 0.02


def slowness() -> float:
    """How many times slower than an idle machine this one is in this second; at least 1."""
    return _slowness_of(int(time.monotonic()))


@lru_cache(maxsize=1)  # many checks are made in a second, and a measurement is as long as one
def _slowness_of(second: int) -> float:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        rounds, began = 0, time.perf_counter()
        while (spent := time.perf_counter() - began) < CALIBRATE_S:
            ours.send(b"x")
            theirs.recv(1)
            theirs.send(b"x")
            ours.recv(1)
            rounds += 1
    return max(1.0, spent / rounds * 1e6 / USUAL_ROUND_US)
