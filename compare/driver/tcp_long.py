"""tcp-long: one message there and back, again and again, on connections that stay open.

In an open loop the connections take the messages in turn as they are due. One that is due while
its connection still waits for the reply before it waits, too, and its latency with it.
"""

from __future__ import annotations

import itertools
import random
import select
import socket
from collections import deque
from collections.abc import Iterator
from os import read, write  # 5 % more operations than by the methods of a socket object
from time import perf_counter_ns as clock
from typing import Any

from compare.driver.connect import connect_all, count_failure
from compare.driver.load import LEAD_S, QUIET_NS, Load
from compare.driver.trace import Note, telling

POOL_BYTES = 128 * 2**20  # where they need more than this, connections share their messages


def message_pairs(load: Load) -> Iterator[tuple[bytes, bytes]]:
    """Two messages for each connection, its own, which it sends in turn.

    With one alone, the echo of the message before would pass for a right reply.
    """
    spec = load.spec
    source = random.Random(spec.seed)
    own = spec.connections * spec.size * 2 <= POOL_BYTES
    pair = source.randbytes(spec.size), source.randbytes(spec.size)
    while True:
        yield pair
        if own:
            pair = source.randbytes(spec.size), source.randbytes(spec.size)


class Conversation:
    """One connection and the message that is under way on it."""

    __slots__ = (
        "fd",
        "load",
        "message",
        "other",
        "received",
        "record",
        "served",
        "size",
        "sock",
        "stale",
        "start",
        "started",
        "unsent",
        "waiting",
    )

    extra = 0  # bytes that are read beyond a reply, where no other one follows to show them

    def __init__(self, load: Load, messages: tuple[bytes, bytes]) -> None:
        self.load = load
        self.other, self.message = messages  # the next one, and the last or the one under way
        self.record, self.start = load.samples.append, load.starts.append
        self.size = load.spec.size
        self.served = False
        self.waiting = False  # a message is under way
        self.stale = False  # and was sent before this turn, when nobody was served on it yet
        self.received = b""  # the reply so far, where it comes in pieces
        self.unsent = memoryview(b"")  # the rest of the message, where the kernel was full

    def attach(self, sock: socket.socket) -> None:
        self.sock = sock
        self.fd = sock.fileno()
        self.load.watch(self.fd, self.on_ready)

    def send_next(self, now: int) -> None:
        """Send the next message; its time counts from `now`."""
        self.started = now
        message = self.other
        self.message, self.other = message, self.message
        self.waiting = True
        try:
            sent = write(self.fd, message)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self.fail(error)
            return
        if sent != self.size:
            self.keep_rest(sent)

    def keep_rest(self, sent: int) -> None:
        self.unsent = memoryview(self.message)[sent:]
        self.load.epoll.modify(self.fd, select.EPOLLIN | select.EPOLLOUT)
        self.load.handlers[self.fd] = self.on_ready

    def on_reply(self) -> None:
        """The hot path: take the reply, verify it, time it, send the next message.

        What is more than the reply shows when the next one is compared.
        """
        try:
            data = read(self.fd, self.size)
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        now = clock()
        if data != self.message:
            self.on_piece(data, now)
            return
        record, start = self.record, self.start  # self.record() would look it up the slow way
        started = self.started
        record(now - started)
        start(started)
        self.started = now  # as send_next() does, without the call
        message = self.other
        self.message, self.other = message, self.message
        try:
            if (sent := write(self.fd, message)) != self.size:
                self.keep_rest(sent)
        except BlockingIOError:
            self.keep_rest(0)
        except OSError as error:
            self.fail(error)

    def on_ready(self) -> None:
        """The first reply, and any that comes in pieces or before all is sent."""
        try:
            if self.unsent:
                self.send_rest()
            data = read(self.fd, self.size + self.extra - len(self.received))
        except BlockingIOError:
            return
        except OSError as error:
            self.fail(error)
            return
        self.on_piece(data, clock())

    def send_rest(self) -> None:
        try:
            self.unsent = self.unsent[write(self.fd, self.unsent) :]
        except BlockingIOError:
            return
        if not self.unsent:
            self.load.epoll.modify(self.fd, select.EPOLLIN)

    def on_piece(self, data: bytes, now: int) -> None:
        received = self.received + data
        if received == self.message and self.waiting:
            self.received = b""
            self.completed(now)
        elif not data:
            self.load.errors["eof"] += 1
            self.close()
        elif self.waiting and self.message.startswith(received):
            self.received = received
            self.load.handlers[self.fd] = self.on_ready
        else:
            self.load.wrong(self.message if self.waiting else b"", received)
            self.close()

    def completed(self, now: int) -> None:
        self.served = True
        if self.stale:  # it waited for our turn, not for the server
            self.stale = False
        else:
            self.record(now - self.started)
            self.start(self.started)
        self.waiting = False
        if self.load.sending:
            self.load.handlers[self.fd] = self.on_reply
            self.send_next(now)

    def fail(self, error: OSError) -> None:
        count_failure(self.load, error.errno or 0)
        self.close()

    def close(self) -> None:
        """It takes no further part: no reconnecting, so that what is lost shows."""
        self.waiting = False
        del self.load.handlers[self.fd]
        self.sock.close()


