"""What a process has used within the measured window, and how large it is after."""

from __future__ import annotations

import contextlib
from pathlib import Path
from time import perf_counter_ns

from compare.driver.load import Spec
from compare.driver.outcome import Sizes, Window
from compare.host import process, sock_diag


class Meter:
    """Reads what a process has used, at both ends of the window."""

    def __init__(self, pid: int, core: int | None) -> None:
        self._pid = pid
        self._core = core
        self._began = perf_counter_ns()
        self._before = self._read()

    def _read(self) -> tuple[process.Usage, process.Core]:
        core = process.core(self._core) if self._core is not None else process.Core(0, 0)
        return process.usage(self._pid), core

    def window(self) -> Window:
        (before, core_before), (after, core_after) = self._before, self._read()
        used = process.Usage(*(b - a for a, b in zip(before, after, strict=True)))
        others = max(0, core_after.busy_ns - core_before.busy_ns - used.cpu_ns)
        return Window(
            elapsed_ns=perf_counter_ns() - self._began,
            cpu_ns=used.cpu_ns,
            user_ns=used.user_ns,
            system_ns=used.system_ns,
            wait_ns=used.wait_ns,
            others_ns=None if self._core is None else others,
            stolen_ns=core_after.stolen_ns - core_before.stolen_ns,
            switches=used.switches,
            preemptions=used.preemptions,
        )


def time_wait_of(spec: Spec) -> sock_diag.TimeWait | None:
    """For what short connections will leave; None for other workloads, and where it is unknown."""
    with contextlib.suppress(OSError):  # not permitted, or no such kernel
        if spec.workload == "tcp-short":
            return sock_diag.TimeWait(spec.host, spec.port)
    return None


def sizes_of(spec: Spec, closed: sock_diag.TimeWait | None) -> Sizes | None:
    """None where the server runs on another host."""
    if spec.server_pid is None:
        return None
    buffered_kb = time_wait = None
    with contextlib.suppress(OSError):
        if closed is not None:
            time_wait = closed.ends()
        elif spec.workload not in ("tcp-short", "udp-echo"):
            buffered_kb = sock_diag.buffered_kb(spec.host, spec.port)
    return Sizes(
        process=process.size(spec.server_pid),
        pss_kb=process.pss_kb(spec.server_pid),
        buffered_kb=buffered_kb,
        time_wait=time_wait,
        dropped=_dropped(spec.port) if spec.workload == "udp-echo" else None,
    )


def _dropped(port: int) -> int | None:
    """What /proc/net/udp says of the sockets at `port`: the last column, proc_net(5)."""
    end, total = f":{port:04X}", None
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text().splitlines()[1:]:
                columns = row.split()
                if columns[1].endswith(end):
                    total = (total or 0) + int(columns[-1])
    return total
