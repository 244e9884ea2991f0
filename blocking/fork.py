"""A process for each connection, forked when it is accepted, which serves it and ends.

The oldest concurrent server, as inetd and sshd are. Nothing is shared, so that nothing needs a
lock and a crash costs one connection; and nothing can be shared, so that there is no chat. What it
costs is the fork itself: the page tables of a Python process, and a copy of each page that is
written to afterwards, as reference counts are.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import socket
import time
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, NoReturn

from aionet.core.source import source_of
from aionet.limits import Limits, Timeouts
from aionet.native import signal_when_parent_dies
from aionet.protocol import Service
from aionet.signals import carry_on, stop_on_signals
from aionet.sockets import accept_patiently, set_reset_on_close, waiting_to_be_accepted
from aionet.throttle import throttled
from blocking import sequential

if TYPE_CHECKING:
    from ssl import SSLContext

__all__ = ["StreamServer"]

log = logging.getLogger("blocking")

PROCESSES = 1024  # at a time, unless Limits.connections says otherwise
STOP_S = 2.0  # after the drain timeout; who has not stopped then hangs
LOOK_S = 0.5


class StreamServer:
    """Serves `service` on a listening TCP socket, each connection in a process of its own.

    For the main thread: it waits for its children by a handler of SIGCHLD.
    """

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        tls: SSLContext | None = None,
    ) -> None:
        self._tls = tls
        self._listener = listener
        self._service = service
        self._limits = limits
        self._room = limits.connections or PROCESSES
        self._timeouts = timeouts
        self._children: dict[int, str | None] = {}  # by pid: whose connection it serves
        self._of_source: Counter[str | None] = Counter()
        self._draining = self._aborted = False
        self._left = 0  # who were connected before the drain
        self._abort_at = math.inf

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every child has ended."""
        signal.signal(signal.SIGCHLD, self._reap)
        with self._listener:
            while conn := self._accept():
                self._fork(conn)
        self._wait_until_fewer_than(1)

    def _accept(self) -> socket.socket | None:
        """The next connection that there is room for; None after `drain`, when nobody is left."""
        with contextlib.suppress(BlockingIOError):
            while self._goes_on():
                if self._limits.on_full == "queue":
                    self._wait_until_fewer_than(self._room)
                conn = None if self._aborted else accept_patiently(self._listener)
                if conn is None or self._may_be_served(conn):
                    return conn
                with conn:
                    set_reset_on_close(conn)
        return None

    def _goes_on(self) -> bool:
        """Whether one more is to be accepted."""
        if self._draining:
            self._left -= 1
        return self._left >= 0

    def _may_be_served(self, conn: socket.socket) -> bool:
        most = self._limits.per_peer
        if most is not None and self._of_source[_source(conn)] >= most:
            return False
        return len(self._children) < self._room

    def _fork(self, conn: socket.socket) -> None:
        # Nobody may end a child before its arrangements are made, nor it end before it is known.
        with conn, _blocked(signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            source = _source(conn) if self._limits.per_peer is not None else None
            parent = os.getpid()
            try:
                pid = os.fork()
            except OSError as error:
                why = "cannot fork: %s; the connection is closed"
                throttled(logging.WARNING, why, error.strerror)
                return
            if not pid:
                self._become_child(conn, parent)
            self._children[pid] = source
            if source is not None:
                self._of_source[source] += 1
            if self._draining:
                os.kill(pid, signal.SIGTERM)

    def _become_child(self, conn: socket.socket, parent: int) -> NoReturn:
        """The child's whole life. It must not return: the code above is the parent's."""
        status = 1
        try:
            # Nobody could stop one that outlives its parent.
            signal_when_parent_dies(signal.SIGKILL, parent)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._listener.close()
            server = sequential.StreamServer(
                self._listener, self._service, self._limits, self._timeouts, self._tls
            )
            # All have until the same moment, whenever their turn has come.
            drain_s = min(self._timeouts.drain, self._abort_at - time.monotonic())
            with stop_on_signals(server.drain, server.abort, drain_s, second=carry_on):
                signal.pthread_sigmask(signal.SIG_SETMASK, [])
                server.serve(conn)
            status = 0
        except BaseException:
            log.exception("the child that served a connection failed")
        finally:
            os._exit(status)

    def _reap(self, *ignored: object) -> None:
        """Forget the children that have ended; also the handler of SIGCHLD."""
        with contextlib.suppress(ChildProcessError):
            while pid := os.waitpid(-1, os.WNOHANG)[0]:
                source = self._children.pop(pid, None)
                if source is not None:
                    self._of_source[source] -= 1
                    if not self._of_source[source]:
                        del self._of_source[source]

    def _wait_until_fewer_than(self, count: int) -> None:
        if len(self._children) < count:
            return
        with _blocked(signal.SIGCHLD):  # or it might come between looking and waiting
            self._reap()
            while len(self._children) >= count:
                signal.sigtimedwait([signal.SIGCHLD], LOOK_S)  # drain() may have come meanwhile
                self._reap()
                if time.monotonic() > self._abort_at + STOP_S:
                    self._kill()

    def _kill(self) -> None:
        for pid in self._children:
            throttled(logging.ERROR, "process %d has not stopped: killed", pid)
            os.kill(pid, signal.SIGKILL)
        self._abort_at = math.inf

    def drain(self) -> None:
        """Wait for nobody more, and have every child see the end of what its peer has sent.

        May be called by a signal handler, in the midst of everything else. Who was connected
        before is still accepted: an accept() that waits is tried again after the handler.
        """
        self._abort_at = time.monotonic() + self._timeouts.drain
        self._left = waiting_to_be_accepted(self._listener)
        self._draining = True
        self._listener.setblocking(False)
        for pid in list(self._children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    def abort(self) -> None:
        """Accept nobody more. Every child has the same limit, and resets its peer itself."""
        self._aborted = True


def _source(conn: socket.socket) -> str | None:
    try:
        return source_of(conn.getpeername())
    except OSError:  # it is gone
        return None


@contextlib.contextmanager
def _blocked(*signals: signal.Signals) -> Iterator[None]:
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
