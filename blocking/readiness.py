"""One thread, non-blocking sockets: a poller says who can go on, and we do that.

What is not read now is reported again, so every step may stop halfway; the state to go on from is
kept in a `Connection` instead of on a thread's stack. Which events are asked for *is* the
back-pressure: a peer with too much waiting to be sent is not asked for input until it has read.
`select`, `poll` and `epoll` are this loop, each with its own poller.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable

from aionet.limits import Limits, Timeouts
from aionet.protocol import Service
from aionet.sockets import RECV_SIZE
from blocking.connections import Connections
from blocking.delivery import Connection
from blocking.poller import ERR, HUP, IN, OUT, Poller


class StreamServer(Connections):
    """Serves `service` on a listening TCP socket, all connections on one thread."""

    make_poller: Callable[[], Poller]

    def __init__(
        self, listener: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        super().__init__(self.make_poller(), listener, service, limits, timeouts)

    def serve_forever(self) -> None:
        """Serve until `drain` is called and every peer is gone."""
        listener_fd = self._listener.fileno()
        poll, connections, readable = self._poller.poll, self._connections, self._readable
        with self._listener, contextlib.closing(self._poller):
            self._poller.register(listener_fd, IN)
            while self._listening or connections:
                timeout = self._alarms.ring() if self._alarms else None
                for fd, events in poll(0.0 if self._finished else timeout):
                    if fd == listener_fd:
                        self._accept()
                    elif events == IN:
                        readable(connections[fd])
                    else:
                        self._ready(connections[fd], events)
                if self._unsent or self._finished:
                    self._settle()

    def _readable(self, conn: Connection) -> bool:
        """Read once; whether there may be more."""
        try:
            data = conn.recv(RECV_SIZE)
        except BlockingIOError:
            return False
        except OSError:  # a reset ends its own conversation and nothing else
            self._finished.append(conn)
            return False
        if conn.closing:  # nobody listens any more: we only wait for its end
            if not data:
                self._finished.append(conn)
        elif data:
            self._deliver(conn, self._service.receive_data(conn, data))
        else:
            conn.eof = True
            self._watch(conn)
            self._deliver(conn, self._service.receive_eof(conn))
        return bool(data)

    def _ready(self, conn: Connection, events: int) -> None:
        """The rarer events: room to send, or a hang-up, in any combination with input."""
        if events & OUT and conn.outbox:
            self._flush(conn)
        if events & conn.events & IN:
            self._readable(conn)
        elif events & (ERR | HUP):
            # They are reported unasked, also while we do not want to read what else came.
            self._finished.append(conn)
