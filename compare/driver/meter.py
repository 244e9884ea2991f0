"""What a server has used, and how large it is."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from compare.contract.outcome import Sizes, Usage
from compare.contract.spec import Target
from compare.host import cgroup, kin, machine, process, sock_diag

QUIET_S = 0.0003  # between two looks that show no CPU time used: it has done what was left to do
SETTLE_S = 0.005  # at most that is waited for this


class Meter:
    """Reads what a server uses, turn by turn; what it does between them counts for none."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._first: process.Usage | None = None
        self._last: process.Usage | None = None
        self._groups = cgroup.of(pid)
        kin.look_for_orphans(pid)
        self._held_back_ns = 0  # in the turns that are over
        self._before_ns = 0

    def begin(self) -> int:
        """A turn begins; the CPU time so far. Raises ProcessLookupError when it is gone."""
        self._before_ns = cgroup.throttled_ns(self._groups)
        return self.cpu_ns()

    def end(self, *, settled: bool = True) -> int:
        """It is over; the same, unless `settled` is False once it no longer grows."""
        used = self.settled_ns() if settled else self.cpu_ns()
        self._held_back_ns += cgroup.throttled_ns(self._groups) - self._before_ns
        return used

    def close(self) -> None:
        """There are no more turns: what it does from now on, as for a picture, counts for none."""
        if self._last is None:
            with contextlib.suppress(ProcessLookupError):
                self._last = process.usage(self._pid)

    def cpu_ns(self) -> int:
        """CPU time of all its processes so far. Raises ProcessLookupError when it is gone."""
        if self._first is None:
            self._first = process.usage(self._pid)
        return process.cpu_of_tree_ns(self._pid)

    def settled_ns(self) -> int:
        """The same, once it no longer grows: what it does after an answer is its cost, too."""
        deadline = time.perf_counter() + SETTLE_S
        used = self.cpu_ns()
        while time.perf_counter() < deadline:
            time.sleep(QUIET_S)
            before, used = used, self.cpu_ns()
            if used == before:
                break
        return used

    def usage(self, elapsed_ns: int, cpu_ns: int) -> Usage | None:
        """In all turns. None if the server is gone: whoever started it will know how."""
        self.close()
        if (now := self._last) is None:
            return None
        first = self._first or now
        user, system = now.user_ns - first.user_ns, now.system_ns - first.system_ns
        return Usage(
            elapsed_ns=elapsed_ns,
            cpu_ns=cpu_ns,
            user_share=user / (user + system) if user + system else None,
            wait_ns=max(0, now.wait_ns - first.wait_ns),  # less what had waited and has ended
            switches=now.switches - first.switches,
            preemptions=now.preemptions - first.preemptions,
            # The kernel adds up the time of all CPUs that were held back.
            throttled=min(1.0, self._held_back_ns / elapsed_ns) if elapsed_ns else 0.0,
        )


class TimeWait:
    """What short connections leave behind; of other workloads, or where it is unknown, nothing."""

    def __init__(self, target: Target, workload: str) -> None:
        self._sockets: sock_diag.TimeWait | None = None
        self._overflow = machine.tcp_ext("TCPTimeWaitOverflow") if workload == "tcp-short" else 0
        with contextlib.suppress(OSError):  # not permitted, or no such kernel
            if workload == "tcp-short":
                self._sockets = sock_diag.TimeWait(target.host, target.port)

    def ends(self) -> sock_diag.Ends | None:
        return self._sockets.ends() if self._sockets else None

    def overflow(self) -> int:
        return machine.tcp_ext("TCPTimeWaitOverflow") - self._overflow


def sizes_of(target: Target, workload: str, closed: TimeWait) -> Sizes | None:
    """None where the server runs on another host."""
    if target.pid is None:
        return None
    buffered_kb = ends = receive_buffer = None
    datagrams = workload == "udp-echo"
    with contextlib.suppress(OSError):
        ends = closed.ends()
        if datagrams:
            receive_buffer = min(sock_diag.receive_buffers(target.port), default=None)
        elif workload != "tcp-short":
            buffered_kb = sock_diag.buffered_kb(target.host, target.port)
    size = process.size(target.pid)
    return Sizes(
        rss_kb=size.rss_kb,
        pss_kb=process.pss_kb(target.pid),
        threads=size.threads,
        descriptors=size.descriptors,
        buffered_kb=buffered_kb,
        time_wait=ends.server if ends else None,
        client_time_wait=ends.client if ends else None,
        time_wait_overflow=closed.overflow() if workload == "tcp-short" else 0,
        dropped=dropped_at(target.port).server if datagrams else None,
        receive_buffer=receive_buffer,
    )


class Dropped(NamedTuple):
    """Datagrams that found a receive buffer full: the server's, and its clients'.

    None where there is no such socket, or the kernel does not say.
    """

    server: int | None = None
    clients: int | None = None

    def since(self, before: Dropped) -> Dropped:
        """What of these was not there before."""
        return Dropped(
            *(
                None if now is None or then is None else now - then
                for now, then in zip(self, before, strict=True)
            )
        )


def dropped_at(port: int) -> Dropped:
    """What /proc/net/udp says of the sockets at either end: the last column, proc_net(5)."""
    end = f":{port:04X}"
    server = clients = None
    for table in ("/proc/net/udp", "/proc/net/udp6"):
        with contextlib.suppress(OSError):
            for row in Path(table).read_text().splitlines()[1:]:
                columns = row.split()
                if columns[1].endswith(end):
                    server = (server or 0) + int(columns[-1])
                elif columns[2].endswith(end):
                    clients = (clients or 0) + int(columns[-1])
    return Dropped(server, clients)
