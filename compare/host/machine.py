"""The machine a run was made on: figures do not travel without it."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import resource
import sys
from pathlib import Path

import msgspec


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What figures depend on, as far as the system tells."""

    cpu: str
    cores: int
    memory_mb: int
    kernel: str
    python: str
    uvloop: str | None
    governor: str | None
    load_1min: float
    descriptors: int
    ephemeral_ports: int
    backlog: int


def look() -> Machine:
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)),
        memory_mb=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        kernel=platform.release(),
        python=f"{platform.python_implementation()} {platform.python_version()}",
        uvloop=_version("uvloop"),
        governor=_read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        load_1min=round(os.getloadavg()[0], 2),
        descriptors=resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        ephemeral_ports=ephemeral_ports(),
        backlog=int(_read("/proc/sys/net/core/somaxconn") or 4096),
    )


def memory() -> dict[str, int]:
    """Of the machine, in KB, proc_meminfo(5)."""
    rows = Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) for name, _, rest in (row.partition(":") for row in rows)}


def tcp_ext(name: str) -> int:
    """A counter of TCP since boot, of this network namespace, by /proc/net/netstat; 0 if unknown.

    ListenOverflows: the accept queue of any socket was full. TCPTimeWaitOverflow: a connection
    was closed and there were too many in TIME_WAIT already (net.ipv4.tcp_max_tw_buckets).
    """
    rows = (_read("/proc/net/netstat") or "").splitlines()
    for names, values in zip(rows[::2], rows[1::2], strict=False):
        if names.startswith("TcpExt:"):
            return int(dict(zip(names.split(), values.split(), strict=True)).get(name, 0))
    return 0


def client_ports() -> range:
    """The ports from which the kernel chooses for who asks for none (ip(7))."""
    low, high = (_read("/proc/sys/net/ipv4/ip_local_port_range") or "32768 60999").split()
    return range(int(low), int(high) + 1)


def ephemeral_ports() -> int:
    """How many of these there are, for one pair of addresses."""
    return len(client_ports())


def describe(machine: Machine) -> str:
    """One line for the foot of a table."""
    parts = [
        machine.cpu,
        f"{machine.cores} core{'s' if machine.cores != 1 else ''}",
        f"Linux {machine.kernel}",
        machine.python,
        f"uvloop {machine.uvloop}" if machine.uvloop else "no uvloop",
    ]
    return ", ".join(parts)


def _cpu_model() -> str:
    for row in (_read("/proc/cpuinfo") or "").splitlines():
        if row.startswith("model name"):
            return row.partition(":")[2].strip()
    return platform.machine() or sys.platform


def _version(module: str) -> str | None:
    if importlib.util.find_spec(module) is None:
        return None
    return importlib.metadata.version(module)


def _read(path: str) -> str | None:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return None
