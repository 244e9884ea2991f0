"""What non-blocking sockets could not send yet, and what becomes of who does not read.

send() takes what fits into the kernel's buffer and no more. The rest waits here until the poller
says that there is room, and nothing more is read from a peer with too much waiting.
"""

from __future__ import annotations

import contextlib
import logging
import socket

from aionet.limits import Limits, Timeouts
from aionet.protocol import Deliveries, Service
from aionet.sockets import set_reset_on_close
from blocking.alarms import Alarms
from blocking.poller import IN, OUT, Poller

log = logging.getLogger("blocking")


class Connection:
    """A non-blocking socket, what is to be sent on it, and the events we wait for."""

    __slots__ = ("closing", "eof", "events", "fd", "outbox", "recv", "send", "sock")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.recv = sock.recv
        self.send = sock.send
        self.outbox: bytes | bytearray = b""  # most connections never have anything waiting
        self.events = IN
        self.eof = False  # the service knows that the peer has finished, or is gone
        self.closing = False  # the service has said its last word to this peer


class Delivery:
    """Carries out what the service says, as far as peers read it."""

    def __init__(
        self, poller: Poller, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        self._poller = poller
        self._service = service
        self._limits = limits
        self._timeouts = timeouts
        self._unsent: dict[Connection, None] = {}  # peers to whom others have just talked
        self._finished: list[Connection] = []  # to be closed once this step is done
        self._alarms = Alarms()

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
        events = self._wanted(conn)
        if events != conn.events:
            conn.events = events
            self._poller.modify(conn.fd, events)

    def _wanted(self, conn: Connection) -> int:
        events = OUT if conn.outbox else 0
        if not conn.eof and len(conn.outbox) <= self._limits.write_buffer:
            events |= IN
        return events

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
        self._alarms.call_later(self._timeouts.linger, lambda: self._finished.append(conn))
