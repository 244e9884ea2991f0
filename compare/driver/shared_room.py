"""chat: a room whose members are driven from several hosts.

A shard knows what its own members have said, and recognises what the others' say: a line carries
its number, when it was said, and a checksum. It waits for its own members to receive a line before
the sender says the next, and for the others' lines not to fall behind, so that nobody speaks
faster than the slowest host listens. Who received what goes into a log: see `compare.cluster.room`.
"""

from __future__ import annotations

import zlib
from array import array
from collections import deque
from time import perf_counter_ns as clock

from compare.contract.plan import Peer
from compare.contract.room_log import RoomLog, of_member
from compare.driver.load import Load
from compare.driver.members import Line, Member, PacedMember, Room

SMALLEST = 52  # bytes of a line with all that
AHEAD = 4  # lines, that a member may have said more than any of another host


class Elsewhere:
    """A host that drives other members: the sender of their lines, as far as we are concerned."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.members = peer.members
        self.heard = 0  # the highest number of any of its lines

    def say_next(self) -> None:
        """Its members will, without us."""

    def lets_speak(self, number: int) -> bool:
        """Whether one of ours that has said so many lines may say another."""
        return self.heard >= number - AHEAD or self.members < 2  # alone on a host, none speaks


class SharedRoom(Room):
    def __init__(self, load: Load) -> None:
        super().__init__(load)
        assert load.spec.shard is not None
        self.shard = load.spec.shard.number
        self.elsewhere: dict[int, Elsewhere] = {}
        self.waiting: deque[SharedMember] = deque()  # to speak, until others have caught up
        self.senders: array[int] = array("Q")
        self.numbers: array[int] = array("Q")
        self.stamps: array[int] = array("Q")

    def meet(self, peers: list[Peer]) -> None:
        self.elsewhere = {each.shard: Elsewhere(each) for each in peers}
        self.load.clock_error_ns = max((each.error_ns for each in peers), default=0)

    def members_elsewhere(self) -> int:
        return sum(each.members for each in self.elsewhere.values())

    def may_speak(self, number: int) -> bool:
        return all(each.lets_speak(number) for each in self.elsewhere.values())

    def let_speak(self) -> None:
        while self.waiting and self.may_speak(self.waiting[0].number):
            self.waiting.popleft().say_next()

    def note(self, sender: int, number: int, stamp: int) -> None:
        """Of a line that gets the next ID."""
        self.senders.append(sender)
        self.numbers.append(number)
        self.stamps.append(stamp)

    def line_from_elsewhere(self, text: bytes, now: int) -> Line | None:
        """The first of ours has received it. None if nobody can have said this."""
        name, _, body = text[1:].partition(b"] ")
        try:
            shard, index = (int(each) for each in name[1:].split(b"m"))
            number, stamp = int(body[:9]), int(body[10:26], 16)
            host = self.elsewhere[shard]
        except (ValueError, KeyError):
            return None
        known = text_of(name, number, stamp, self.load.spec.size - 1)
        if name != b"s%dm%d" % (shard, index) or text != b"[%s] %s" % (name, known):
            return None
        if number > host.heard:
            host.heard = number
            self.let_speak()
        started = min(now, stamp - host.peer.offset_ns)
        self.load.elsewhere_starts.add(started)
        line = Line(len(self.said), host, started, len(self.members))
        self.note(of_member(shard, index), number, stamp)
        self.said[text] = line
        self.under_way += 1
        return line

    def log(self, everybody: list[Member]) -> RoomLog:
        served = [each for each in everybody if each.served]
        return RoomLog(
            senders=self.senders.tobytes(),
            numbers=self.numbers.tobytes(),
            stamps=self.stamps.tobytes(),
            members=[of_member(self.shard, each.index) for each in served],
            received=[array("I", each.received).tobytes() for each in served],
            joined=[each.joined_at for each in served],
            left=[each.left_at for each in served],
        )


def text_of(name: bytes, number: int, stamp: int, length: int) -> bytes:
    """What a member says; the checksum is of all before it, and of who says it."""
    head = b"%09d %016x" % (number, stamp)
    return (b"%s %08x %s" % (head, zlib.crc32(head + name), name)).ljust(length, b".")[:length]


class SharedMember(Member):
    """A member of a room that others share."""

    __slots__ = ()

    room: SharedRoom

    def say_next(self) -> None:
        if not self.room.load.sending or self.gone:
            return
        if self.room.may_speak(self.number):
            self.say(clock())
        else:
            self.room.waiting.append(self)

    def say(self, started: int) -> None:
        others = len(self.room.members) - 1
        if others < 1:
            return
        room = self.room
        self.number += 1
        text = text_of(self.name, self.number, started, room.load.spec.size - 1)
        room.note(of_member(room.shard, self.index), self.number, started)
        room.said[b"[%s] %s" % (self.name, text)] = Line(len(room.said), self, started, others)
        room.under_way += 1
        self.send(text + b"\n")

    def take_other(self, text: bytes) -> None:
        room = self.room
        if text.startswith(b"["):
            now = room.last_delivery
            if line := room.line_from_elsewhere(text, now):
                self.receive(line, now)
                return
        elif text.endswith(b" has left the room") and self is room.members[0]:
            shard = text[3:].partition(b"m")[0]
            if shard.isdigit() and (host := room.elsewhere.get(int(shard))):
                host.members -= 1
                room.let_speak()
        super().take_other(text)

    def receive(self, line: Line, now: int) -> None:
        self.received.append(line.id)
        self.room.load.samples.append(now - line.started)
        self.room.load.starts.append(line.started)
        line.first = now
        line.awaited_by -= 1
        if not line.awaited_by:
            self.room.received_by_all(line, now)


class PacedSharedMember(SharedMember, PacedMember):
    """The same in an open loop, where nobody waits for anybody."""

    __slots__ = ()

    def say_next(self) -> None:
        """It speaks when a line is due."""


def kind(*, paced: bool) -> type[SharedMember]:
    """Of the members of a closed loop, or of an open one."""
    return PacedSharedMember if paced else SharedMember
