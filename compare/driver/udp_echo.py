"""udp-echo: one datagram there and back, one under way for each client socket.

A datagram carries its number and when it was sent. One that does not come back within
LOSS_NS counts as lost and the next is sent, so that a loss does not stall its client; if it
comes after all, it counts as late. Where the server takes its time on purpose, it is later by
PATIENCE times what all clients take one after the other.

In an open loop the sockets take the datagrams in turn as they are due, and any number may be
under way. Then nothing is late: however late a reply is, that is its latency; lost is what has
not come at the end.
"""

from __future__ import annotations

import itertools
import random
import socket
import struct
from collections.abc import Iterator
from os import read, write
from time import perf_counter_ns as clock
from typing import Any

from compare.driver.connect import count_failure
from compare.driver.load import LEAD_S, QUIET_NS, Load
from compare.driver.trace import Note, telling

HEADER = struct.Struct("!QQ")  # number, ns of the driver's clock
LOSS_NS = 100_000_000
PATIENCE = 4
COPIES_NS = 50_000_000  # after the last reply, for what may come a second time


class Client:
    """One socket, connected so that only the server's datagrams arrive on it."""

    __slots__ = (
        "fd",
        "filler",
        "highest",
        "load",
        "lost",
        "message",
        "number",
        "previous",
        "record",
        "refused",
        "served",
        "sock",
        "start",
        "started",
        "waiting",
    )

    def __init__(self, load: Load, filler: bytes) -> None:
        self.load = load
        self.record, self.start = load.samples.append, load.starts.append
        self.filler = filler
        self.number = 0  # of the datagram under way
        self.highest = 0  # of those answered
        self.lost: dict[int, Any] = {}  # what tells it, should it come after all
        self.message = self.previous = b""
        self.refused = False
        self.served = False
        self.waiting = False
        self.sock = sock = socket.socket(
            socket.AF_INET6 if ":" in load.target.host else socket.AF_INET,
            socket.SOCK_DGRAM | socket.SOCK_NONBLOCK,
        )
        self.fd = sock.fileno()
        sock.connect(load.address)
        load.watch(self.fd, self.on_reply)

    def send_next(self, now: int) -> None:
        self.started = now
        self.waiting = True
        self.number += 1
        self.previous = self.message
        self.message = HEADER.pack(self.number, now) + self.filler
        try:
            write(self.fd, self.message)
        except BlockingIOError:
            pass  # as good as lost
        except OSError as error:
            self.fail(error)

    def on_reply(self) -> None:
        try:
            data = read(self.fd, len(self.message) + 1)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        now = clock()
        if data != self.message or not self.waiting:
            self.on_other(data)
            return
        self.record(now - self.started)
        self.start(self.started)
        self.served = True
        self.highest = self.number
        if self.load.sending:
            self.send_next(now)
        else:
            self.waiting = False

    def on_other(self, data: bytes) -> None:
        """Something but the reply that is awaited: late, doubled, or wrong."""
        errors = self.load.errors
        number = HEADER.unpack_from(data)[0] if len(data) >= HEADER.size else 0
        if not self.was_sent(number, data):
            self.load.wrong(self.message, data)
        elif number in self.lost:
            del self.lost[number]
            errors["lost"] -= 1
            errors["late"] += 1
            errors["reordered"] += number < self.highest
        else:
            errors["duplicate"] += 1

    def was_sent(self, number: int, data: bytes) -> bool:
        """Whether `data` is what was sent under `number`, as far as that is remembered."""
        if number == self.number:
            return data == self.message
        if number in self.lost:
            return bool(data == self.lost[number])
        if number == self.number - 1:
            return data == self.previous
        return 0 < number < self.number and data[HEADER.size :] == self.filler

    def give_up(self) -> None:
        self.lost[self.number] = self.message
        self.load.errors["lost"] += 1
        self.waiting = False

    def fail(self, error: OSError) -> None:
        """An ICMP error: the server is not there."""
        self.waiting = False
        self.refused = True
        count_failure(self.load, error.errno or 0)


