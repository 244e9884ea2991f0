"""epoll(7), edge-triggered: a change is reported once, and never again what is merely so.

Nothing is asked for twice, so waiting to send costs no system call. In return there are two traps:

- a missed edge: who stops reading before the kernel says EAGAIN is not told of the rest, and if
  the peer now waits for an answer, both wait for ever. That what came was less than was asked for
  proves nothing: the end may stand behind it, and its edge came with the data's.
- starvation: who reads on until EAGAIN serves one peer for as long as that one keeps sending.

So at most READS reads in a row, and where there may be more, or nothing more is wanted for now,
the edge is asked for anew: EPOLL_CTL_MOD looks at the state and reports it once more.
"""

from __future__ import annotations

from select import EPOLLET

from blocking import datagram, readiness
from blocking.on_epoll import Poller
from blocking.poller import IN, OUT
from blocking.readiness import Connection

READS = 16  # in a row, of one connection
EDGES = IN | OUT | EPOLLET


class StreamServer(readiness.StreamServer):
    make_poller = Poller

    def _begin_watching(self, conn: Connection) -> None:
        self._poller.register(conn.fd, EDGES)

    def _readable(self, conn: Connection) -> bool:
        for _ in range(READS):
            if not (conn.events & IN and super()._readable(conn)):
                return False
        self._ask_again(conn)
        return True

    def _writable(self, conn: Connection) -> None:
        super()._writable(conn)
        if conn.events & OUT and not conn.buffer:
            self._ask_again(conn)  # the kernel took all, so there will be no edge

    def _watch(self, conn: Connection) -> None:
        """Note the events that `conn` can make use of; all are reported as it is."""
        before, conn.events = conn.events, self._wanted(conn)
        if conn.events & ~before:
            self._ask_again(conn)  # for the edge that was not followed to its end

    def _ask_again(self, conn: Connection) -> None:
        if conn.fd >= 0:
            self._poller.modify(conn.fd, EDGES)


class DatagramServer(datagram.ReadinessServer):
    make_poller = Poller
    events = IN | EPOLLET
