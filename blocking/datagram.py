"""UDP three ways: one thread, several threads in recvfrom() on one socket, and a poller.

UDP has no connections, so nobody waits for somebody else to leave, and there is nothing to
cap: what is left of the models is how they wait.
"""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from typing import Any

from aionet.answerable import Answerable
from aionet.core import let_exits_pass
from aionet.limits import Limits, Timeouts
from aionet.pktinfo import Wildcard, answering
from aionet.protocol import Service, datagrams
from aionet.sockets import RECV_SIZE, stop_reading
from aionet.throttle import throttled
from blocking.poller import IN, Poller

THREADS = 4  # more only queue for the interpreter's lock


class DatagramServer:
    """Serves `service` on a bound UDP socket, one datagram after the other."""

    def __init__(
        self, sock: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        self._sock = sock
        self._service = service
        self._answerable = Answerable(limits, sock)
        self._draining = False
        self._aborted = False

    def serve_forever(self) -> None:
        """Serve until `drain` is called."""
        with self._sock:
            self._serve()

    def _serve(self) -> None:
        """The loop itself; any number of threads may be in it."""
        sock = answering(self._sock)
        while not self._aborted:
            data, sender = sock.recvfrom(RECV_SIZE)
            if sender is None:
                return  # a shut socket yields what is queued, then nothing, for ever
            self._answer(sock, data, sender)

    def _answer(self, sock: socket.socket | Wildcard, data: bytes, sender: Any) -> None:
        """Ask the service, and send what it says. That it fails costs an answer, and no more."""
        try:
            for peer, reply in self._replies(sender, data):
                if peer in self._answerable:
                    try:
                        sock.sendto(reply, peer)
                    except OSError:  # a full buffer, no way there: its loss, and nobody else's
                        continue
        except BaseException:
            let_exits_pass()
            throttled(
                logging.ERROR, "the service failed over a datagram of %s", sender, traceback=True
            )

    def _replies(self, sender: Any, data: bytes) -> Iterable[tuple[Any, bytes]]:
        return datagrams(sender, self._service.receive_data(sender, data))

    def drain(self) -> None:
        """Answer what has arrived, then stop.

        May be called by a signal handler, in the midst of everything else.
        """
        self._draining = True
        stop_reading(self._sock)

    def abort(self) -> None:
        """Stop at once, also while datagrams keep coming in."""
        self._aborted = True


class ThreadedDatagramServer(DatagramServer):
    """Several threads in recvfrom() on one socket: the kernel hands a datagram to one."""

    def __init__(
        self, sock: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        super().__init__(sock, service, limits, timeouts)
        self._lock = threading.Lock()

    def serve_forever(self) -> None:
        """Serve until `drain` is called."""
        with self._sock:
            threads = [threading.Thread(target=self._serve) for _ in range(THREADS)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    def _replies(self, sender: Any, data: bytes) -> Iterable[tuple[Any, bytes]]:
        with self._lock:  # all of it: a generator of the service runs when it is asked on
            return list(super()._replies(sender, data))


class ReadinessServer(DatagramServer):
    """Waits with a poller, and after each wait serves all that has arrived."""

    make_poller: Callable[[], Poller]
    events = IN

    def __init__(
        self, sock: socket.socket, service: Service, limits: Limits, timeouts: Timeouts
    ) -> None:
        super().__init__(sock, service, limits, timeouts)
        sock.setblocking(False)

    def serve_forever(self) -> None:
        """Serve until `drain` is called."""
        sock = answering(self._sock)
        with self._sock, contextlib.closing(self.make_poller()) as poller:
            poller.register(self._sock.fileno(), self.events)
            while not self._aborted:
                poller.poll(None)
                try:
                    while not self._aborted:
                        data, sender = sock.recvfrom(RECV_SIZE)
                        self._answer(sock, data, sender)
                except BlockingIOError:
                    if self._draining:
                        return
