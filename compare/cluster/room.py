"""Did every member of a room that several hosts drive receive every line, once, in one order?

Each host knows the lines that its members have said, and those of the others as its members
received them. Put together they are one room, to be judged as `compare.driver.order` judges any.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Sequence

from compare.cluster.clock import Clock
from compare.contract.room_log import RoomLog
from compare.driver.order import Faults, check

NOBODY = -1  # has said it
Line = tuple[int, int]  # who said it, and its how manieth


def faults(logs: Sequence[RoomLog], clocks: Sequence[Clock]) -> tuple[Faults, int]:
    """What is not as it should be; and lines received that nobody has said."""
    lines: list[list[Line]] = []
    said: list[tuple[int, Line]] = []  # when, by our clock
    for log, clock in zip(logs, clocks, strict=True):
        known = [*zip(array("Q", log.senders), array("Q", log.numbers), strict=True)]
        lines.append(known)
        own = set(log.members)
        said += [
            (clock.here(stamp), line)
            for stamp, line in zip(array("Q", log.stamps), known, strict=True)
            if line[0] in own
        ]
    said.sort()
    ids = {line: number for number, (_, line) in enumerate(said)}
    whens = [when for when, _ in said]
    everybody = [member for log in logs for member in log.members]
    place = {member: number for number, member in enumerate(everybody)}
    received: list[list[int]] = []
    joined: dict[int, int] = {}
    left: dict[int, int] = {}
    strange = 0
    for log, known, clock in zip(logs, lines, clocks, strict=True):
        number_of = [ids.get(line, NOBODY) for line in known]
        for heard, came, when in zip(log.received, log.joined, log.left, strict=True):
            joined[len(received)] = bisect_left(whens, clock.here(came))
            if when is not None:
                left[len(received)] = bisect_left(whens, clock.here(when))
            numbers = [*map(number_of.__getitem__, array("I", heard))]
            if unknown := numbers.count(NOBODY):
                strange += unknown
                numbers = [number for number in numbers if number != NOBODY]
            received.append(numbers)
    senders = {number: place[line[0]] for line, number in ids.items()}
    return check(received, senders, left, joined), strange
