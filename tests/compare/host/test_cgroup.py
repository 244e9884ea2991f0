"""Control groups that hold a process back, on trees of cgroup v1 and v2 that are made up."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from compare.host import cgroup

PID = 7
Row = str
Tree = Callable[..., Path]


@pytest.fixture
def member(tmp_path: Path) -> Callable[..., None]:
    """Says which groups the process is in, as /proc/PID/cgroup does."""

    def member(*rows: Row) -> None:
        folder = tmp_path / "proc" / str(PID)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "cgroup").write_text("".join(f"{row}\n" for row in rows))

    return member


Member = Callable[..., None]


@pytest.fixture
def group(tmp_path: Path) -> Tree:
    """Makes a group and its files, `.` in their names written as `_`; the root is ``."""

    def group(path: str, **files: str) -> Path:
        folder = tmp_path / "sys/fs/cgroup" / path
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name.replace("_", ".", 1)).write_text(f"{text}\n")
        return folder

    return group


def folders(root: Path) -> list[Path]:
    return cgroup.of(PID, root)


# Which groups


def test_groups_are_its_own_and_all_around_it(member: Member, group: Tree, tmp_path: Path) -> None:
    base = group("", cgroup_procs="")
    inner = group("system/ours/inner")
    group("system/other")
    member("0::/system/ours/inner")
    assert folders(tmp_path) == [inner, base / "system/ours", base / "system", base]


def test_name_of_a_group_may_be_any_bytes(tmp_path: Path, group: Tree) -> None:
    base = group("", cgroup_procs="")
    inner = base / os.fsdecode(b"caf\xe9")
    inner.mkdir()
    table = tmp_path / f"proc/{PID}/cgroup"
    table.parent.mkdir(parents=True)
    table.write_bytes(b"0::/caf\xe9\n")
    assert folders(tmp_path) == [inner, base]


def test_root_is_a_group_too(member: Member, group: Tree, tmp_path: Path) -> None:
    base = group("", cgroup_procs="")
    member("0::/")
    assert folders(tmp_path) == [base]


def test_group_that_is_not_mounted_counts_as_the_root(
    member: Member, group: Tree, tmp_path: Path
) -> None:
    """As within a container, whose own group is its root and is named as seen from outside."""
    base = group("", cgroup_procs="", cpu_max="50000 100000")
    member("0::/docker/0123456789abcdef")
    assert folders(tmp_path) == [base]
    assert cgroup.quota(folders(tmp_path)) == (0.5, base)


def test_controllers_of_the_first_version_have_trees_of_their_own(
    member: Member, group: Tree, tmp_path: Path
) -> None:
    base = group("cpu,cpuacct")
    inner = group("cpu,cpuacct/ours")
    group("memory/ours")
    member("4:memory:/ours", "3:cpu,cpuacct:/ours", "1:name=systemd:/ours")
    assert folders(tmp_path) == [inner, base]


def test_tree_may_be_mounted_by_the_name_of_one_controller(
    member: Member, group: Tree, tmp_path: Path
) -> None:
    inner = group("cpu/ours")
    member("3:cpu,cpuacct:/ours")
    assert folders(tmp_path) == [inner, inner.parent]


def test_both_versions_may_be_there(member: Member, group: Tree, tmp_path: Path) -> None:
    old, new = group("cpu/ours"), group("unified/theirs")
    group("unified", cgroup_procs="")
    member("3:cpu:/ours", "0::/theirs")
    assert {*folders(tmp_path)} == {old, old.parent, new, new.parent}


@pytest.mark.parametrize("rows", [[], ["nonsense"], ["0::/"], ["2:memory:/ours"]])
def test_where_nothing_is_mounted_there_are_no_groups(
    member: Member, tmp_path: Path, rows: list[Row]
) -> None:
    member(*rows)
    assert folders(tmp_path) == []


def test_process_that_is_gone_is_in_none(group: Tree, tmp_path: Path) -> None:
    group("", cgroup_procs="")
    assert folders(tmp_path) == []


def test_groups_of_this_process_are_folders() -> None:
    found = cgroup.of(os.getpid())
    assert found == cgroup.of("self")
    assert all(each.is_dir() for each in found)
    assert cgroup.throttled_ns(found) >= 0


# What they allow


def test_least_quota_of_all_holds(member: Member, group: Tree, tmp_path: Path) -> None:
    """However deep the group is that has it."""
    group("", cgroup_procs="", cpu_max="max 100000")
    group("system", cpu_max="400000 100000")
    tight = group("system/ours", cpu_max="75000 50000")
    group("system/ours/inner", cpu_max="200000 100000")
    member("0::/system/ours/inner")
    assert cgroup.quota(folders(tmp_path)) == (1.5, tight)


def test_quota_of_the_first_version(member: Member, group: Tree, tmp_path: Path) -> None:
    def period(path: str, quota_us: int) -> Path:
        folder = group(path)
        (folder / "cpu.cfs_quota_us").write_text(f"{quota_us}\n")
        (folder / "cpu.cfs_period_us").write_text("100000\n")
        return folder

    period("cpu", -1)
    tight = period("cpu/ours", 25_000)
    period("cpu/ours/inner", 100_000)
    member("3:cpu:/ours/inner")
    assert cgroup.quota(folders(tmp_path)) == (0.25, tight)


@pytest.mark.parametrize("allowed", ["max 100000", "", "nonsense", "1 2 3"])
def test_group_that_allows_everything_or_says_nothing_has_no_quota(
    member: Member, group: Tree, tmp_path: Path, allowed: str
) -> None:
    group("", cgroup_procs="", cpu_max=allowed)
    member("0::/")
    assert cgroup.quota(folders(tmp_path)) is None


def test_where_there_are_no_groups_there_is_no_quota() -> None:
    assert cgroup.quota([]) is None
    assert cgroup.throttled_ns([]) == 0


# How long they held it back


def test_longest_of_all_is_how_long_it_was_held_back(
    member: Member, group: Tree, tmp_path: Path
) -> None:
    group("", cgroup_procs="", cpu_stat="usage_usec 9")
    group("ours", cpu_stat="usage_usec 9000\nnr_throttled 2\nthrottled_usec 1500")
    group("ours/inner", cpu_stat="usage_usec 9000\nnr_throttled 1\nthrottled_usec 300")
    member("0::/ours/inner")
    assert cgroup.throttled_ns(folders(tmp_path)) == 1_500_000


def test_first_version_says_it_in_ns(member: Member, group: Tree, tmp_path: Path) -> None:
    group("cpu/ours", cpu_stat="nr_periods 9\nnr_throttled 2\nthrottled_time 1234567")
    member("3:cpu:/ours")
    assert cgroup.throttled_ns(folders(tmp_path)) == 1_234_567


@pytest.mark.parametrize("text", ["", "throttled_usec", "throttled_usec much"])
def test_group_that_does_not_say_was_not_held_back(
    member: Member, group: Tree, tmp_path: Path, text: str
) -> None:
    group("", cgroup_procs="", cpu_stat=text)
    member("0::/")
    assert cgroup.throttled_ns(folders(tmp_path)) == 0


def test_process_that_a_quota_holds_back_is_seen_to_be_so() -> None:
    """In a group of this machine, made for it."""
    spins = "import time\nwhile time.process_time() < 0.1: pass"
    made = [each / f"compare-{os.getpid()}" for each in cgroup.of("self")[:1]]
    try:
        for each in made:
            each.mkdir()
        (inner,) = made
        if (inner / "cpu.max").exists():
            (inner / "cpu.max").write_text("20000 100000")
        else:
            (inner / "cpu.cfs_quota_us").write_text("20000")
    except (OSError, ValueError) as error:
        pytest.skip(f"no group can be made here: {error}")
    else:
        join = 'echo $$ > "$2" && exec "$0" -c "$1"'
        member = [sys.executable, spins, str(inner / "cgroup.procs")]
        with subprocess.Popen(["sh", "-c", join, *member], stderr=subprocess.PIPE) as spinning:
            began = time.monotonic()
            spinning.wait(30)
        assert spinning.returncode == 0
        assert cgroup.quota([inner]) == (0.2, inner)
        lasted_ns = (time.monotonic() - began) * 1e9
        assert 0 < cgroup.throttled_ns([inner]) < lasted_ns
    finally:
        for each in made:
            with contextlib.suppress(OSError):
                each.rmdir()
