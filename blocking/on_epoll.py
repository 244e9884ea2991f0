"""epoll(7): the kernel keeps what is watched, and a wait costs as much as there is to do."""

from __future__ import annotations

import select
import socket
from functools import partial

from blocking import datagram, readiness

MAX_EVENTS = 256  # per wait; who is not among them is reported by the next


class Poller:
    """What is watched is kept in the kernel, and only those who can go on come back."""

    def __init__(self) -> None:
        epoll = select.epoll()
        self.register = epoll.register
        self.modify = epoll.modify
        self.unregister = epoll.unregister
        self.poll = partial(epoll.poll, maxevents=MAX_EVENTS)
        self.close = epoll.close

    def close_socket(self, sock: socket.socket) -> None:
        sock.close()  # which takes it out of the epoll, too


class StreamServer(readiness.StreamServer):
    make_poller = Poller


class DatagramServer(datagram.ReadinessServer):
    make_poller = Poller
