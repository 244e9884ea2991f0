"""tcp-short: connect, send one message, take its echo, close; and again.

The client closes first, so TIME_WAIT stays on its side; it comes from many source addresses
in turn, so that the ports held by TIME_WAIT do not run out.
"""

from __future__ import annotations

import itertools
import select
import socket
from collections.abc import Iterator
from time import perf_counter_ns as clock

from compare.driver.connect import CONNECT_TIMEOUT_NS, count_failure, open_socket, sources
from compare.driver.load import Load
from compare.driver.tcp_long import Conversation, message_pairs


class ShortConversation(Conversation):
    """A place that is never empty: when one connection is done, the next is opened."""

    __slots__ = ("source",)

    def __init__(self, load: Load, messages: tuple[bytes, bytes], source: Iterator[str | None]):
        super().__init__(load, messages)
        self.source = source

    def open(self) -> None:
        load, counts = self.load, self.load.counts
        counts.attempted += 1
        self.received = b""
        self.unsent = memoryview(b"")
        self.started = clock()
        try:
            self.sock = sock = open_socket(load.address, next(self.source))
        except OSError as error:
            self.waiting = False
            count_failure(load, error.errno or 0)
            return
        self.fd = sock.fileno()
        self.waiting = True
        # On loopback the handshake is done when connect() returns: send without asking epoll.
        self.message, self.other = self.other, self.message
        try:
            sent = sock.send(self.message)
        except BlockingIOError:
            load.watch(self.fd, self.on_connected, select.EPOLLOUT)
        except OSError as error:
            load.watch(self.fd, self.on_ready)
            self.fail(error)
        else:
            self.connected()
            load.watch(self.fd, self.on_ready)
            if sent != self.size:
                self.unsent = memoryview(self.message)[sent:]
                load.epoll.modify(self.fd, select.EPOLLIN | select.EPOLLOUT)

    def connected(self) -> None:
        self.load.connect_samples.append(clock() - self.started)
        self.load.counts.connected += 1

    def on_connected(self) -> None:
        if error := self.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self.fail(OSError(error, ""))
            return
        self.connected()
        self.load.handlers[self.fd] = self.on_ready
        self.load.epoll.modify(self.fd, select.EPOLLIN | select.EPOLLOUT)
        self.unsent = memoryview(self.message)
        self.on_ready()

    def completed(self, now: int) -> None:
        self.record(now - self.started)
        self.load.counts.served += 1
        self.close()
        if self.load.sending:
            self.open()


class Workload:
    def __init__(self, load: Load) -> None:
        self._load = load
        messages = message_pairs(load)
        addresses: Iterator[str | None] = sources(load.spec.host) or itertools.repeat(None)
        self._places = [
            ShortConversation(load, next(messages), addresses) for _ in range(load.spec.connections)
        ]

    def connect(self) -> None:
        """Nothing stays open, so there is nothing to open beforehand."""

    def begin(self) -> None:
        for place in self._places:
            place.open()

    def idle(self) -> bool:
        return False

    def tick(self, now: int) -> None:
        for place in self._places:
            if not place.waiting:
                if self._load.sending:  # its last attempt failed
                    place.open()
            elif now - place.started > CONNECT_TIMEOUT_NS:
                self._load.counts.timed_out += 1
                place.close()

    def unanswered(self) -> int:
        return sum(place.waiting for place in self._places)

    def finish(self) -> None:
        self._load.counts.starved = self.unanswered()
