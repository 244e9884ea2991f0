"""What is wrong with this machine for measuring, and the command that mends it."""

from __future__ import annotations

import os
import re
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec
import psutil

from compare.host import cgroup, process
from compare.host import machine as host
from compare.host.cores import choose, numbers
from compare.host.limits import Limits, limits_here
from compare.host.place import loopback_fault

FORMAT = "compare-doctor/1"
DESCRIPTORS = 20_000
BACKLOG = 4096
PORTS = 28_000
BUSY = 0.05  # of a core, by others
STOLEN = 0.01
LOOK_S = 1.0
FULL = 0.5  # of what may be in TIME_WAIT, before a run begins
CONNTRACK = 262_144  # connections; a table that is full drops packets
_SWITCHES = ("PYTHONDEVMODE", "PYTHONASYNCIODEBUG", "PYTHONTRACEMALLOC", "PYTHONMALLOC")


@dataclass(frozen=True)
class Ailment:
    """What is wrong, what it does to the figures, and what to type; "" if nothing helps here."""

    what: str
    effect: str
    mend: str


@dataclass(frozen=True)
class Machine:
    """Where to look. Other roots than / are for tests."""

    root: Path = Path("/")

    def read(self, path: str) -> str | None:
        try:
            return (self.root / path).read_text().strip()
        except OSError:
            return None

    def number(self, path: str) -> int | None:
        text = self.read(path)
        return int(text) if text is not None and text.isdigit() else None


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare doctor --json` writes: the machine, what it allows, and what is wrong with it.

    version: of this package.
    """

    format: str = FORMAT
    version: str
    machine: host.Machine
    limits: Limits
    ailments: list[Ailment]


def diagnose() -> Diagnosis:
    """All at once; takes a second or two."""
    return Diagnosis(
        version=metadata.version("aionet-compare"),
        machine=host.look(),
        limits=limits_here(),
        ailments=list(examine()),
    )


def examine(machine: Machine | None = None) -> Iterator[Ailment]:
    """Everything that is wrong, as it is found; takes a second or two."""
    for check in _CHECKS:
        yield from check(machine or Machine())


def _loopback(machine: Machine) -> Iterator[Ailment]:
    if fault := loopback_fault():
        what, _, mend = fault.partition(": ")
        yield Ailment(what, "nobody can be measured or checked", mend)


def _cores(machine: Machine) -> Iterator[Ailment]:
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        yield Ailment(
            "this process may use one core only",
            "server and driver take it from each other",
            "taskset -pc 0,1 $$  (or a machine with two cores)",
        )
        return
    chosen = choose(root=machine.root)
    first, last = chosen.server[0], chosen.driver
    siblings = machine.read(f"sys/devices/system/cpu/cpu{first}/topology/thread_siblings_list")
    if siblings is not None and last in numbers(siblings):
        yield Ailment(
            f"cores {first} and {last}, of server and driver, are threads of one",
            "each slows the other down",
            "echo off > /sys/devices/system/cpu/smt/control",
        )


def _quota(machine: Machine) -> Iterator[Ailment]:
    if found := cgroup.quota(cgroup.of("self", machine.root)):
        file = "cpu.max" if (found.folder / "cpu.max").exists() else "cpu.cfs_quota_us"
        yield Ailment(
            f"the control group may use {found.cpus:g} cores",
            "it is stopped for the rest of each period, which shows as stalls",
            f"echo {'max' if file == 'cpu.max' else -1} > {found.folder / file}  (in a container: "
            "no CPU limit)",
        )


def _time_wait(machine: Machine) -> Iterator[Ailment]:
    """Short connections leave one socket each there, for a minute."""
    most = machine.number("proc/sys/net/ipv4/tcp_max_tw_buckets")
    used = re.search(r"^TCP:.* tw (\d+)", machine.read("proc/net/sockstat") or "", re.MULTILINE)
    if most and used and int(used[1]) > FULL * most:
        yield Ailment(
            f"{int(used[1]):,} connections are in TIME_WAIT, and {most:,} may be",
            "short connections are closed without it once that is full, which costs less",
            "wait for a minute; or sysctl -w net.ipv4.tcp_max_tw_buckets=1048576",
        )


def _clocks(machine: Machine) -> Iterator[Ailment]:
    governor = machine.read("sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")
    if governor not in (None, "performance"):
        yield Ailment(
            f"the frequency governor is {governor}",
            "a server that waits a little runs more slowly",
            "cpupower frequency-set -g performance",
        )
    source = machine.read("sys/devices/system/clocksource/clocksource0/current_clocksource")
    if source not in (None, "tsc", "arch_sys_counter", "kvm-clock"):
        yield Ailment(
            f"the clock is {source}",
            "reading it takes a system call, in each operation",
            "echo tsc > /sys/devices/system/clocksource/clocksource0/current_clocksource",
        )


def _others(machine: Machine) -> Iterator[Ailment]:
    """What else runs, in a second of looking."""
    cores = sorted(os.sched_getaffinity(0))
    before = {each: each.cpu_times() for each in _processes()}
    busy_before, began = {each: process.core(each) for each in cores}, time.monotonic()
    time.sleep(LOOK_S)
    elapsed = time.monotonic() - began
    looks = {
        each: (a, b)
        for each, a in busy_before.items()
        if a is not None and (b := process.core(each)) is not None
    }
    stolen = max(
        ((b.stolen_ns - a.stolen_ns) / 1e9 / elapsed for a, b in looks.values()), default=0.0
    )
    if stolen > STOLEN:
        yield Ailment(
            f"the hypervisor gives {stolen:.0%} of a core to other machines",
            "whatever runs then, stands still",
            "",
        )
    named = False
    for each, times in before.items():
        try:
            now = each.cpu_times()
            share = (now.user + now.system - times.user - times.system) / elapsed
            if share > BUSY and each.pid != os.getpid():
                named = True
                yield Ailment(
                    f"process {each.pid} ({each.name()}) uses {share:.0%} of a core",
                    "server and driver wait for it",
                    f"kill -STOP {each.pid}; afterwards kill -CONT {each.pid}",
                )
        except psutil.Error:
            continue
    for core, (a, b) in looks.items():
        share = (b.busy_ns - a.busy_ns) / 1e9 / elapsed
        if not named and share > 2 * BUSY:
            yield Ailment(
                f"core {core} was busy {share:.0%} of a second, with processes that come and go",
                "server and driver wait for them",
                "top -d 1  (and stop what starts them)",
            )


def _processes() -> Iterator[psutil.Process]:
    for each in psutil.process_iter():
        try:
            each.cpu_times()
        except psutil.Error:
            continue
        yield each


def _limits(machine: Machine) -> Iterator[Ailment]:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < DESCRIPTORS:
        yield Ailment(
            f"a process may have {hard} descriptors",
            f"at most {hard - 64} connections",
            f"ulimit -Hn {DESCRIPTORS}  (as root)",
        )
    yield from _too_small(
        machine,
        "net.core.somaxconn",
        BACKLOG,
        "newcomers are dropped when many connect at once, and try again a second later",
    )
    yield from _too_small(
        machine,
        "net.ipv4.tcp_max_syn_backlog",
        BACKLOG // 4,
        "the same, before their handshake is done",
    )
    yield from _too_small(
        machine,
        "vm.max_map_count",
        2 * DESCRIPTORS + 1000,
        "threads end there, with two maps each",
    )
    ports = (machine.read("proc/sys/net/ipv4/ip_local_port_range") or "32768 60999").split()
    if int(ports[1]) - int(ports[0]) + 1 < PORTS:
        yield Ailment(
            f"there are {int(ports[1]) - int(ports[0]) + 1} ephemeral ports",
            "fewer connections from one address to one port",
            "sysctl -w net.ipv4.ip_local_port_range='32768 60999'",
        )
    yield from _too_small(
        machine,
        "net.netfilter.nf_conntrack_max",
        CONNTRACK,
        "connection tracking drops packets when its table is full",
    )


def _too_small(machine: Machine, name: str, least: int, effect: str) -> Iterator[Ailment]:
    value = machine.number("proc/sys/" + name.replace(".", "/"))
    if value is not None and value < least:
        yield Ailment(f"{name} is {value}", effect, f"sysctl -w {name}={least}")


def _interpreter(machine: Machine) -> Iterator[Ailment]:
    for name in _SWITCHES:
        if os.environ.get(name):
            yield Ailment(f"{name} is set", "every server runs more slowly", f"unset {name}")


_CHECKS: tuple[Callable[[Machine], Iterator[Ailment]], ...] = (
    _loopback,
    _cores,
    _quota,
    _time_wait,
    _clocks,
    _limits,
    _interpreter,
    _others,
)
