"""What is wrong with machines that are made up, and the command that mends each."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from compare.host import doctor, process
from compare.host.doctor import Ailment, Machine, examine

Tell = Callable[[str, str], None]


@pytest.fixture(autouse=True)
def _nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What else runs here is no matter, and takes a second to see."""
    ours = (doctor._others, doctor._loopback)
    checks = tuple(each for each in doctor._CHECKS if each not in ours)
    monkeypatch.setattr(doctor, "_CHECKS", checks)
    monkeypatch.setattr(doctor, "DESCRIPTORS", 1)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1})
    for name in doctor._SWITCHES:
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tell(tmp_path: Path) -> Tell:
    """Puts a text into a file of the machine's."""

    def tell(path: str, text: str) -> None:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{text}\n")

    return tell


def found(root: Path) -> list[Ailment]:
    return list(examine(Machine(root)))


def test_machine_that_tells_nothing_is_well(tmp_path: Path) -> None:
    assert found(tmp_path) == []


def test_cores_that_the_system_does_not_tell_of_are_not_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with a /proc/stat of its own, whose cores have other numbers."""
    monkeypatch.setattr(process, "core", lambda number: None)
    monkeypatch.setattr(doctor, "LOOK_S", 0.01)
    assert not [each for each in doctor._others(Machine(tmp_path)) if "core " in each.what[:5]]


def test_one_core_is_too_few(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3})
    (ailment,) = found(tmp_path)
    assert ailment.what == "this process may use one core only"


@pytest.mark.parametrize(("siblings", "told"), [("0-1", True), ("0", False)])
def test_cores_that_are_threads_of_one_are_told(
    tmp_path: Path, tell: Tell, siblings: str, told: bool
) -> None:
    for core in (0, 1):
        tell(f"sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list", siblings)
    assert [each.what for each in found(tmp_path)] == (
        ["cores 0 and 1, of server and driver, are threads of one"] if told else []
    )


def test_quota_of_any_group_around_us_is_told_with_what_lifts_it(
    tmp_path: Path, tell: Tell
) -> None:
    tell("proc/self/cgroup", "0::/outer/inner")
    tell("sys/fs/cgroup/cgroup.procs", "")
    tell("sys/fs/cgroup/outer/cpu.max", "130000 100000")
    tell("sys/fs/cgroup/outer/inner/cpu.max", "max 100000")
    (ailment,) = found(tmp_path)
    assert ailment.what == "the control group may use 1.3 cores"
    assert ailment.mend.startswith(f"echo max > {tmp_path}/sys/fs/cgroup/outer/cpu.max")


def test_so_is_that_of_the_first_version(tmp_path: Path, tell: Tell) -> None:
    tell("proc/self/cgroup", "1:cpu:/ours")
    tell("sys/fs/cgroup/cpu/ours/cpu.cfs_quota_us", "50000")
    tell("sys/fs/cgroup/cpu/ours/cpu.cfs_period_us", "100000")
    (ailment,) = found(tmp_path)
    assert ailment.what == "the control group may use 0.5 cores"
    assert ailment.mend.startswith(f"echo -1 > {tmp_path}/sys/fs/cgroup/cpu/ours/cpu.cfs_quota_us")


@pytest.mark.parametrize(("waiting", "told"), [(400, False), (501, True)])
def test_time_wait_that_has_little_room_left_is_told(
    tmp_path: Path, tell: Tell, waiting: int, told: bool
) -> None:
    tell("proc/sys/net/ipv4/tcp_max_tw_buckets", "1000")
    tell("proc/net/sockstat", f"sockets: used 90\nTCP: inuse 5 orphan 0 tw {waiting} alloc 7 mem 1")
    assert [each.what for each in found(tmp_path)] == (
        ["501 connections are in TIME_WAIT, and 1,000 may be"] if told else []
    )


@pytest.mark.parametrize(
    ("path", "text", "what"),
    [
        (
            "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor",
            "powersave",
            "the frequency governor is powersave",
        ),
        (
            "sys/devices/system/clocksource/clocksource0/current_clocksource",
            "hpet",
            "the clock is hpet",
        ),
        ("proc/sys/net/core/somaxconn", "128", "net.core.somaxconn is 128"),
        (
            "proc/sys/net/ipv4/ip_local_port_range",
            "32768 33767",
            "there are 1000 ephemeral ports",
        ),
    ],
)
def test_setting_that_does_not_suit_is_told_with_what_mends_it(
    tmp_path: Path, tell: Tell, path: str, text: str, what: str
) -> None:
    tell(path, text)
    (ailment,) = found(tmp_path)
    assert ailment.what == what
    assert ailment.mend


def test_switch_that_makes_every_server_slower_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONDEVMODE", "1")
    (ailment,) = found(tmp_path)
    assert (ailment.what, ailment.mend) == ("PYTHONDEVMODE is set", "unset PYTHONDEVMODE")
