"""Whose fault it is: what this machine lacks, and how long it held us up, is not the server's."""

from __future__ import annotations

import errno
import threading
import time
from pathlib import Path

from compare.host import cgroup
from compare.host.daemon import daemon
from compare.host.launch import why_not_started

TICK_S = 0.05
LATE_S = 0.25  # that a tick may be late by, on a machine that is merely busy
HELD_UP_S = 1.0  # in a check, that leave no trust in what took too long
HELD_UP = 0.2  # the same, of its time
LACKING = {
    errno.EMFILE: "this process may open no more descriptors: ulimit -n",
    errno.ENFILE: "the system has no descriptors left: sysctl fs.file-max",
    errno.ENOMEM: "this machine has no memory left",
    errno.ENOBUFS: "this machine has no memory left for sockets",
    errno.EADDRNOTAVAIL: "this machine has no such address, or no port left for it: ip addr, "
    "sysctl net.ipv4.ip_local_port_range",
    errno.EADDRINUSE: "a source address that is needed is another's",
    errno.EAFNOSUPPORT: "this machine has no such addresses (IPv6?)",
    errno.ENETDOWN: "the network is down: ip link set lo up",
    errno.ENETUNREACH: "there is no way to that address: ip link set lo up",
    errno.EPERM: "we are not permitted to: run as root, or the server as the same user",
    errno.EACCES: "we are not permitted to: run as root, or the server as the same user",
}
_EVENTS = {  # cgroup v2: what was refused there, and in which words
    "pids.events": ("max", "its control group allows no more processes: pids.max"),
    "memory.events": ("oom_kill", "its control group has no memory left: memory.max"),
}


class Skipped(Exception):  # noqa: N818  no error either
    """The check cannot be made here; the message says why."""


def of_this_machine(error: OSError | MemoryError) -> str | None:
    """Why the error says nothing about the server; None if it may."""
    if isinstance(error, MemoryError):
        return LACKING[errno.ENOMEM]
    if isinstance(error.filename, str) and error.filename.startswith(("/proc/", "/sys/")):
        return f"this machine does not show {error.filename}"
    if words := LACKING.get(error.errno or 0):
        return f"{error.strerror}: {words}"
    return None


class Attention:
    """How long we were held up while a check was made, as a context manager.

    Stopped, suspended, or without a CPU: deadlines pass meanwhile, whatever the server does.
    Raises UnableError where nothing can be started here.
    """

    def __enter__(self) -> Attention:
        self._began = time.monotonic()
        self._late_s = 0.0
        self._groups = cgroup.of("self")
        self._throttled_ns = cgroup.throttled_ns(self._groups)
        self._refused = _refused(self._groups)
        self._over = threading.Event()
        try:
            self._thread = daemon(self._watch)
        except OSError as error:
            raise why_not_started(error, ["a thread"]) from None
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()
        self._took_s = time.monotonic() - self._began
        throttled_s = (cgroup.throttled_ns(self._groups) - self._throttled_ns) / 1e9
        self._held_s = max(self._late_s, throttled_s)
        before = self._refused
        self._refused = {
            words: count - before.get(words, 0) for words, count in _refused(self._groups).items()
        }

    def _watch(self) -> None:
        before = time.monotonic()
        while not self._over.wait(TICK_S):
            now = time.monotonic()
            if (late := now - before - TICK_S) > LATE_S:
                self._late_s += late
            before = now

    def excuse(self) -> str | None:
        """Why what was found to be wrong may be the machine's doing; after the end."""
        for words, count in self._refused.items():
            if count > 0:
                return words
        if self._held_s > max(HELD_UP_S, HELD_UP * self._took_s):
            return (
                f"this machine held the check up for {self._held_s:.1f} of {self._took_s:.1f} s: "
                "it was stopped, or has a CPU quota; try again when it does not"
            )
        return None


def _refused(groups: list[Path]) -> dict[str, int]:
    """How often a control group has refused what, in words."""
    found: dict[str, int] = {}
    for folder in groups:
        for file, (name, words) in _EVENTS.items():
            try:
                rows = (folder / file).read_text().splitlines()
            except OSError:
                continue
            counts = dict(row.split() for row in rows)
            found[words] = found.get(words, 0) + int(counts.get(name, 0))
    return found
