"""How fast the machine is just now: the same work, timed on the server's core and on ours.

What else runs on the same hardware slows a core down by a quarter or a half, for tenths of a second
or for minutes, and on a virtual machine nothing tells: it neither waits for the CPU nor is it
stolen. Work that is always the same does.
"""

from __future__ import annotations

import os
from time import perf_counter_ns

import msgspec

TURNS = 12_000  # about 0.3 ms
TIMES = 4  # of which the quickest counts: the server may still have been busy


class Work(msgspec.Struct, frozen=True):
    """What the same work took on the server's core and on the driver's, in ns."""

    server_ns: int
    driver_ns: int


def probe(server_core: int | None, driver_core: int | None) -> Work | None:
    """Work a little on both; None where they are not known."""
    if server_core is None or driver_core is None:
        return None
    ours = os.sched_getaffinity(0)
    took = []
    try:
        for core in (server_core, driver_core):
            os.sched_setaffinity(0, {core})
            took.append(min(_work_ns() for _ in range(TIMES)))
    finally:
        os.sched_setaffinity(0, ours)
    return Work(*took)


def slower(one: Work | None, other: Work | None) -> Work | None:
    """Of two probes the slower one, core by core."""
    if one is None or other is None:
        return None
    return Work(max(one.server_ns, other.server_ns), max(one.driver_ns, other.driver_ns))


def _work_ns() -> int:
    began, total = perf_counter_ns(), 0
    for turn in range(TURNS):
        total += turn
    return perf_counter_ns() - began
