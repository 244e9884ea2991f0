"""Which cores server and driver get: two alike, near to each other, and not two threads of one."""

from __future__ import annotations

import contextlib
import itertools
import os
import socket
from collections.abc import Collection, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

MOST = 8191  # the highest number that Linux gives


class Cores(NamedTuple):
    """Of the server, which may have several, and of the driver; empty and None are anywhere."""

    server: tuple[int, ...] = ()
    driver: int | None = None

    @property
    def named(self) -> set[int]:
        """All of them."""
        return {*self.server} | ({self.driver} if self.driver is not None else set())

    @property
    def apart(self) -> bool:
        """Whether each has its own."""
        return bool(self.server) and self.driver is not None and self.driver not in self.server


def choose(mine: Sequence[int] | None = None, root: Path = Path("/")) -> Cores:
    """One core for each, of those that we may use; anywhere, where that is one.

    They should be no two threads of one core, of the fastest kind, share the last level of cache,
    and not be core 0, which takes most interrupts; the more of it, in this order, the better. What
    /sys does not tell is taken for alike.
    """
    allowed = sorted(os.sched_getaffinity(0)) if mine is None else sorted(mine)
    if len(allowed) < 2:
        return Cores()
    machine = _Machine(allowed, root)
    server, driver = min(itertools.combinations(allowed, 2), key=machine.faults)
    return Cores((server,), driver)


def beside(
    server: Collection[int] | None = None,
    mine: Sequence[int] | None = None,
    root: Path = Path("/"),
) -> Cores:
    """Several cores for the server, all that there are or these, and one for the driver.

    The server's are in the order in which it should get more and more of them: each as good beside
    those before as `choose` has it, threads of a core that is taken after all others. The driver's
    is none of them if another is left for us; else the last one, which it then shares.
    """
    allowed = sorted(os.sched_getaffinity(0)) if mine is None else sorted(mine)
    machine = _Machine(allowed, root)
    left = sorted(allowed if server is None else server)
    others = [each for each in allowed if each not in left]
    pairs = itertools.product(left, others) if others else itertools.combinations(left, 2)
    first, driver = min(pairs, key=machine.faults, default=(left[0], left[0]))
    order = [first]
    while left := [each for each in left if each not in order]:
        order.append(min(left, key=partial(_late, machine, order, driver)))
    return Cores(tuple(order), driver)


def _late(machine: _Machine, order: Sequence[int], driver: int, candidate: int) -> tuple[Any, ...]:
    """Why this one should have its turn after others."""
    return (
        candidate == driver,
        any(machine.faults((each, candidate))[0] for each in (*order, driver)),
        machine.faults((order[0], candidate)),
    )


@contextlib.contextmanager
def aside(cores: Cores) -> Iterator[None]:
    """Meanwhile we ourselves are on none of these cores, if there are others for us.

    What is started meanwhile is where we are, if it is not given cores of its own.
    """
    before = os.sched_getaffinity(0)
    others = before - {*cores.server, cores.driver}
    os.sched_setaffinity(0, others or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextlib.contextmanager
def claimed(ours: Collection[int]) -> Iterator[list[int]]:
    """Meanwhile these are ours; yields those that another run on this machine has, too.

    A name of unix(7) without a file: it takes no folder, and is gone with who has it, however he
    ends.
    """
    taken = []
    with contextlib.ExitStack() as stack:
        for each in sorted(ours):
            claim = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
            try:
                claim.bind(f"\0aionet-compare/core/{each}")
            except OSError:
                taken.append(each)
        yield taken


def parse(text: str) -> Cores:
    """`0,1` or `0-3,4`: the server's, and the driver's. Raises ValueError, for a person."""
    server, comma, driver = text.rpartition(",")
    try:
        theirs = tuple(sorted(numbers(server)))
        ours = int(driver)
    except ValueError:
        comma = ""
    if not comma or not server:
        raise ValueError(f"{text!r} is not SERVER,DRIVER, such as 0,1 or 0-3,4")
    _refuse_missing(text, {*theirs, ours})
    return Cores(theirs, ours)


def parse_server(text: str) -> Cores:
    """`0-3` or `0,2`: the server's; the driver has the best of the others. Raises ValueError."""
    try:
        theirs = numbers(text)
    except ValueError:
        raise ValueError(f"{text!r} is no list of cores, such as 0-3 or 0,2") from None
    _refuse_missing(text, theirs)
    return beside(theirs)


def rungs(many: Sequence[int], server: str | None = None) -> Cores:
    """So many cores of the server's, at most, of `server` or of all. Raises ValueError."""
    found = beside() if server is None else parse_server(server)
    if (most := max(many)) > len(found.server):
        whose = "of --server-cores" if server else "for us"
        have = ",".join(map(str, sorted(found.server)))
        raise ValueError(f"{most} cores are more than there are {whose}: {have}")
    return Cores(found.server[:most], found.driver)


def _refuse_missing(text: str, named: Collection[int]) -> None:
    allowed = os.sched_getaffinity(0)
    if missing := sorted({*named} - allowed):
        have = ",".join(map(str, sorted(allowed)))
        raise ValueError(f"{text}: there is no core {missing[0]} for us; there are {have}")


def numbers(text: str) -> set[int]:
    """`0,2-3` as the kernel writes lists of cores. Raises ValueError."""
    found: set[int] = set()
    for part in text.split(","):
        low, dash, high = part.partition("-")
        first, last = int(low), int(high if dash else low)
        if not 0 <= first <= last <= MOST:
            raise ValueError(f"{part!r} is no range of cores")
        found.update(range(first, last + 1))
    return found


class _Machine:
    """Which cores go well together, of those that we may use."""

    def __init__(self, allowed: Sequence[int], root: Path) -> None:
        self._looked = {number: _look(number, root) for number in allowed}
        self._fastest = max(each.speed for each in self._looked.values())

    def faults(self, pair: tuple[int, int]) -> tuple[bool, int, bool, bool]:
        """What is wrong with these two, the gravest first."""
        one, other = (self._looked[number] for number in pair)
        return (
            one.threads == other.threads and one.threads != "",
            sum(each.speed < self._fastest for each in (one, other)),
            (one.package, one.cache) != (other.package, other.cache),
            0 in pair,
        )


class _Look(NamedTuple):
    threads: str
    package: str
    cache: str
    speed: int


def _look(number: int, root: Path) -> _Look:
    folder = root / "sys/devices/system/cpu" / f"cpu{number}"

    def read(path: str) -> str:
        try:
            return (folder / path).read_text().strip()
        except OSError:
            return ""

    speed = read("cpu_capacity") or read("cpufreq/cpuinfo_max_freq")
    return _Look(
        threads=read("topology/thread_siblings_list"),
        package=read("topology/physical_package_id"),
        cache=read("cache/index3/shared_cpu_list") or read("cache/index2/shared_cpu_list"),
        speed=int(speed) if speed.isdigit() else 0,
    )
