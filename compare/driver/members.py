"""Members of a chat room, who are connections, and what is known of the room they are in.

First comes a member's admission, then it says lines and receives those of the others.
"""

from __future__ import annotations

import select
import socket
from array import array
from time import perf_counter_ns as clock
from typing import Any, Protocol

from compare.driver.connect import count_failure
from compare.driver.load import Load
from compare.driver.trace import Note

RECV_SIZE = 65536


class Speaker(Protocol):
    def say_next(self) -> None:
        """All have received its last line."""


class Line:
    """A line that was said, and how many have still to receive it."""

    __slots__ = ("awaited_by", "first", "id", "sender", "sent", "started")

    def __init__(self, id: int, sender: Speaker, started: int, awaited_by: int) -> None:  # noqa: A002
        self.id = id
        self.sender = sender
        self.started = self.sent = started  # in an open loop, when it was due
        self.awaited_by = awaited_by
        self.first = 0  # when the first of the others had it


class Room:
    """What the driver knows of the room: who is in it, and what was said."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.members: list[Any] = []  # those let in and still there
        self.said: dict[bytes, Line] = {}  # as the others receive it
        self.under_way = 0  # lines that somebody has still to receive
        self.announcements = 0  # of somebody's coming or going, to anybody
        self.last_news = clock()  # when something came that was not a delivery
        self.last_delivery = 0
        self.skews: array[int] = array("Q")  # ns from the first member to the last
        self.told: dict[object, tuple[int, Note]] = {}  # whose lines somebody wants to know of

    def received_by_all(self, line: Line, now: int) -> None:
        self.under_way -= 1
        if wanted := self.told.get(line.sender):
            number, note = wanted
            note(number, line.started, now)
        self.skews.append(now - (line.first or now))
        line.sender.say_next()

    def news(self) -> None:
        self.last_news = clock()


class Member:
    """One connection: first its admission, then the lines of the others."""

    __slots__ = (
        "gone",
        "index",
        "joined_at",
        "left_at",
        "left_before",
        "let_in_at",
        "name",
        "number",
        "received",
        "room",
        "served",
        "sock",
        "tail",
    )

    def __init__(self, room: Room, sock: socket.socket, name: str, index: int = 0) -> None:
        self.room = room
        self.sock = sock
        self.index = index  # of those that this driver has
        self.joined_at = 0  # when, as `left_at`
        self.left_at: int | None = None
        self.name = name.encode()
        self.number = 0  # of its last line
        self.received: list[int] = []  # ids of lines, in the order they came
        self.served = False  # let in: the roster came
        self.gone = False
        self.let_in_at = 0  # the first line that it was there for
        self.left_before: int | None = None  # the first line that it was not there for
        self.tail = b""
        room.load.watch(sock.fileno(), self.on_greeting)

    # Admission.

    def on_greeting(self) -> None:
        if self.read_lines():
            self.room.news()
            self.room.load.handlers[self.sock.fileno()] = self.on_roster
            self.send(self.name + b"\n")

    def on_roster(self) -> None:
        lines = self.read_lines()
        if not lines:
            return
        if not lines[0].startswith(b"*"):  # in which words is the server's own business
            self.room.load.wrong(b"* and who is in the room", lines[0])
            self.leave()
            return
        self.served = True
        self.joined_at = clock()
        self.let_in_at = len(self.room.said)
        self.room.members.append(self)
        self.room.news()
        self.room.load.handlers[self.sock.fileno()] = self.on_lines
        self.take(lines[1:])

    # Talk.

    def say_next(self) -> None:
        """All have received its last line."""
        if self.room.load.sending and not self.gone:
            self.say(clock())

    def say(self, started: int) -> None:
        others = len(self.room.members) - 1
        if others < 1:
            return
        self.number += 1
        filler = self.room.load.spec.size - 1
        text = (b"%09d %s" % (self.number, self.name)).ljust(filler, b".")[:filler]
        said = self.room.said
        said[b"[%s] %s" % (self.name, text)] = Line(len(said), self, started, others)
        self.room.under_way += 1
        self.send(text + b"\n")

    def on_lines(self) -> None:
        self.take(self.read_lines())

    def take(self, lines: list[bytes]) -> None:
        """The hot path: match each line with what was said, and time it."""
        room = self.room
        said, received = room.said, self.received.append
        record, start = room.load.samples.append, room.load.starts.append
        room.last_delivery = now = clock()
        for text in lines:
            line = said.get(text)
            if line is None and (line := said.get(text.rstrip())) is None:  # a CR, or blanks
                self.take_other(text)
                continue
            received(line.id)
            record(now - line.started)
            start(line.started)
            line.awaited_by = left = line.awaited_by - 1
            if not left:
                room.received_by_all(line, now)
            elif not line.first:
                line.first = now

    def take_other(self, text: bytes) -> None:
        if text.startswith(b"*"):
            self.room.announcements += 1
            self.room.news()
        else:
            self.room.load.wrong(b"a line that a member said", text)

    # Input and output.

    def read_lines(self) -> list[bytes]:
        try:
            data = self.sock.recv(RECV_SIZE)
        except BlockingIOError:
            return []
        except OSError as error:
            count_failure(self.room.load, error.errno or 0)
            self.leave()
            return []
        if not data:
            self.room.load.errors["eof"] += 1
            self.leave()
            return []
        *lines, self.tail = (self.tail + data).split(b"\n")
        return lines

    def send(self, data: bytes) -> None:
        try:
            sent = self.sock.send(data)
        except OSError as error:
            count_failure(self.room.load, error.errno or 0)
            self.leave()
            return
        if sent < len(data):  # impossible for a line, while all before it were received
            self.room.load.errors["short_send"] += 1

    def leave(self) -> None:
        """Gone: nobody waits for what it will not receive. That counts as lost all the same."""
        if self.gone:
            return
        self.gone = True
        self.left_at = clock()
        del self.room.load.handlers[self.sock.fileno()]
        self.sock.close()
        if not self.served:
            return
        self.room.members.remove(self)
        self.left_before = len(self.room.said)
        received = set(self.received)
        now = clock()
        for line in list(self.room.said.values()):
            if line.awaited_by > 0 and line.sender is not self and line.id not in received:
                line.awaited_by -= 1
                if not line.awaited_by:
                    self.room.received_by_all(line, now)


class PacedMember(Member):
    """A member in an open loop: it speaks when a line is due, and the kernel may be full then."""

    __slots__ = ("unsent",)

    def __init__(self, room: Room, sock: socket.socket, name: str, index: int = 0) -> None:
        super().__init__(room, sock, name, index)
        self.unsent = b""

    def send(self, data: bytes) -> None:
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = self.sock.send(data)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            count_failure(self.room.load, error.errno or 0)
            self.leave()
            return
        if sent < len(data):
            self.unsent = data[sent:]
            self.room.load.epoll.modify(self.sock, select.EPOLLIN | select.EPOLLOUT)

    def on_lines(self) -> None:
        if self.unsent:
            unsent, self.unsent = self.unsent, b""
            self.room.load.epoll.modify(self.sock, select.EPOLLIN)
            self.send(unsent)
        if not self.gone:
            super().on_lines()

    def say_next(self) -> None:
        """It does not wait for this."""

    def offer(self, due: int, now: int) -> None:
        load, said = self.room.load, self.room.said
        load.lateness.append(now - due)
        lines = len(said)
        self.say(due)
        if len(said) > lines:
            next(reversed(said.values())).sent = now

    def take(self, lines: list[bytes]) -> None:
        super().take(lines)
        load, said, now = self.room.load, self.room.said, self.room.last_delivery
        for text in lines:
            if line := said.get(text):
                load.service.append(now - line.sent)
