"""One thread, non-blocking sockets: a poller says who can go on, and we do that.

What is not read now is reported again, so every step may stop halfway; the state to go on from is
kept in a `Connection` instead of on a thread's stack. Which events are asked for *is* the
back-pressure: a peer with too much waiting to be sent is not asked for input until it has read.
`on_select`, `on_poll` and `on_epoll` are this loop, each with its own poller.
"""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from aionet.core import Hub, State, Todo, hub_class
from aionet.descriptors import descriptor_room, warn_cannot_accept
from aionet.limits import Limits, Timeouts
from aionet.protocol import Service
from aionet.sockets import (
    ACCEPT_RETRY_S,
    BURST,
    RECV_SIZE,
    AcceptPaused,
    ListenerClosed,
    accept,
    waiting_to_be_accepted,
)
from blocking import connection
from blocking.poller import ERR, HUP, IN, OUT, Poller
from blocking.wakeup import Wakeup

if TYPE_CHECKING:
    from ssl import SSLContext


class Connection(connection.Connection):
    """A non-blocking socket, and the events we wait for on it."""

    __slots__ = ("events", "fd")

    def __init__(self, hub: Hub, sock: socket.socket) -> None:
        super().__init__(hub, sock)
        sock.setblocking(False)
        self.fd = sock.fileno()
        self.events = IN


