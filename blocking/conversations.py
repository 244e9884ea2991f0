"""What a thread does for a connection, and a lock around what the threads share.

With the lock held while sending, one member who does not read would stop everybody. So outboxes
are filled under the lock and sent outside it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable

from aionet.descriptors import descriptor_room
from aionet.limits import Limits, Timeouts
from aionet.protocol import Deliveries, Service
from aionet.sockets import (
    RECV_SIZE,
    accept_patiently,
    set_reset_on_close,
    stop_reading,
    wait_for_close,
)
from blocking.outbox import Connection

log = logging.getLogger("blocking")


class Conversations:
    """All connections of a listening TCP socket, each served by a thread."""

    def __init__(
        self, listener: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        self._listener = listener
        self._service = service
        self._limits = limits
        self._room = limits.connections or descriptor_room()
        self._timeouts = timeouts
        self._lock = threading.Lock()  # one call into the service at a time
        self._connections: set[Connection] = set()
        # Told when a peer has left. drain() must not touch it: called by a signal handler, it
        # may have interrupted the very thread that holds the lock inside. It need not, either:
        # whoever waits for room waits for peers, and drain() makes those leave.
        self._left = threading.Condition()
        self._draining = False

    def _accept(self) -> Connection | None:
        """The next connection that there is room for; None once the listener is stopped."""
        if self._limits.on_full == "queue":
            self._wait_until_fewer_than(self._room)
        while sock := accept_patiently(self._listener):
            if len(self._connections) < self._room:
                conn = Connection(sock)
                self._connections.add(conn)
                if self._draining:
                    stop_reading(sock)
                return conn
            with sock:
                set_reset_on_close(sock)
        return None

    def _wait_until_fewer_than(self, count: int) -> None:
        if len(self._connections) >= count:
            with self._left:
                self._left.wait_for(lambda: len(self._connections) < count)

    def _serve(self, conn: Connection) -> None:
        try:
            # A peer that resets ends its own conversation and nothing else.
            with contextlib.suppress(OSError):
                self._converse(conn)
            with contextlib.suppress(OSError):
                self._deliver(conn, self._service.receive_eof)
        finally:  # whatever happened, it does not go on counting as held
            with conn.sending:  # nobody may be in send() when the descriptor becomes free
                conn.closing = True
                conn.sock.close()
            self._forget(conn)

    def _forget(self, conn: Connection) -> None:
        with self._left:
            self._connections.remove(conn)
            self._left.notify()

    def _converse(self, conn: Connection) -> None:
        self._deliver(conn, self._service.connect)
        while not conn.closing:
            data = conn.sock.recv(RECV_SIZE)
            if not data:
                return
            self._deliver(conn, self._service.receive_data, data)
        wait_for_close(conn.sock, self._timeouts.linger)

    def _deliver(self, conn: Connection, call: Callable[..., Deliveries], *data: bytes) -> None:
        """Ask the service under the lock, send outside it."""
        others = []
        with self._lock:
            for peer, message in call(conn, *data):
                if peer.closing:
                    continue
                if message:
                    peer.put(message)
                else:
                    peer.closing = True
                if peer is not conn:
                    others.append(peer)
        for peer in others:
            self._send_soon(peer)
        if conn.outbox:
            conn.flush()

    def _send_soon(self, peer: Connection) -> None:
        """Send to somebody else's peer without waiting for it."""
        if peer.pending_bytes > self._limits.outbox:
            log.info("a peer is dropped: it reads slower than others talk")
            peer.shut()
            return
        with contextlib.suppress(OSError):  # reset; its own thread will see that too
            if not peer.flush_now():  # a second thread, for as long as the peer is slow
                threading.Thread(target=self._flush_slow, args=(peer,), daemon=True).start()
            if peer.closing:
                stop_reading(peer.sock)  # wakes its thread, which closes it

    def _flush_slow(self, peer: Connection) -> None:
        with contextlib.suppress(OSError):
            peer.flush()

    def drain(self) -> None:
        """Accept no more, and treat every peer as having finished sending.

        May be called by a signal handler, in the midst of everything else.
        """
        self._draining = True
        stop_reading(self._listener)
        for conn in list(self._connections):
            stop_reading(conn.sock)

    def abort(self) -> None:
        """Reset every peer, whatever is pending."""
        for conn in list(self._connections):
            conn.shut()
