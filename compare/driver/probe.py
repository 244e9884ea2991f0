"""How fast the machine is just now: the same work, timed on the server's core and on ours.

What else runs on the same hardware slows a core down by a quarter or a half, for tenths of a second
or for minutes, and on a virtual machine nothing tells: it neither waits for the CPU nor is it
stolen. Work that is always the same does. Where the hypervisor puts the two cores decides what it
costs to hand something over from one to the other, too, up to half as much again; only work that
goes back and forth between them sees that.
"""

from __future__ import annotations

import os
import socket
from time import perf_counter_ns
from types import TracebackType

import msgspec

TURNS = 12_000  # about 0.3 ms
TIMES = 4  # of which the quickest counts: the server may still have been busy
MESSAGE = bytes(1000)
MESSAGES = 100  # about 1 ms


class Work(msgspec.Struct, frozen=True):
    """What the same work took on the server's core, on the driver's, and between them, in ns."""

    server_ns: int
    driver_ns: int
    between_ns: int | None = None


class Probe:
    """A partner process on the server's core, as a context manager; it sleeps between probes.

    Nothing can be known where the cores are not, or are one.
    """

    def __init__(self, server_core: int | None = None, driver_core: int | None = None) -> None:
        self.pid: int | None = None
        if server_core is None or driver_core is None or server_core == driver_core:
            return
        self._ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if not self.pid:
            try:
                self._ours.close()
                os.sched_setaffinity(0, {server_core})
                _attend(theirs)
            finally:
                os._exit(0)
        theirs.close()

    def take(self) -> Work | None:
        """Work a little on both; some ms."""
        if self.pid is None:
            return None
        ours = self._ours
        ours.setblocking(True)
        ours.send(b"?")
        server_ns = int(ours.recv(32))
        driver_ns = _work_ns()
        ours.setblocking(False)
        ours.send(b"!")
        between_ns = min(_exchange_ns(ours) for _ in range(TIMES))
        return Work(server_ns, driver_ns, between_ns)

    def __enter__(self) -> Probe:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self.pid is not None:
            self._ours.close()
            os.waitpid(self.pid, 0)


def slower(one: Work | None, other: Work | None) -> Work | None:
    """Of two probes the slower one, part by part."""
    if one is None or other is None:
        return None
    between = (one.between_ns, other.between_ns)
    return Work(
        max(one.server_ns, other.server_ns),
        max(one.driver_ns, other.driver_ns),
        None if None in between else max(each for each in between if each is not None),
    )


def _attend(partner: socket.socket) -> None:
    """The other side of all probes, until nobody is there any more."""
    while asked := partner.recv(1):
        if asked == b"?":
            partner.send(b"%d" % _work_ns())
            continue
        partner.setblocking(False)
        for _ in range(TIMES * MESSAGES):
            if not (message := _spin(partner)):
                return
            partner.send(message)
        partner.setblocking(True)


def _exchange_ns(partner: socket.socket) -> int:
    """There and back, and nobody sleeps: waking up would cost more than what is to be seen."""
    began = perf_counter_ns()
    for _ in range(MESSAGES):
        partner.send(MESSAGE)
        if not _spin(partner):
            raise ConnectionResetError("the probe's other half is gone")
    return perf_counter_ns() - began


def _spin(partner: socket.socket) -> bytes:
    while True:
        try:
            return partner.recv(len(MESSAGE))
        except BlockingIOError:
            continue


def _work_ns() -> int:
    return min(_turns_ns() for _ in range(TIMES))


def _turns_ns() -> int:
    began, total = perf_counter_ns(), 0
    for turn in range(TURNS):
        total += turn
    return perf_counter_ns() - began
