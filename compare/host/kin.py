"""The processes of what we start: its descendants, and those that left for a session of their own.

An orphan comes to the nearest ancestor that asked for orphans (prctl(2), PR_SET_CHILD_SUBREAPER),
as we do while anything of ours lives. Whose it was says a mark in its environment, which is
inherited by whoever is born of it.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import threading
import time
from pathlib import Path

from compare.host.daemon import daemon
from compare.host.guard import Janitor

MARK = "COMPARE_FAMILY"
END_S = 2.0  # that the kernel may take to end who was killed
_PR_SET_CHILD_SUBREAPER = 36  # prctl(2)
_KERNEL_KNOWS_CHILDREN = Path("/proc/thread-self/children").exists()
_libc = ctypes.CDLL(None, use_errno=True)
_numbers = itertools.count(1)
_lock = threading.Lock()
_families: dict[int, Family] = {}  # by the pid of who began it
_far: dict[int, list[int]] = {}  # orphans by the pid of who began their family
_janitor: Janitor | None = None


def tree(pid: int) -> list[int]:
    """`pid` and its descendants, as far as they still exist.

    With the orphans of its family, as far as look_for_orphans() has found some.
    """
    found = [pid, *_far.get(pid, ())]
    seen = set(found)
    for parent in found:
        for each in children(parent):
            if each not in seen:
                seen.add(each)
                found.append(each)
    return found


def tasks(pid: int) -> list[Path]:
    """The folders of its threads; none where it is gone, and of each it may be gone by now."""
    try:
        return [Path(f"/proc/{pid}/task/{name}") for name in os.listdir(f"/proc/{pid}/task")]
    except OSError:
        return []


def children(pid: int) -> list[int]:
    """Of all of its threads; none where it is gone."""
    if not _KERNEL_KNOWS_CHILDREN:
        return _children_by_parents(pid)
    found: list[int] = []
    for task in tasks(pid):
        with contextlib.suppress(OSError):
            found += map(int, (task / "children").read_text().split())
    return found


def _children_by_parents(pid: int) -> list[int]:
    """The same of a kernel without CONFIG_PROC_CHILDREN, from all processes that there are."""
    try:
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    except OSError:  # there need not be one
        return []
    return [each for each in pids if _parent_of(each) == pid]


def _parent_of(pid: int) -> int | None:
    """None where it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except OSError:
        return None
    # proc(5): the name may hold anything, so count from its closing parenthesis.
    return int(stat.rpartition(b")")[2].split()[1])


def look_for_orphans(pid: int) -> None:
    """Have tree(pid) tell of the orphans of its family, too, which are its parent's now."""
    mark, parent = _mark_of(pid), _parent_of(pid)
    if mark and parent:
        _far[pid] = [each for each in children(parent) if each != pid and _is_of(each, mark)]


class Family:
    """Whoever is born of a process that we start with `mark` in its environment."""

    def __init__(self) -> None:
        outer = os.environ.get(MARK, "")  # we may be of a family ourselves
        self._reaper: threading.Thread | None = None
        self.mark = f"{outer}{os.getpid()}.{next(_numbers)}.{time.monotonic_ns()};"

    def begins_with(self, pid: int) -> None:
        """It was started; who becomes an orphan is reaped by us if it stays in its group."""
        self._first = pid
        with _lock:
            _families[pid] = self
            _ask_for_orphans(True)
        with contextlib.suppress(OSError):  # or they are reaped when we end
            self._reaper = daemon(self._reap)

    def orphans(self) -> list[int]:
        """Those of it that live and are our own children now."""
        return [
            each
            for each in children(os.getpid())
            if each != self._first and _is_of(each, self.mark)
        ]

    def is_reaped(self, within: float) -> None:
        """Wait until nobody of it is left in its group."""
        if self._reaper is not None:
            self._reaper.join(max(0.0, within))

    def _reap(self) -> None:
        with contextlib.suppress(ChildProcessError):
            while True:
                ended = os.waitid(os.P_PGID, self._first, os.WEXITED | os.WNOWAIT)
                if ended is None or ended.si_pid == self._first:
                    return  # whoever started that one asks for its status
                os.waitpid(ended.si_pid, os.WNOHANG)


def expect() -> Family:
    """A family that is about to begin; its orphans will come to us."""
    with _lock:
        _ask_for_orphans(True)
    return Family()


def _ask_for_orphans(wanted: bool) -> None:
    """Have them come to us; and to the end, if we should die before they do."""
    global _janitor
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, int(wanted))
    if wanted and _janitor is None:
        with contextlib.suppress(OSError):  # where nothing can be started, there will be nobody
            _janitor = Janitor(f"{MARK}={os.environ.get(MARK, '')}{os.getpid()}.")
    elif _janitor is not None and not wanted:
        _janitor.close()
        _janitor = None


def orphans_of(pid: int) -> list[int]:
    """Those of the family that began with `pid`, dead or alive, that are our own children now."""
    family = _families.get(pid)
    return family.orphans() if family else []


def end(pid: int) -> None:
    """Kill all of the family that began with `pid`, which has ended; harmless if there is none."""
    with _lock:
        family = _families.pop(pid, None)
    _far.pop(pid, None)
    if family is not None:
        _end(family)
    with _lock:
        if not _families:
            _ask_for_orphans(False)


def _end(family: Family) -> None:
    killed: set[int] = set()
    deadline = time.monotonic() + END_S
    while (orphans := family.orphans()) and time.monotonic() < deadline:
        for root in orphans:
            for each in reversed(tree(root)):
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.kill(each, signal.SIGKILL)
        killed.update(orphans)
        _bury(killed)
    while killed and time.monotonic() < deadline:
        _bury(killed)
    family.is_reaped(deadline - time.monotonic())


def _bury(killed: set[int]) -> None:
    """Reap those of them that have ended."""
    for pid in list(killed):
        try:
            ended, _ = os.waitpid(pid, os.WNOHANG)
        except ChildProcessError:
            ended = pid
        if ended:
            killed.discard(pid)
    if killed:
        time.sleep(0.001)


def _mark_of(pid: int) -> str:
    try:
        words = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:
        return ""
    name = f"{MARK}=".encode()
    return next((os.fsdecode(each[len(name) :]) for each in words if each.startswith(name)), "")


def _is_of(pid: int, mark: str) -> bool:
    return _mark_of(pid).startswith(mark)
