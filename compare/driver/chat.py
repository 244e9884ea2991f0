"""chat: one message delivered to one other member is one operation.

Every member says its next line when its last has reached all the others. While the load is
on, each delivery is matched with the line that was said and timed; afterwards the lines that
each member received, in their order, are held against those of all the others.

In an open loop the members speak in turn as lines are due, whatever has been received.
"""

from __future__ import annotations

import socket
from time import perf_counter_ns as clock
from typing import Any

from compare.contract.plan import Peer
from compare.driver.connect import connect_all
from compare.driver.load import Load
from compare.driver.members import Member, PacedMember, Room
from compare.driver.order import check
from compare.driver.shared_room import SharedRoom, kind
from compare.driver.trace import Note

JOIN_QUIET_NS = 500_000_000  # who is not let in while nothing else happens never will be
JOIN_TIMEOUT_S = 60.0
QUIET_NS = 50_000_000  # nothing more came for this long: nothing more will


class Workload:
    lead_s = 0.04  # all begin to speak at once, and fall out of step

    def __init__(self, load: Load) -> None:
        self._load = load
        self._turn = 0
        self._everybody: list[Any] = []
        self._shared: SharedRoom | None = None
        self._quiet_ns = 0
        self._prefix = "m"
        shard = load.spec.shard
        if shard is None or shard.of == 1:
            self._room: Room = Room(load)
            self._kind: type[Member] = Member if load.target.rate is None else PacedMember
        else:
            self._room = self._shared = SharedRoom(load)
            self._kind = kind(paced=load.target.rate is not None)
            self._prefix = f"s{shard.number}m"

    def connect(self) -> None:
        """Connect, and wait until all are let in who will ever be, and have been announced."""
        connect_all(self._load, self._connected)
        self._room.news()
        self._load.run(JOIN_TIMEOUT_S, self.tick, done=self._settled)
        self._load.counts.served = len(self._room.members)  # so far

    def meet(self, peers: list[Peer]) -> None:
        assert self._shared is not None
        self._shared.meet(peers)

    def _connected(self, sock: socket.socket) -> None:
        index = len(self._everybody)
        self._everybody.append(self._kind(self._room, sock, f"{self._prefix}{index}", index))

    def _settled(self) -> bool:
        total = self._load.counts.connected
        all_in = len(self._room.members) == total
        if all_in and self._shared:  # how many the others are nobody knows yet
            return True
        if all_in and self._room.announcements == total * (total - 1) // 2:
            return True
        return clock() - self._room.last_news > JOIN_QUIET_NS

    def begin(self) -> None:
        for member in list(self._room.members):
            member.say_next()

    def pause(self) -> None:
        """Each asks when its last line is with everybody."""

    def under_way(self) -> int:
        return self._room.under_way

    def offer(self, due: int, now: int) -> None:
        members = self._room.members
        if len(members) < 2:
            self._load.missed.append(due)
            return
        self._turn += 1
        members[self._turn % len(members)].offer(due, now)

    def operations_at_once(self) -> int:
        members = len(self._room.members)
        if self._shared:
            members += self._shared.members_elsewhere()
        return max(1, members - 1)

    def idle(self) -> bool:
        members = len(self._room.members)
        if self._shared:  # who has nobody beside itself here still hears the others
            members += self._shared.members_elsewhere()
        return members < 2

    def tick(self, now: int) -> None:
        """A delivery that never comes is counted once, at the end."""

    def unanswered(self) -> int:
        """Lines under way; also, for a moment, what might still come that should not."""
        if self._shared and not self._quiet_ns:
            # What others have said may be on a longer way than what ours have.
            self._quiet_ns = QUIET_NS + 2 * max(self._load.samples, default=0)
        quiet_ns = self._quiet_ns or QUIET_NS
        return self._room.under_way or clock() - self._room.last_delivery < quiet_ns

    def finish(self) -> None:
        load, everybody = self._load, self._everybody
        counts, said = load.counts, self._room.said
        counts.served = sum(member.served for member in everybody)
        counts.starved = sum(not (member.served or member.gone) for member in everybody)
        if self._shared:
            load.room_log = self._shared.log(everybody)
        else:
            self._check([member for member in everybody if member.served])
        load.skews = self._room.skews
        if load.target.rate is not None:
            for line in said.values():
                load.missed.extend([line.started] * max(0, line.awaited_by))

    def _check(self, served: list[Any]) -> None:
        """Hold what each received against what was said."""
        said = self._room.said
        number = {member: index for index, member in enumerate(served)}
        faults = check(
            [member.received for member in served],
            {line.id: number[line.sender] for line in said.values()},
            {
                number[member]: member.left_before
                for member in served
                if member.left_before is not None
            },
            {number[member]: member.let_in_at for member in served},
        )
        self._load.errors.update(faults._asdict())

    def lanes(self) -> int:
        return len(self._everybody)

    def tell(self, number: int, note: Note) -> None:
        """Of a member's lines, from saying one until all have it."""
        self._room.told[self._everybody[number]] = (number, note)

    def waiting_since(self, number: int) -> int | None:
        member = self._everybody[number]
        lines = (line for line in reversed(self._room.said.values()) if line.sender is member)
        last = next(lines, None)
        return last.started if last is not None and last.awaited_by else None
