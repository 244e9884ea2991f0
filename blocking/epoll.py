"""One thread, one epoll, non-blocking sockets: the kernel says who can go on, and we do that.

epoll is level-triggered here: what is not read now is reported again. So every step may stop
halfway, and the state to go on from is kept in a `Connection` instead of on a thread's stack.
Which events are asked for *is* the back-pressure: a peer with too much waiting to be sent is
not asked for input until it has read.
"""

from __future__ import annotations

import contextlib
import heapq
import itertools
import logging
import select
import socket
import time
from collections.abc import Callable
from select import EPOLLERR, EPOLLHUP, EPOLLIN, EPOLLOUT

from aionet.descriptors import descriptor_room, warn_cannot_accept
from aionet.limits import Limits, Timeouts
from aionet.protocol import Deliveries, Service
from aionet.sockets import (
    ACCEPT_RETRY_S,
    BURST,
    RECV_SIZE,
    AcceptPaused,
    ListenerClosed,
    accept,
    set_reset_on_close,
    stop_reading,
)
from blocking.datagram import EpollDatagramServer as DatagramServer

__all__ = ["DatagramServer", "StreamServer"]

log = logging.getLogger("blocking")

MAX_EVENTS = 256  # per poll; who is not among them is reported by the next


class Connection:
    """A non-blocking socket, what is to be sent on it, and the events we wait for."""

    __slots__ = ("closing", "eof", "events", "fd", "outbox", "recv", "send", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.send = sock.send
        self.outbox: bytes | bytearray = b""  # most connections never have anything waiting
        self.events = EPOLLIN
        self.eof = False  # the service knows that the peer has finished, or is gone
        self.closing = False  # the service has said its last word to this peer


class StreamServer:
    """Serves `service` on a listening TCP socket, all connections on one thread."""

    def __init__(
        self, listener: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        listener.setblocking(False)
        self._listener = listener
        self._service = service
        self._limits = limits
        self._room = limits.connections or descriptor_room()
        self._timeouts = timeouts
        self._epoll = select.epoll()
        self._connections: dict[int, Connection] = {}
        self._unsent: dict[Connection, None] = {}  # peers to whom others have just talked
        self._finished: list[Connection] = []  # to be closed once this step is done
        self._alarms: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self._listening = True
        self._full = False  # so the listener is not watched until somebody leaves
        self._draining = False

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        listener_fd = self._listener.fileno()
        poll, connections, readable = self._epoll.poll, self._connections, self._readable
        with self._listener, self._epoll:
            self._epoll.register(listener_fd, EPOLLIN)
            while self._listening or connections:
                timeout = self._ring_alarms() if self._alarms else None
                for fd, events in poll(timeout, MAX_EVENTS):
                    if fd == listener_fd:
                        self._accept()
                    elif events == EPOLLIN:
                        readable(connections[fd])
                    else:
                        self._ready(connections[fd], events)
                if self._unsent or self._finished:
                    self._settle()

    # Accept.

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
                    self._epoll.unregister(self._listener)  # it stays readable and would spin
                    break
        except BlockingIOError:
            pass
        except AcceptPaused as error:
            warn_cannot_accept("%s; trying again in %g s", error, ACCEPT_RETRY_S)
            self._epoll.unregister(self._listener)  # as above
            self._call_later(ACCEPT_RETRY_S, lambda: self._epoll.register(self._listener, EPOLLIN))
        except ListenerClosed:
            self._listener.close()
            self._listening = False

    def _open(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        conn = Connection(sock)
        self._connections[conn.fd] = conn
        self._epoll.register(conn.fd, EPOLLIN)
        if self._draining:
            stop_reading(sock)
        self._deliver(conn, self._service.connect(conn))

    # Feed.

    def _readable(self, conn: Connection) -> None:
        try:
            data = conn.recv(RECV_SIZE)
        except BlockingIOError:
            return
        except OSError:  # a reset ends its own conversation and nothing else
            self._finished.append(conn)
            return
        if conn.closing:  # nobody listens any more: we only wait for its end
            if not data:
                self._finished.append(conn)
        elif data:
            self._deliver(conn, self._service.receive_data(conn, data))
        else:
            conn.eof = True
            self._watch(conn)
            self._deliver(conn, self._service.receive_eof(conn))

    def _ready(self, conn: Connection, events: int) -> None:
        """The rarer events: room to send, or a hang-up, in any combination with input."""
        if events & EPOLLOUT and conn.outbox:
            self._flush(conn)
        if events & conn.events & EPOLLIN:
            self._readable(conn)
        elif events & (EPOLLERR | EPOLLHUP):
            # They are reported unasked, also while we do not want to read what else came.
            self._finished.append(conn)

    # Deliver.

    def _deliver(self, conn: Connection, deliveries: Deliveries) -> None:
        for peer, data in deliveries:
            if peer.closing:
                continue
            if not data:
                peer.closing = True
                if not peer.outbox:
                    self._say_goodbye(peer)
            elif peer.outbox:
                peer.outbox += data
                if len(peer.outbox) > self._limits.outbox:
                    self._flush_or_drop(peer)
                elif len(peer.outbox) > self._limits.write_buffer:
                    self._watch(peer)  # who does not read is not listened to
            elif peer is conn:
                self._send(peer, data)
            else:  # sent when this step is done: many messages to one peer go in one call
                peer.outbox = bytearray(data)
                self._unsent[peer] = None

    def _send(self, peer: Connection, data: bytes) -> None:
        """Send `data`, the outbox being empty, and keep what the kernel does not take."""
        try:
            sent = peer.send(data)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(peer)
            return
        if sent < len(data):
            peer.outbox = bytearray(memoryview(data)[sent:])
            self._watch(peer)

    def _flush(self, peer: Connection) -> None:
        try:
            sent = peer.send(peer.outbox)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._drop(peer)
            return
        if sent < len(peer.outbox):
            del peer.outbox[:sent]  # type: ignore[union-attr]
        else:
            peer.outbox = b""
            if peer.closing:
                self._say_goodbye(peer)
                return
        self._watch(peer)

    def _flush_or_drop(self, peer: Connection) -> None:
        self._flush(peer)
        if len(peer.outbox) > self._limits.outbox:
            log.info("a peer is dropped: it reads slower than others talk")
            with contextlib.suppress(OSError):
                set_reset_on_close(peer.sock)
            self._drop(peer)

    def _watch(self, conn: Connection) -> None:
        """Ask for the events that `conn` can make use of."""
        events = EPOLLOUT if conn.outbox else 0
        if not conn.eof and len(conn.outbox) <= self._limits.write_buffer:
            events |= EPOLLIN
        if events != conn.events:
            conn.events = events
            self._epoll.modify(conn.fd, events)

    # Close.

    def _drop(self, peer: Connection) -> None:
        peer.closing = True
        peer.outbox = b""
        self._finished.append(peer)

    def _say_goodbye(self, conn: Connection) -> None:
        """Everything is sent: close, but not before the peer does if it may still be talking.

        Closing with unread input would send a reset, which may overtake the last bytes.
        """
        if conn.eof:
            self._finished.append(conn)
            return
        with contextlib.suppress(OSError):
            conn.sock.shutdown(socket.SHUT_WR)
        self._watch(conn)
        self._call_later(self._timeouts.linger, lambda: self._finished.append(conn))

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
        conn.sock.close()  # which takes it out of the epoll, too
        if self._full:
            self._full = False
            self._epoll.register(self._listener, EPOLLIN)
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
        """Reset every peer, whatever is pending: each is reported with EPOLLHUP."""
        for conn in list(self._connections.values()):
            with contextlib.suppress(OSError):
                set_reset_on_close(conn.sock)
                conn.sock.shutdown(socket.SHUT_RDWR)

    # Time.

    def _call_later(self, delay: float, callback: Callable[[], None]) -> None:
        heapq.heappush(self._alarms, (time.monotonic() + delay, next(self._serial), callback))

    def _ring_alarms(self) -> float | None:
        """Call what is due; how long poll() may wait for the next."""
        while self._alarms:
            left = self._alarms[0][0] - time.monotonic()
            if left > 0:
                return 0.0 if self._finished else left
            heapq.heappop(self._alarms)[2]()
        return 0.0 if self._finished else None
