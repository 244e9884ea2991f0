"""Whether a server levels off: how large it is after each of many equal lots of work.

A leak grows with every lot, for ever. What a run-time keeps for later does not: a collector
comes late, a pool fills up, the heap is taken from the kernel in large pieces. So a server may
grow for a while, and is asked on until two lots in a row have added nothing to the most that it
has ever had, or of many a fifth: a heap that has just been cleaned up hides a leak for a while. Who
has not come there after very many has a leak, by its slope.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from compare.check import symptoms
from compare.check.bench import Bench, Skipped
from compare.check.failure import Failed
from compare.check.wire import wait_until
from compare.host import process

MOST_LOTS = 24
LOTS_OF_THE_SLOWEST = 8
FEWEST_LOTS = 5  # that tell a slope from a beginning
LEVEL = 2  # lots in a row that add nothing
REST = 5  # of so many lots one must
SLACK_KB = 512  # of memory, that a lot may add: an allocator takes it in pieces
WITHIN = 12  # times the patience
HALF = 0.5  # of a lot that leaves something behind needs no second look
ROUNDS = 3  # of clients that come and go, in which what is kept for later levels off
KEPT = 4  # descriptors by which it may
SOME = 8  # descriptors, threads or processes, that are no slope in so many lots


class Size(NamedTuple):
    """How large a server is: each field is named as a person reads it."""

    descriptors: int
    ended_processes: int
    threads: int
    memory_kb: int


_LEFT = {
    "descriptors": "descriptors open: connections that are gone are still held",
    "ended_processes": "processes behind that have ended (zombies): nobody waits for them, wait(2)",
    "threads": "threads behind: they wait for somebody who is gone",
}


def must_level_off(bench: Bench, lot: Callable[[float], int], of: str) -> None:
    """Do `lot` again and again; the server must come to grow no more.

    lot: does its work, up to a moment of time.monotonic(), and returns how many were done. The
    first one is the beginning, in which everything is loaded. of: what they are, of which
    something may leak with each.
    """
    deadline = time.monotonic() + WITHIN * bench.patience

    def within() -> float:
        """A lot may take so long: who is slow is asked less, and is no leak for that."""
        return min(deadline, time.monotonic() + WITHIN * bench.patience / LOTS_OF_THE_SLOWEST)

    lot(within())
    most = _size(bench)
    sizes, counts, level = [most], [0], 0
    while not _is_level(level, counts) and len(counts) <= MOST_LOTS and time.monotonic() < deadline:
        counts.append(lot(within()))
        sizes.append(_size_at_rest(bench, most))
        for name in _LEFT:
            if (left := getattr(sizes[-1], name) - getattr(sizes[-2], name)) > HALF * counts[-1]:
                raise _leak(name, left, counts[-1], of)
        level = 0 if _grew(sizes[-1], most) else level + 1
        most = Size(*map(max, most, sizes[-1]))
    if not _is_level(level, counts):
        _judge(sizes, counts, of)


def must_give_back(bench: Bench, clients: int, come_and_go: Callable[[], None]) -> None:
    """Descriptors come back to what they were after so many clients at a time.

    A few may stay that a run-time keeps for later, such as pipes for splice(2); with more
    clients they become no more. Only the clients come and go where nobody can look inside.
    """
    if not bench.inside:
        come_and_go()
        return
    most, left = bench.descriptors_at_rest(), []
    for _ in range(ROUNDS):
        come_and_go()
        wait_until(lambda most=most: bench.descriptors() <= most, bench.patience)  # type: ignore[misc]
        left.append(bench.descriptors() - most)
        if left[-1] <= KEPT:
            return
        if left[-1] >= 0.9 * clients:
            break
        most += left[-1]
    each = f", with each {clients} clients anew" if len(left) > 1 else ""
    raise Failed(
        "as many descriptors as before",
        f"{' and '.join(map(str, left))} more are open{each}: connections that are gone are "
        "still held",
        likely=symptoms.NOT_GIVEN_BACK,
    )


def _is_level(level: int, counts: list[int]) -> bool:
    return level >= max(LEVEL, len(counts) // REST)


def _judge(sizes: list[Size], counts: list[int], of: str) -> None:
    """Raise Failed where the later half of the lots has added to it, as the earlier one has."""
    if len(sizes) < FEWEST_LOTS:
        raise Skipped(
            f"{sum(counts):,} {of} took all the time: too few to tell a leak from what is kept"
        )
    middle = len(sizes) // 2
    count = sum(counts[middle + 1 :])
    for name in _LEFT:
        before, after = (max(getattr(each, name) for each in half) for half in _halves(sizes))
        if after - before > SOME:
            raise _leak(name, after - before, count, of)
    before, after = (max(each.memory_kb for each in half) for half in _halves(sizes))
    if after - before <= SLACK_KB * (len(sizes) - middle) / 2:
        return
    raise Failed(
        "memory to level off",
        f"it grew by {(after - before) * 1024 / count:,.0f} bytes with each of the last {count:,} "
        f"{of}, and by {(after - sizes[0].memory_kb) / 1024:.0f} MiB in all",
    )


def _halves(sizes: list[Size]) -> tuple[list[Size], list[Size]]:
    middle = len(sizes) // 2
    return sizes[: middle + 1], sizes[middle + 1 :]


def _leak(name: str, left: int, count: int, of: str) -> Failed:
    return Failed("everything to be given back", f"{count:,} {of} left {left:,} {_LEFT[name]}")


def _grew(now: Size, most: Size) -> bool:
    return now.memory_kb > most.memory_kb + SLACK_KB or _left_more(now, most)


def _left_more(now: Size, most: Size) -> bool:
    return any(getattr(now, name) > getattr(most, name) for name in _LEFT)


def _size(bench: Bench) -> Size:
    bench.descriptors_at_rest()
    return _counted(bench, memory_kb=bench.memory_kb())


def _counted(bench: Bench, *, memory_kb: int) -> Size:
    size = process.size(bench.server.pid)
    return Size(size.descriptors, process.ended(bench.server.pid), size.threads, memory_kb)


def _size_at_rest(bench: Bench, most: Size) -> Size:
    """Once it has given back what it can count, or does not."""

    wait_until(lambda: not _left_more(_counted(bench, memory_kb=0), most), bench.patience / 6)
    return _size(bench)