class PacedConversation(Conversation):
    """A connection of an open loop: `started` is when the message under way was due."""

    __slots__ = ("dues", "sent")

    def __init__(self, load: Load, messages: tuple[bytes, bytes]) -> None:
        super().__init__(load, messages)
        self.dues: deque[int] = deque()  # of messages that wait for the one under way
        self.sent = 0

    def offer(self, due: int, now: int) -> None:
        if self.waiting:
            self.dues.append(due)
        elif self.fd not in self.load.handlers:  # closed
            self.load.missed.append(due)
        else:
            self.load.lateness.append(now - due)
            self.sent = now
            self.send_next(due)

    def completed(self, now: int) -> None:
        self.served = True
        self.load.answered(self.started, self.sent, now)
        self.waiting = False
        if self.dues and self.load.sending:
            self.sent = now
            self.send_next(self.dues.popleft())

    def close(self) -> None:
        self.give_up()
        super().close()

    def give_up(self) -> None:
        """No more replies are expected, so nothing that waits will be sent."""
        if self.waiting:
            self.load.missed.append(self.started)
        self.load.missed.extend(self.dues)
        self.dues.clear()


class Workload:
    lead_s = LEAD_S
    closed: type[Conversation] = Conversation
    paced: type[PacedConversation] = PacedConversation

    def __init__(self, load: Load) -> None:
        self._load = load
        self._messages = message_pairs(load)
        self._paced = load.target.rate is not None
        self._conversations: list[Any] = []
        self._turns: Iterator[Any]

    def connect(self) -> None:
        connect_all(self._load, self._connected)
        self._turns = itertools.cycle(self._conversations)

    def _connected(self, sock: socket.socket) -> None:
        kind = self.paced if self._paced else self.closed
        conversation = kind(self._load, next(self._messages))
        conversation.attach(sock)
        self._conversations.append(conversation)

    def begin(self) -> None:
        handlers = self._load.handlers
        for each in self._conversations:
            each.stale = each.waiting
            if not each.waiting and each.fd in handlers:  # not reset before it began
                handlers[each.fd] = each.on_reply if each.served else each.on_ready
                each.send_next(clock())

    def pause(self) -> None:
        """on_ready knows what is to follow; on_reply, the quicker one, always sends."""
        handlers = self._load.handlers
        for each in self._conversations:
            if each.fd in handlers:
                handlers[each.fd] = each.on_ready

    def under_way(self) -> int:
        return sum(each.served and each.waiting for each in self._conversations)

    def offer(self, due: int, now: int) -> None:
        next(self._turns).offer(due, now)

    def operations_at_once(self) -> int:
        return 1

    def idle(self) -> bool:
        return not self._load.handlers

    def tick(self, now: int) -> None:
        """A reply that never comes is counted once, at the end."""

    def unanswered(self) -> int:
        """Those who have been answered before; and the others, while anybody still is."""
        if self._load.quiet_ns() < QUIET_NS:
            return sum(each.waiting for each in self._conversations)
        return self.under_way()

    def finish(self) -> None:
        counts = self._load.counts
        for each in self._conversations:
            if not each.waiting and each.fd in self._load.handlers:
                each.on_ready()  # what came and was not asked for
        counts.served = sum(each.served for each in self._conversations)
        busy = self._paced and self._load.quiet_ns() < QUIET_NS  # the server was, to the end
        if not busy:
            counts.starved = sum(each.waiting and not each.served for each in self._conversations)
            counts.timed_out += self.under_way()
        if self._paced:
            for each in self._conversations:
                each.give_up()

    def lanes(self) -> int:
        return len(self._conversations)

    def tell(self, number: int, note: Note) -> None:
        each = self._conversations[number]
        each.record = telling(each.record, number, note)

    def waiting_since(self, number: int) -> int | None:
        each = self._conversations[number]
        return each.started if each.waiting else None
