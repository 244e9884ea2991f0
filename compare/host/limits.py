"""What this machine allows, and whether a cell will fit: looked at before starting."""

from __future__ import annotations

import resource
from pathlib import Path

import msgspec

from compare.host.machine import ephemeral_ports, memory
from compare.models.matrix import Model, Workload

# Python's own, the pipes, the epoll, a margin for what a library may open.
SPARE_DESCRIPTORS = 64


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What the machine allows: descriptors of a process and of all, memory, ports, queues."""

    descriptors: int
    all_descriptors: int | None
    memory_kb: int
    ephemeral_ports: int
    backlog: int
    threads: int | None


def limits_here() -> Limits:
    return Limits(
        descriptors=descriptors(),
        all_descriptors=_number("/proc/sys/fs/file-max"),
        memory_kb=memory()["MemTotal"],
        ephemeral_ports=ephemeral_ports(),
        backlog=_number("/proc/sys/net/core/somaxconn") or 0,
        threads=_number("/proc/sys/kernel/threads-max"),
    )


def descriptors() -> int:
    """Those that one process may have."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    return 1_000_000 if hard == resource.RLIM_INFINITY else hard


def per_process() -> int:
    """Connections that one process may have; where that is none, one is tried all the same."""
    return max(1, descriptors() - SPARE_DESCRIPTORS)


def raise_descriptors() -> None:
    """Have this process, too, open as many as the hard limit allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def misfit(
    model: Model, workload: Workload, connections: int, *, alone: bool = False, at_once: int = 1
) -> str | None:
    """Which limit the cell would break and what to type; None if it fits.

    alone: only the server is on this machine, and nobody who connects to it. at_once: servers
    that have so many connections at the same time, from one driver.
    """
    descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    needed = connections + SPARE_DESCRIPTORS
    together = connections * at_once + SPARE_DESCRIPTORS
    if model.descriptors is not None and needed > model.descriptors:
        return (
            f"{connections} connections need {needed} descriptors, and {model.name} can use no "
            f"more than {model.descriptors}{_or_fewer(model.descriptors - SPARE_DESCRIPTORS)}"
        )
    if descriptors != resource.RLIM_INFINITY and needed > descriptors:
        return (
            f"{connections} connections need {needed} descriptors, and a process may have "
            f"{descriptors}: ulimit -Hn {needed} (as root)"
            + _or_fewer(descriptors - SPARE_DESCRIPTORS)
        )
    if descriptors != resource.RLIM_INFINITY and together > descriptors and not alone:
        return (
            f"{connections} connections to each of {at_once} servers at once need {together} "
            f"descriptors, and the driver may have {descriptors}: ulimit -Hn {together} (as root), "
            f"fewer --models, or --alone{_or_fewer((descriptors - SPARE_DESCRIPTORS) // at_once)}"
        )
    threads = model.threads * connections if workload.service != "udp-echo" else 0
    for name in ("kernel/threads-max", "kernel/pid_max"):
        limit = _number(f"/proc/sys/{name}")
        if limit is not None and threads + SPARE_DESCRIPTORS > limit:
            return (
                f"{connections} connections need as many threads, and {name} is {limit}: "
                f"sysctl -w {name.replace('/', '.')}={2 * threads} (as root)"
            )
    ports = ephemeral_ports()
    if workload.service == "udp-echo" and connections * at_once > ports and not alone:
        return (
            f"{connections * at_once} client sockets need as many ports, and "
            f"net.ipv4.ip_local_port_range gives {ports}: sysctl -w "
            f"net.ipv4.ip_local_port_range='1024 65535' (as root){_or_fewer(ports // at_once)}"
        )
    backlog = _number("/proc/sys/net/core/somaxconn")
    held_back = model.few and workload.name in ("tcp-long", "chat")
    if held_back and backlog is not None and connections > backlog:
        return (
            f"{model.few}, so up to {connections - 1} would queue in its backlog, and "
            f"net.core.somaxconn is {backlog}: sysctl -w net.core.somaxconn={connections} "
            "(as root)"
        )
    return None


def _or_fewer(connections: int) -> str:
    """Where any would fit."""
    return f", or --connections {connections}" if connections > 0 else ""


def _number(path: str) -> int | None:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return None
