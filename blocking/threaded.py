"""A thread for each connection, and a lock around what they share.

Every thread reads as the one-at-a-time server does, so a slow client delays only its own
thread. The price is memory for a stack each, switches between them, and the lock: without it
two threads would change the room at once; with it held while sending, one member who does not
read would stop everybody. So outboxes are filled under the lock and sent outside it.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections import deque
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
from blocking.datagram import ThreadedDatagramServer as DatagramServer

__all__ = ["DatagramServer", "StreamServer"]

log = logging.getLogger("blocking")


class Connection:
    """A socket and what is to be sent on it.

    Lock order: the server's lock, then nothing. `sending` is only ever held without it.
    """

    __slots__ = ("closing", "outbox", "put_bytes", "sending", "sent_bytes", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.outbox: deque[bytes] = deque()
        self.put_bytes = 0  # written under the server's lock
        self.sent_bytes = 0  # written while `sending` is held
        self.closing = False  # the service has said its last word to this peer
        self.sending = threading.Lock()  # held by the thread that empties the outbox

    def put(self, data: bytes) -> None:
        self.outbox.append(data)
        self.put_bytes += len(data)

    @property
    def pending_bytes(self) -> int:
        return self.put_bytes - self.sent_bytes

    def flush(self) -> None:
        """Send all there is, waiting for the peer as long as it takes. Raises OSError."""
        while self.outbox:  # somebody may have filled it just before we let go
            with self.sending:
                while self.outbox:
                    data = self.outbox.popleft()
                    self.sock.sendall(data)
                    self.sent_bytes += len(data)

    def flush_now(self) -> bool:
        """Send what the kernel takes without waiting; False if something is left."""
        # Whoever holds `sending` empties the outbox. It may have looked for the last time
        # just before we filled it, so look again after it has let go.
        while self.outbox and self.sending.acquire(blocking=False):
            try:
                data = self.outbox.popleft()
                sent = self.sock.send(data, socket.MSG_DONTWAIT)
                self.sent_bytes += sent
                if sent < len(data):
                    self.outbox.appendleft(data[sent:])
                    return False
            except BlockingIOError:
                self.outbox.appendleft(data)
                return False
            except IndexError:
                return True
            finally:
                self.sending.release()
        return True

    def shut(self) -> None:
        """Drop the peer: its thread sees the end, and close() will reset it."""
        with contextlib.suppress(OSError):
            set_reset_on_close(self.sock)
            self.sock.shutdown(socket.SHUT_RDWR)


class StreamServer:
    """Serves `service` on a listening TCP socket, each connection in a thread of its own."""

    def __init__(
        self, listener: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        self._listener = listener
        self._service = service
        self._limits = limits
        self._room = limits.connections or descriptor_room()
        self._timeouts = timeouts
        self._lock = threading.Lock()  # one call into the service at a time
        self._connections: dict[Connection, threading.Thread] = {}
        # Told when a peer has left. drain() must not touch it: called by a signal handler, it
        # may have interrupted the very thread that holds the lock inside. It need not, either:
        # whoever waits for room waits for peers, and drain() makes those leave.
        self._left = threading.Condition()
        self._draining = False

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        with self._listener:
            while sock := self._accept():
                conn = Connection(sock)
                thread = threading.Thread(target=self._serve, args=(conn,), daemon=True)
                self._connections[conn] = thread
                if self._draining:
                    stop_reading(sock)
                try:
                    thread.start()
                except RuntimeError as error:
                    log.warning("%s; the connection is closed", error)
                    del self._connections[conn]
                    sock.close()
        for thread in list(self._connections.values()):
            thread.join()

    def _accept(self) -> socket.socket | None:
        """The next connection that there is room for; None once the listener is stopped."""
        if len(self._connections) >= self._room and self._limits.on_full == "queue":
            with self._left:
                self._left.wait_for(lambda: len(self._connections) < self._room)
        while sock := accept_patiently(self._listener):
            if len(self._connections) < self._room:
                return sock
            with sock:
                set_reset_on_close(sock)
        return None

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
            with self._left:
                del self._connections[conn]
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
