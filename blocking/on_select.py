"""select(2): one bit for each descriptor below FD_SETSIZE, and none for those above."""

from __future__ import annotations

import resource
import select
import socket
from collections.abc import Iterable

from blocking import datagram, readiness
from blocking.poller import IN, OUT

FD_SETSIZE = 1024  # in glibc, whatever RLIMIT_NOFILE is: select(2)


class Poller:
    """Two sets, handed over at every wait; from then on the kernel looks at all bits."""

    def __init__(self) -> None:
        # A descriptor that select() cannot watch had better not be given to us: with this limit
        # the kernel refuses it, as if there were no more, which every server must survive.
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft == resource.RLIM_INFINITY or soft > FD_SETSIZE:
            resource.setrlimit(resource.RLIMIT_NOFILE, (FD_SETSIZE, hard))
        self._readers: set[int] = set()
        self._writers: set[int] = set()

    def register(self, fd: int, events: int) -> None:
        if events & IN:
            self._readers.add(fd)
        if events & OUT:
            self._writers.add(fd)

    def modify(self, fd: int, events: int) -> None:
        self.unregister(fd)
        self.register(fd, events)

    def unregister(self, fd: int) -> None:
        self._readers.discard(fd)
        self._writers.discard(fd)

    def poll(self, timeout: float | None) -> Iterable[tuple[int, int]]:
        # What is broken is readable and writable, and says how at the next call.
        readable, writable, _ = select.select(self._readers, self._writers, (), timeout)
        events = dict.fromkeys(readable, IN)
        for fd in writable:
            events[fd] = events.get(fd, 0) | OUT
        return events.items()

    def close_socket(self, sock: socket.socket) -> None:
        self.unregister(sock.fileno())
        sock.close()

    def close(self) -> None:
        """There is nothing to close."""


class StreamServer(readiness.StreamServer):
    make_poller = Poller


class DatagramServer(datagram.ReadinessServer):
    make_poller = Poller