class PacedClient(Client):
    """A socket of an open loop, with all its datagrams that are under way."""

    __slots__ = ("under_way",)

    def __init__(self, load: Load, filler: bytes) -> None:
        super().__init__(load, filler)
        self.under_way: dict[int, tuple[int, int]] = {}  # by number: due, sent

    def offer(self, due: int, now: int) -> None:
        self.load.lateness.append(now - due)
        self.number += 1
        self.under_way[self.number] = (due, now)
        try:
            write(self.fd, HEADER.pack(self.number, now) + self.filler)
        except BlockingIOError:  # the kernel takes no more
            del self.under_way[self.number]
            self.number -= 1
            self.load.missed.append(due)
            self.load.unsent.append(due)
        except OSError as error:
            self.fail(error)

    def on_reply(self) -> None:
        try:
            data = read(self.fd, self.load.spec.size + 1)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        now = clock()
        number, stamp = HEADER.unpack_from(data) if len(data) >= HEADER.size else (0, 0)
        due, sent = self.under_way.get(number, (0, 0))
        if stamp == sent and due and data[HEADER.size :] == self.filler:
            del self.under_way[number]
            self.load.answered(due, sent, now)
            self.load.errors["reordered"] += number < self.highest
            self.highest = max(self.highest, number)
            self.served = True
        elif due or not self.was_sent(number, data):
            self.load.wrong(self.filler, data)
        elif number in self.lost:
            del self.lost[number]
            self.load.errors["lost"] -= 1
            self.load.errors["late"] += 1
        else:
            self.load.errors["duplicate"] += 1

    def was_sent(self, number: int, data: bytes) -> bool:
        return 0 < number <= self.number and data[HEADER.size :] == self.filler

    def give_up_before(self, then: int) -> None:
        """What was sent before that is lost."""
        given_up = [number for number, (_, sent) in self.under_way.items() if sent < then]
        self.load.errors["lost"] += len(given_up)
        for number in given_up:
            self.lost[number], _ = self.under_way.pop(number)  # when it was due

    def fail(self, error: OSError) -> None:
        super().fail(error)
        self.load.missed.extend(due for due, _ in self.under_way.values())
        self.under_way.clear()


class Workload:
    lead_s = LEAD_S

    def __init__(self, load: Load) -> None:
        self._load = load
        self._loss_ns = LOSS_NS + round(PATIENCE * 1e9 * load.spec.connections * load.spec.each_s)
        self._fillers = self._make_fillers()
        self._kind = Client if load.target.rate is None else PacedClient
        self._clients: list[Any] = []
        self._turns: Iterator[Any]

    def _make_fillers(self) -> Iterator[bytes]:
        source = random.Random(self._load.spec.seed)
        while True:
            yield source.randbytes(self._load.spec.size - HEADER.size)

    def connect(self) -> None:
        counts = self._load.counts
        for _ in range(self._load.spec.connections):
            counts.attempted += 1
            self._clients.append(self._kind(self._load, next(self._fillers)))
            counts.connected += 1
        self._turns = itertools.cycle(self._clients)

    def begin(self) -> None:
        for client in self._clients:
            if not (client.waiting or client.refused):
                client.send_next(clock())

    def pause(self) -> None:
        """Each asks when it is answered."""

    def under_way(self) -> int:
        """In an open loop, what does not come while nothing comes is lost."""
        if self._kind is Client:
            return sum(client.waiting for client in self._clients)
        if self._load.quiet_ns() > QUIET_NS:
            for client in self._clients:
                client.give_up_before(clock() - QUIET_NS)
        return sum(len(client.under_way) for client in self._clients)

    def offer(self, due: int, now: int) -> None:
        next(self._turns).offer(due, now)

    def operations_at_once(self) -> int:
        return 1

    def idle(self) -> bool:
        return False

    def tick(self, now: int) -> None:
        for client in self._clients:
            if client.waiting and now - client.started > self._loss_ns:
                number = client.number
                client.on_reply()  # it may have come and not been read yet
                if client.waiting and client.number == number:
                    client.give_up()
                    if self._load.sending:
                        client.send_next(now)

    def unanswered(self) -> int:
        """Those under way; and those given up, while anything comes: late is not lost."""
        waiting = self.under_way()
        quiet_ns = self._load.quiet_ns()
        if self._load.errors["lost"] and quiet_ns < QUIET_NS:
            waiting += sum(len(client.lost) for client in self._clients)
        return waiting or quiet_ns < COPIES_NS

    def finish(self) -> None:
        counts = self._load.counts
        counts.served = sum(client.served for client in self._clients)
        self._load.sent = sum(client.number for client in self._clients)
        counts.starved = sum(
            bool(client.number) and not client.served and not client.refused
            for client in self._clients
        )
        if self._kind is PacedClient:
            for client in self._clients:
                client.give_up_before(clock())
                self._load.lost.extend(client.lost.values())

    def lanes(self) -> int:
        return len(self._clients)

    def tell(self, number: int, note: Note) -> None:
        each = self._clients[number]
        each.record = telling(each.record, number, note)

    def waiting_since(self, number: int) -> int | None:
        each = self._clients[number]
        return each.started if each.waiting else None
