"""Who is let in and who leaves, on one thread with non-blocking sockets."""

from __future__ import annotations

import contextlib
import socket

from aionet.descriptors import descriptor_room, warn_cannot_accept
from aionet.limits import Limits, Timeouts
from aionet.protocol import Service
from aionet.sockets import (
    ACCEPT_RETRY_S,
    BURST,
    AcceptPaused,
    ListenerClosed,
    accept,
    set_reset_on_close,
    stop_reading,
)
from blocking.delivery import Connection, Delivery
from blocking.poller import IN, Poller


class Connections(Delivery):
    """All connections of a listening TCP socket, by descriptor."""

    def __init__(
        self,
        poller: Poller,
        listener: socket.socket,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
    ) -> None:
        super().__init__(poller, service, limits, timeouts)
        listener.setblocking(False)
        self._listener = listener
        self._room = limits.connections or descriptor_room()
        self._connections: dict[int, Connection] = {}
        self._listening = True
        self._full = False  # so the listener is not watched until somebody leaves
        self._draining = False

    def _accept(self) -> None:
        try:
            for _ in range(BURST):
                if len(self._connections) < self._room:
                    self._open(accept(self._listener))
                elif self._limits.on_full == "reject":
                    with accept(self._listener) as sock:
                        set_reset_on_close(sock)
                else:
                    self._full = True
                    self._ignore_listener()  # or it would be reported for ever
                    break
        except BlockingIOError:
            pass
        except AcceptPaused as error:
            warn_cannot_accept("%s; trying again in %g s", error, ACCEPT_RETRY_S)
            self._ignore_listener()  # as above
            self._alarms.call_later(ACCEPT_RETRY_S, self._watch_listener)
        except ListenerClosed:
            self._poller.close_socket(self._listener)
            self._listening = False

    def _ignore_listener(self) -> None:
        self._poller.unregister(self._listener.fileno())

    def _watch_listener(self) -> None:
        self._poller.register(self._listener.fileno(), IN)

    def _open(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        conn = Connection(sock)
        self._connections[conn.fd] = conn
        self._begin_watching(conn)
        if self._draining:
            stop_reading(sock)
        self._deliver(conn, self._service.connect(conn))

    def _begin_watching(self, conn: Connection) -> None:
        self._poller.register(conn.fd, IN)

    def _settle(self) -> None:
        """Send what this step's deliveries left, and close whom it finished with."""
        while self._unsent or self._finished:
            while self._unsent:
                peer, _ = self._unsent.popitem()
                if peer.outbox:
                    self._flush(peer)
            if self._finished:
                self._close(self._finished.pop())

    def _close(self, conn: Connection) -> None:
        if conn.fd < 0:
            return
        del self._connections[conn.fd]
        conn.fd = -1
        conn.closing = True
        conn.outbox = b""
        self._poller.close_socket(conn.sock)
        if self._full:
            self._full = False
            self._watch_listener()
        if not conn.eof:
            conn.eof = True
            self._deliver(conn, self._service.receive_eof(conn))

    def drain(self) -> None:
        """Accept no more, and treat every peer as having finished sending.

        May be called by a signal handler, in the midst of everything else.
        """
        self._draining = True
        stop_reading(self._listener)
        for conn in list(self._connections.values()):
            stop_reading(conn.sock)

    def abort(self) -> None:
        """Reset every peer, whatever is pending: each is reported with HUP."""
        for conn in list(self._connections.values()):
            with contextlib.suppress(OSError):
                set_reset_on_close(conn.sock)
                conn.sock.shutdown(socket.SHUT_RDWR)
