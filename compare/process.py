"""What the kernel says a process and its descendants have used so far."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


LISTED = 256  # descriptors, which take about 0.1 ms to list


class Usage(NamedTuple):
    """Totals since the processes began; subtract two to get those of a window.

    cpu_ns: CPU time of all threads, those that have ended included.
    user_ns, system_ns: the same split, to the kernel's clock tick (10 ms) only.
    wait_ns: time that threads were ready to run and waited for a CPU, summed up.
    switches: voluntary and involuntary context switches of the living threads.
    """

    cpu_ns: int
    user_ns: int
    system_ns: int
    wait_ns: int
    switches: int


def tree(pid: int) -> list[int]:
    """`pid` and its descendants, as far as they still exist."""
    found = [pid]
    for parent in found:
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            try:
                found += map(int, task.read_text().split())
            except OSError:
                continue
    return found


def cpu_ns(pid: int) -> int:
    """CPU time of one process in ns, precise where /proc/PID/stat counts ticks.

    The clock id is the kernel's encoding of a process's CPU clock, clock_getcpuclockid(3).
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def usage(pid: int) -> Usage:
    """The usage of `pid` and its descendants. Raises ProcessLookupError when it is gone."""
    total = [0, 0, 0, 0, 0]
    for each in tree(pid):
        try:
            for index, value in enumerate(_usage_of_one(each)):
                total[index] += value
        except OSError:
            if each == pid:
                raise ProcessLookupError(f"process {pid} is gone") from None
    return Usage(*total)


def _usage_of_one(pid: int) -> Usage:
    # proc(5): the name may hold anything, so count from its closing parenthesis.
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = (int(ticks) * 1_000_000_000 // _TICKS_PER_S for ticks in fields[11:13])
    wait = switches = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            wait += int((task / "schedstat").read_text().split()[1])
            status = (task / "status").read_text()
        except (OSError, IndexError):
            continue
        # voluntary_ctxt_switches and nonvoluntary_ctxt_switches
        switches += sum(int(row.split()[1]) for row in status.splitlines() if "_ctxt_" in row)
    return Usage(cpu_ns(pid), user, system, wait, switches)


class Size(NamedTuple):
    """How large a process and its descendants are now: resident KB, threads, descriptors."""

    rss_kb: int
    threads: int
    descriptors: int


def size(pid: int) -> Size:
    """The size of `pid` and its descendants; what is gone counts nothing."""
    rss = threads = descriptors = 0
    for each in tree(pid):
        try:
            rows = Path(f"/proc/{each}/status").read_text().splitlines()
            descriptors += count_descriptors(each)
        except OSError:
            continue
        values = dict(row.split(":", 1) for row in rows if ":" in row)
        rss += int(values.get("VmRSS", "0").split()[0])
        threads += int(values.get("Threads", "0"))
    return Size(rss, threads, descriptors)


def count_descriptors(pid: int) -> int:
    """Open descriptors of one process; 0 where it is gone."""
    try:
        # Since Linux 6.2 the size of the folder is their number: 5 us however many there are.
        # It also counts one for each thread in accept(), so a short list is better read.
        many = os.stat(f"/proc/{pid}/fd").st_size
        return many if many > LISTED else len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def core_busy_ns(core: int) -> int:
    """Time that a core was not idle since boot, counted against the monotonic clock.

    From its idle time, which the kernel measures; the busy columns of /proc/stat are
    sampled at the tick and wrong by several per cent in a short window. Only differences
    make sense. Resolution 10 ms.
    """
    for row in Path("/proc/stat").read_text().splitlines():
        if row.startswith(f"cpu{core} "):
            columns = row.split()
            idle_ticks = int(columns[4]) + int(columns[5])
            return time.monotonic_ns() - idle_ticks * 1_000_000_000 // _TICKS_PER_S
    raise ValueError(f"there is no core {core}")
