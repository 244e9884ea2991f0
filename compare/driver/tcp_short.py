"""tcp-short: connect, send one message, take its echo, close; and again.

Who closes first keeps TIME_WAIT: the client as a rule, the server if it was told to close after
one message, nobody after a reset. Connections come from many source addresses in turn, so that
the ports held by TIME_WAIT do not run out.
"""

from __future__ import annotations

import itertools
import select
import socket
import struct
from collections import deque
from collections.abc import Iterator
from os import read
from time import perf_counter_ns as clock

from compare.driver.connect import CONNECT_TIMEOUT_NS, count_failure, open_socket, sources
from compare.driver.load import LEAD_S, QUIET_NS, Load
from compare.driver.tcp_long import Conversation, message_pairs
from compare.driver.trace import Note, telling

RESET = struct.pack("ii", 1, 0)  # close() sends one; socket(7), SO_LINGER


class ShortConversation(Conversation):
    """A place that is never empty: when one connection is done, the next is opened."""

    __slots__ = ("source",)

    extra = 1

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
            self.not_opened(error)
            return
        self.fd = sock.fileno()
        self.waiting = True
        self.message, self.other = self.other, self.message
        self.begin()

    def begin(self) -> None:
        """On loopback the handshake is done when connect() returns: send without asking epoll."""
        load = self.load
        try:
            sent = self.sock.send(self.message)
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

    def not_opened(self, error: OSError) -> None:
        self.waiting = False
        count_failure(self.load, error.errno or 0)

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
        self.start(self.started)
        self.load.counts.served += 1
        self.end()

    def end(self) -> None:
        """Its one message was answered: close, and open the next."""
        closer = self.load.spec.close
        if closer == "server":
            self.load.handlers[self.fd] = self.on_end
            return
        if closer == "reset":
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.close()
        self.go_on()

    def on_end(self) -> None:
        try:
            data = read(self.fd, 1)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        if data:
            self.load.wrong(b"", data)
        self.close()
        self.go_on()

    def go_on(self) -> None:
        if self.load.sending:
            self.open()


class PacedPlace(ShortConversation):
    """A place of an open loop: empty until a connection is due."""

    __slots__ = ("due", "dues", "free")

    def __init__(
        self,
        load: Load,
        messages: tuple[bytes, bytes],
        source: Iterator[str | None],
        free: list[PacedPlace],
        dues: deque[int],
    ) -> None:
        super().__init__(load, messages, source)
        self.free = free
        self.dues = dues
        self.due = 0  # of the connection that is in it; 0 once that was answered

    def open_for(self, due: int) -> None:
        self.due = due
        self.open()

    def not_opened(self, error: OSError) -> None:
        super().not_opened(error)
        self.leave()

    def completed(self, now: int) -> None:
        self.load.answered(self.due, self.started, now)
        self.load.counts.served += 1
        self.due = 0
        self.end()

    def close(self) -> None:
        super().close()
        self.leave()

    def leave(self) -> None:
        if self.due:
            self.load.missed.append(self.due)
        self.free.append(self)

    def go_on(self) -> None:
        if self.dues and self.free:
            self.free.pop().open_for(self.dues.popleft())


class Workload:
    lead_s = LEAD_S
    closed: type[ShortConversation] = ShortConversation
    paced: type[PacedPlace] = PacedPlace

    def __init__(self, load: Load) -> None:
        self._load = load
        messages = message_pairs(load)
        addresses: Iterator[str | None] = sources(load.target.host) or itertools.repeat(None)
        self._dues: deque[int] = deque()  # of connections for which there was no place yet
        self._quiet_ns = 0  # how long nobody had been answered, when that was last asked
        self._free: list[PacedPlace] = []
        self._places: list[ShortConversation] = []
        for _ in range(load.spec.connections):
            if load.target.rate is None:
                self._places.append(self.closed(load, next(messages), addresses))
            else:
                place = self.paced(load, next(messages), addresses, self._free, self._dues)
                self._free.append(place)
                self._places.append(place)

    def connect(self) -> None:
        """Nothing stays open, so there is nothing to open beforehand."""

    def begin(self) -> None:
        for place in self._places:
            if not place.waiting:
                place.open()

    def pause(self) -> None:
        """Nobody asks before a connection is open what is to follow it."""

    def under_way(self) -> int:
        return sum(place.waiting for place in self._places) + len(self._dues)

    def offer(self, due: int, now: int) -> None:
        if self._free and not self._dues:
            self._load.lateness.append(now - due)
            self._free.pop().open_for(due)
            return
        self._dues.append(due)
        if self._free:  # since one failed
            self._free.pop().open_for(self._dues.popleft())

    def operations_at_once(self) -> int:
        return 1

    def idle(self) -> bool:
        return False

    def tick(self, now: int) -> None:
        for place in self._places:
            if not place.waiting:
                if self._load.sending:  # its last attempt failed
                    place.go_on()
            elif now - place.started > CONNECT_TIMEOUT_NS:
                self._load.counts.timed_out += 1
                place.close()

    def unanswered(self) -> int:
        self._quiet_ns = self._load.quiet_ns()
        return self.under_way() - len(self._dues)

    def finish(self) -> None:
        busy = self._load.target.rate is not None and self._quiet_ns < QUIET_NS
        self._load.counts.starved = 0 if busy else self.unanswered()
        self._load.missed.extend(self._dues)
        for place in self._places:
            if isinstance(place, PacedPlace) and place.waiting and place.due:
                self._load.missed.append(place.due)

    def lanes(self) -> int:
        return len(self._places)

    def tell(self, number: int, note: Note) -> None:
        each = self._places[number]
        each.record = telling(each.record, number, note)

    def waiting_since(self, number: int) -> int | None:
        each = self._places[number]
        return each.started if each.waiting else None
