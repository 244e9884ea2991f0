"""What the kernel says a process and its descendants have used so far."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import NamedTuple

from compare.host.kin import tasks
from compare.host.kin import tree as tree

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")

LISTED = 256  # descriptors, which take about 0.1 ms to list


class Usage(NamedTuple):
    """Totals since the processes began; subtract two to get those of a window.

    cpu_ns: CPU time of all threads and of all children, those that have ended included; of
        children that have ended to the clock tick (10 ms).
    user_ns, system_ns: the same split, to the kernel's clock tick (10 ms) only.
    wait_ns: time that threads were ready to run and waited for a CPU, summed up.
    switches: context switches of the living threads; preemptions: those of them that took the
        CPU from a thread which had not finished with it.
    """

    cpu_ns: int
    user_ns: int
    system_ns: int
    wait_ns: int
    switches: int
    preemptions: int


def cpu_ns(pid: int) -> int:
    """CPU time of one process in ns, precise where /proc/PID/stat counts ticks.

    The clock id is the kernel's encoding of a process's CPU clock, clock_getcpuclockid(3).
    """
    return time.clock_gettime_ns((~pid << 3) | 2)


def usage(pid: int) -> Usage:
    """The usage of `pid` and its descendants. Raises ProcessLookupError when it is gone."""
    total = [0] * len(Usage._fields)
    for each in tree(pid):
        try:
            for index, value in enumerate(_usage_of_one(each)):
                total[index] += value
        except OSError:
            if each == pid:
                raise ProcessLookupError(f"process {pid} is gone") from None
    return Usage(*total)


def _usage_of_one(pid: int) -> Usage:
    fields = _stat(pid)
    user, system = (int(each) * 1_000_000_000 // _TICKS_PER_S for each in fields[11:13])
    of_children = _of_children(fields)
    wait = switches = preemptions = 0
    for task in tasks(pid):
        try:
            wait += int((task / "schedstat").read_text().split()[1])
            status = _read(f"{task}/status")
        except (OSError, IndexError):
            continue
        for row in status.splitlines():
            if "_ctxt_" in row:  # voluntary_ctxt_switches and nonvoluntary_ctxt_switches
                count = int(row.split()[1])
                switches += count
                preemptions += count if row.startswith("non") else 0
    return Usage(
        cpu_ns(pid) + sum(of_children),
        user + of_children[0],
        system + of_children[1],
        wait,
        switches,
        preemptions,
    )


def is_runnable(pid: int) -> bool:
    """Whether a thread of `pid` or of its descendants runs, or waits for a core."""
    return "R" in _states(pid)


def stands_still(pid: int) -> bool:
    """Whether all threads of `pid` and its descendants are stopped, or have ended."""
    return _states(pid) <= {"T", "Z", ""}


def _states(pid: int) -> set[str]:
    """Those of all their threads, as proc_pid_stat(5) names them; "" is one that is gone."""
    return {_state(task) for each in tree(pid) for task in tasks(each)}


def _state(task: Path) -> str:
    try:
        return _read(f"{task}/stat").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return ""


class Size(NamedTuple):
    """How large a process and its descendants are now: resident KB, threads, descriptors."""

    rss_kb: int
    threads: int
    descriptors: int


def areas(pid: int) -> int:
    """How many areas of memory it has mapped, as the stacks of threads are; 0 where none shows."""
    try:
        return _read(f"/proc/{pid}/maps").count("\n")
    except OSError:
        return 0


def size(pid: int) -> Size:
    """The size of `pid` and its descendants; what is gone counts nothing."""
    rss = threads = descriptors = 0
    for each in tree(pid):
        try:
            rows = _read(f"/proc/{each}/status").splitlines()
            descriptors += count_descriptors(each)
        except OSError:
            continue
        values = dict(row.split(":", 1) for row in rows if ":" in row)
        rss += int(values.get("VmRSS", "0").split()[0])
        threads += int(values.get("Threads", "0"))
    return Size(rss, threads, descriptors)


class Peak(NamedTuple):
    """The most that it ever had, in KB: of addresses, and of memory behind them."""

    virtual: int
    resident: int


def peak_kb(pid: int) -> Peak:
    """That of `pid` and its descendants, each by itself, summed up; what is gone counts nothing."""
    most = [0, 0]
    for each in tree(pid):
        with contextlib.suppress(OSError):
            rows = dict(row.split(":", 1) for row in _read(f"/proc/{each}/status").splitlines())
            for number, name in enumerate(("VmPeak", "VmHWM")):
                most[number] += int(rows.get(name, "0").split()[0])
    return Peak(*most)


def ended(pid: int) -> int:
    """How many descendants of `pid` have ended, and nobody has waited for them: zombies."""
    number = 0
    for each in tree(pid)[1:]:
        with contextlib.suppress(OSError):
            number += _stat(each)[0] == "Z"
    return number


def count_descriptors(pid: int) -> int:
    """Open descriptors of one process; 0 where it is gone."""
    try:
        # Since Linux 6.2 the size of the folder is their number: 5 us however many there are.
        # It also counts one for each thread in accept(), so a short list is better read.
        many = os.stat(f"/proc/{pid}/fd").st_size
        return many if many > LISTED else len(os.listdir(f"/proc/{pid}/fd"))
    except OSError:
        return 0


def count_sockets(pid: int) -> int:
    """Open sockets of `pid` and its descendants, those that several of them hold counted once.

    3 ms for a thousand of them; what is gone counts nothing.
    """
    found = set()
    for each in tree(pid):
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{each}/fd"):
                with contextlib.suppress(OSError):
                    found.add(os.readlink(f"/proc/{each}/fd/{name}"))
    return sum(each.startswith("socket:") for each in found)


def socket_inodes(pid: int) -> set[int]:
    """Of the sockets of one process. Raises OSError where it cannot be looked into."""
    found = set()
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            kind, _, inode = os.readlink(f"{folder}/{name}").partition(":")
            if kind == "socket":
                found.add(int(inode.strip("[]")))
    return found


def other_holder(pid: int, inodes: set[int]) -> int | None:
    """Which descendant has one of those sockets, where `pid` itself has none of them."""
    found = None
    for each in tree(pid):
        try:
            if inodes & socket_inodes(each):
                if each == pid:
                    return None
                found = found or each
        except OSError:  # it is gone, or cannot be looked into
            if each == pid:
                return None
    return found


def doing(pid: int) -> str:
    """What its main thread does, in words, by proc(5)."""
    try:
        state = _stat(pid)[0]
        where = Path(f"/proc/{pid}/wchan").read_text()
    except OSError:
        return "is gone"
    asleep = f"sleeps in the kernel ({where})" if where not in ("", "0") else "sleeps"
    words = {"R": "runs", "S": asleep, "D": asleep, "T": "is stopped", "t": "is stopped"}
    return words.get(state, "is gone")


def waited_ns() -> int:
    """How long our main thread was ready to run while others had the CPU; 0 where unknown.

    proc(5): /proc/PID/schedstat.
    """
    try:
        return int(Path("/proc/self/schedstat").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def cpu_of_tree_ns(pid: int) -> int:
    """CPU time so far of `pid` and its descendants, those that have ended included, as in usage().

    Raises ProcessLookupError when it is gone.
    """
    total = 0
    for each in tree(pid):
        try:
            total += cpu_ns(each) + sum(_of_children(_stat(each)))
        except OSError:
            if each == pid:
                raise ProcessLookupError(f"process {pid} is gone") from None
    return total


def _stat(pid: int) -> list[str]:
    # proc(5): the name may hold anything, so count from its closing parenthesis.
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split()


def _read(path: str) -> str:
    """The name of a process, which stands in some of these files, may be any bytes."""
    return Path(path).read_text(encoding="utf-8", errors="replace")


def _of_children(stat: list[str]) -> list[int]:
    """CPU time of children that have ended, user and system, in ns."""
    return [int(each) * 1_000_000_000 // _TICKS_PER_S for each in stat[13:15]]


class Core(NamedTuple):
    """What a core has done since boot, in ns; only differences make sense. Resolution 10 ms.

    busy_ns: not idle, counted against the monotonic clock, from its idle time, which the kernel
        measures; the busy columns of /proc/stat are sampled at the tick and wrong by several
        per cent in a short window.
    stolen_ns: the hypervisor ran something else on it.
    """

    busy_ns: int
    stolen_ns: int


def core(number: int) -> Core | None:
    """None where /proc/stat does not tell of it, as where a container has one of its own."""
    try:
        rows = Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    for row in rows:
        if row.startswith(f"cpu{number} "):
            columns = [int(ticks) * 1_000_000_000 // _TICKS_PER_S for ticks in row.split()[1:]]
            return Core(time.monotonic_ns() - columns[3] - columns[4], columns[7])
    return None


def pss_kb(pid: int, *, anonymous: bool = False) -> int:
    """Memory of `pid` and its descendants, what they share counted once; 8 ms at 300 MB.

    Proportional set size, proc_pid_smaps(5); what is gone counts nothing. `anonymous` leaves
    out what is mapped from files: its share changes with who else maps it.
    """
    field = "Pss_Anon:" if anonymous else "Pss:"
    total = 0
    for each in tree(pid):
        try:
            rows = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(row.split()[1]) for row in rows if row.startswith(field))
    return total