class StreamServer:
    """Serves `service` on a listening TCP socket, all connections on one thread."""

    make_poller: Callable[[], Poller]

    def __init__(
        self,
        listener: socket.socket,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        tls: SSLContext | None = None,
    ) -> None:
        self.tls = tls
        listener.setblocking(False)
        self._listener = listener
        self._poller = self.make_poller()
        self._wakeup = Wakeup()
        self._connections: dict[int, Connection] = {}  # by descriptor
        self._accepting = False
        self._accept_at = 0.0  # not before: descriptors have run short
        self._draining = self._aborted = False
        places = limits.connections or descriptor_room()
        hub = hub_class(tls is not None)
        self._hub = hub(service, limits, timeouts, self, places=places, now=time.monotonic())

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        hub, poll, connections = self._hub, self._poller.poll, self._connections
        now, due = time.monotonic, 0.0
        with self._listener, contextlib.closing(self._poller), contextlib.closing(self._wakeup):
            self._poller.register(self._wakeup.fileno(), IN)
            self.accept(True)
            while True:
                if now() >= due:
                    due = now() + self._tick()
                if hub.dirty:
                    self._settle_all()
                if hub.draining and not hub.open:
                    break
                others = []
                for fd, events in poll(max(0.0, due - now())):
                    conn = connections.get(fd)
                    if conn is None:
                        others.append(fd)
                    elif events == IN:
                        self._readable(conn)
                    else:
                        self._ready(conn, events)
                # Newcomers last: one may get the number of a descriptor that has been closed just
                # now, and would be taken for the one whom an event after that is about.
                for fd in others:
                    if fd == self._listener.fileno():
                        self._accept()
                    elif fd == self._wakeup.fileno():
                        self._stop()

    # Newcomers.

    def _accept(self, most: int = BURST) -> None:
        """Accept a few."""
        try:
            for _ in range(most):
                if not (self._accepting or self._draining):
                    return
                conn = Connection(self._hub, accept(self._listener))
                self._connections[conn.fd] = conn
                self._begin_watching(conn)
                self._hub.admit(conn)
                if conn.dirty:
                    self._settle(conn)
        except BlockingIOError:
            pass
        except AcceptPaused as error:
            warn_cannot_accept("%s; trying again in %g s", error, ACCEPT_RETRY_S)
            self._accept_at = time.monotonic() + ACCEPT_RETRY_S
            self.accept(False)  # or it would be reported for ever
        except ListenerClosed:
            self.accept(False)

    def accept(self, more: bool) -> None:
        """Whether to watch the listener: as Shell.accept."""
        if more and not self._accepting and not self._hub.draining:
            self._poller.register(self._listener.fileno(), IN)
        elif not more and self._accepting:
            self._poller.unregister(self._listener.fileno())
        self._accepting = more and not self._hub.draining

    def _begin_watching(self, conn: Connection) -> None:
        self._poller.register(conn.fd, IN)

    # Read and write.

    def _readable(self, conn: Connection) -> bool:
        """Read once; whether there may be more."""
        try:
            data = conn.sock.recv(RECV_SIZE)
        except BlockingIOError:
            return False
        except OSError as error:
            self._lose(conn, error)
            return False
        if not data:
            self._hub.receive_eof(conn)
        elif out := self._hub.receive_data(conn, data):
            self._send(conn, out)
        if conn.dirty:
            self._settle(conn)
        return bool(data)

    def _send(self, conn: Connection, data: bytes) -> None:
        """Send `data` after what is in the buffer, and keep there what the kernel does not take."""
        if conn.buffer:
            conn.buffer += data  # a bytearray by now
        else:
            try:
                sent = conn.sock.send(data)
            except BlockingIOError:
                sent = 0
            except OSError as error:
                self._lose(conn, error)
                return
            if sent == len(data):
                if conn.extra is not None and conn.extra.rest is None:
                    self._hub.sent(conn, 0)  # it may be listened to again
                return  # what its service has left waits until others have had their turn
            conn.buffer = bytearray(memoryview(data)[sent:])
        self._hub.sent(conn, len(conn.buffer))
        self._watch(conn)

    def _writable(self, conn: Connection) -> None:
        """There is room in the kernel again: for the rest, and for what the service has left."""
        if conn.buffer:
            try:
                conn.send_buffer()
            except BlockingIOError:
                pass
            except OSError as error:
                self._lose(conn, error)
                return
        self._hub.sent(conn, len(conn.buffer))
        self._settle(conn)

    def _ready(self, conn: Connection, events: int) -> None:
        """The rarer events: room to send, or a hang-up, in any combination with input."""
        if events & OUT and conn.events & OUT:
            self._writable(conn)
        if events & conn.events & IN:
            self._readable(conn)
        elif events & (ERR | HUP) and conn.fd >= 0:
            # They are reported unasked, also while we do not want to read what else came.
            number = conn.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            self._lose(conn, OSError(number, "hung up") if number else None)

    # What the hub wants.

    def wake(self) -> None:
        """As Shell.wake: we look at it after each wait."""

    def _settle_all(self) -> None:
        while dirty := self._hub.dirty:
            self._hub.dirty = []
            for conn in dirty:
                self._settle(cast(Connection, conn))

    def _settle(self, conn: Connection) -> None:
        """Send what there is, do what is to be done, and wait for what `conn` can make use of."""
        while conn.dirty and conn.fd >= 0:
            conn.dirty = False
            if data := self._hub.take(conn):
                self._send(conn, data)
        if conn.todo is None and conn.extra is None and conn.state is State.OPEN:
            return  # nothing was ever in its way
        if conn.todo is not None and (todo := conn.pop_todo(conn.buffer)) is not None:
            conn.do(todo)
            if todo is Todo.RESET or todo is Todo.CLOSE:
                self._lose(conn, None)
        self._watch(conn)

    def _watch(self, conn: Connection) -> None:
        events = self._wanted(conn)
        if conn.fd >= 0 and events != conn.events:
            conn.events = events
            self._poller.modify(conn.fd, events)

    def _wanted(self, conn: Connection) -> int:
        more = conn.buffer or (conn.extra is not None and conn.extra.rest is not None)
        return (IN if conn.reads else 0) | (OUT if more else 0)

    def _lose(self, conn: Connection, error: OSError | None) -> None:
        """It is gone, or shall be: close it, and tell the hub."""
        if conn.fd >= 0:
            del self._connections[conn.fd]
            conn.fd = -1
            conn.buffer = b""
            self._poller.close_socket(conn.sock)
            self._hub.lost(conn, error)

    def _tick(self) -> float:
        if self._accept_at and time.monotonic() >= self._accept_at:
            self._accept_at = 0.0
            self.accept(not self._hub.places.full)
        delay = self._hub.tick(time.monotonic())
        return min(delay, ACCEPT_RETRY_S) if self._accept_at else delay

    # The end.

    def drain(self) -> None:
        """Accept no more, and treat every peer as having finished sending.

        May be called by a signal handler, in the midst of everything else, or by another thread.
        """
        self._draining = True
        self._wakeup.set()

    def abort(self) -> None:
        """Reset every peer, whatever is pending. May be called as `drain`."""
        self._aborted = True
        self._wakeup.set()

    def _stop(self) -> None:
        self._wakeup.clear()
        if self._draining and not self._hub.draining:
            self._accept(waiting_to_be_accepted(self._listener))  # who was connected before
            self.accept(False)
            self._listener.close()
            self._hub.drain()
        if self._aborted:
            self._hub.end()
