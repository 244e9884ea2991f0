"""One client at a time: accept, serve to its end, accept the next.

The simplest server there is, and what is wrong with it: whoever comes second waits, connected
by the kernel and served by nobody, until the first has left. That is why Limits.connections
and .on_full mean nothing here: it never holds more than one.
"""

from __future__ import annotations

import contextlib
import socket

from aionet.limits import Limits, Timeouts
from aionet.protocol import Deliveries, Service
from aionet.sockets import (
    RECV_SIZE,
    accept_patiently,
    set_reset_on_close,
    stop_reading,
    wait_for_close,
)
from blocking.datagram import DatagramServer

__all__ = ["DatagramServer", "StreamServer"]


class StreamServer:
    """Serves `service` on a listening TCP socket, one connection after the other."""

    def __init__(
        self, listener: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        self._listener = listener
        self._service = service
        self._timeouts = timeouts
        self._conn: socket.socket | None = None
        self._draining = False

    def serve_forever(self) -> None:
        """Serve until `drain` is called."""
        with self._listener:
            while conn := accept_patiently(self._listener):
                self.serve(conn)

    def serve(self, conn: socket.socket) -> None:
        """Serve one connection to its end."""
        self._conn = conn
        if self._draining:
            stop_reading(conn)
        with conn:
            # A peer that resets ends its own conversation and nothing else.
            with contextlib.suppress(OSError):
                self._converse(conn)
            with contextlib.suppress(OSError):
                self._deliver(conn, self._service.receive_eof(conn))
        self._conn = None

    def _converse(self, conn: socket.socket) -> None:
        closing = self._deliver(conn, self._service.connect(conn))
        while not closing:
            data = conn.recv(RECV_SIZE)
            if not data:
                return
            closing = self._deliver(conn, self._service.receive_data(conn, data))
        wait_for_close(conn, self._timeouts.linger)

    def _deliver(self, conn: socket.socket, deliveries: Deliveries) -> bool:
        """Send what is for `conn`; True when the service wants it closed.

        sendall() returns when the kernel has taken everything, and nothing is read until
        then: a peer that does not read is not listened to, and nothing piles up here.
        """
        for peer, data in deliveries:
            if peer is conn:
                if not data:
                    return True
                conn.sendall(data)
        return False

    def drain(self) -> None:
        """Accept no more, and treat the peer as having finished sending.

        May be called by a signal handler, in the midst of everything else.
        """
        self._draining = True
        stop_reading(self._listener)
        if self._conn is not None:
            stop_reading(self._conn)

    def abort(self) -> None:
        """Reset the peer, whatever is pending; wakes a blocked sendall()."""
        if (conn := self._conn) is not None:
            with contextlib.suppress(OSError):
                set_reset_on_close(conn)
                conn.shutdown(socket.SHUT_RDWR)
