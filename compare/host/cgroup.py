"""Control groups that hold a process back: CPU quotas, of cgroup v1 and v2, at any depth."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import NamedTuple


class Quota(NamedTuple):
    """So many CPUs may be used, says the group in this folder."""

    cpus: float
    folder: Path


def of(pid: int | str, root: Path = Path("/")) -> list[Path]:
    """The folders of the groups that a process is in, and of all groups around them.

    What is not mounted here, as within a container, counts as the root of what is. root: where
    proc and sys are, for tests.
    """
    found: dict[Path, None] = {}
    for controllers, path in _memberships(root / "proc" / str(pid) / "cgroup"):
        for base in _mounts(controllers, root / "sys/fs/cgroup"):
            folder = base / path.lstrip("/")
            if not folder.is_dir():
                folder = base  # it is named as seen from outside of our namespace
            while folder == base or base in folder.parents:
                found[folder] = None
                folder = folder.parent
    return list(found)


def throttled_ns(folders: list[Path]) -> int:
    """How long the groups have been held back so far, the longest of them; cpu.stat."""
    return max((_throttled_ns(folder) for folder in folders), default=0)


def quota(folders: list[Path]) -> Quota | None:
    """The least that any of the groups allows; None if all allow everything."""
    known = [Quota(cpus, each) for each in folders if (cpus := _cpus(each)) is not None]
    return min(known, default=None)


def _memberships(table: Path) -> list[tuple[str, str]]:
    """Controllers and path of each, cgroups(7): v2 has no controllers in its line."""
    try:
        rows = os.fsdecode(table.read_bytes()).split("\n")  # a group's name may be any bytes
    except OSError:
        return []
    fields = [row.split(":", 2) for row in rows]
    return [(each[1], each[2]) for each in fields if len(each) == 3]


def _mounts(controllers: str, base: Path) -> list[Path]:
    if not controllers:
        return [each for each in (base, base / "unified") if (each / "cgroup.procs").exists()]
    if "cpu" in controllers.split(","):
        return [each for each in (base / controllers, base / "cpu") if each.is_dir()][:1]
    return []


def _throttled_ns(folder: Path) -> int:
    with contextlib.suppress(OSError, ValueError):
        for row in (folder / "cpu.stat").read_text().splitlines():
            name, _, value = row.partition(" ")
            if name == "throttled_usec":
                return int(value) * 1000
            if name == "throttled_time":  # v1, in ns
                return int(value)
    return 0


def _cpus(folder: Path) -> float | None:
    with contextlib.suppress(OSError, ValueError):
        allowed, period = (folder / "cpu.max").read_text().split()
        return None if allowed == "max" else int(allowed) / int(period)
    with contextlib.suppress(OSError, ValueError):
        in_us = int((folder / "cpu.cfs_quota_us").read_text())
        return None if in_us < 0 else in_us / int((folder / "cpu.cfs_period_us").read_text())
    return None
