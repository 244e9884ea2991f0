"""poll(2): all that is watched is handed over at every wait, and looked through twice."""

from __future__ import annotations

import math
import select
import socket

from blocking import datagram, readiness


class Poller:
    """The kernel keeps nothing: it is told all again each time, and so takes as long as that is."""

    def __init__(self) -> None:
        poll = select.poll()
        self.register = poll.register
        self.modify = poll.modify
        self.unregister = poll.unregister
        self._poll = poll.poll

    def poll(self, timeout: float | None) -> list[tuple[int, int]]:
        return self._poll(None if timeout is None else math.ceil(timeout * 1000))

    def close_socket(self, sock: socket.socket) -> None:
        self.unregister(sock.fileno())  # its number may be somebody else's at the next wait
        sock.close()

    def close(self) -> None:
        """There is nothing to close."""


class StreamServer(readiness.StreamServer):
    make_poller = Poller


class DatagramServer(datagram.ReadinessServer):
    make_poller = Poller
