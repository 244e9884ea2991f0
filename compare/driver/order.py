"""Did every member receive every line of the others, once, and all in one order?

Nobody receives its own lines, so no member sees the whole order: who spoke first, of two
members, only a third can tell. And any member may be the one that was served wrongly. The
order is therefore put together by all of them, and then every member's lines are held
against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import NamedTuple

FEW = 4  # members: each two of them leave a third who received both of their lines


class Faults(NamedTuple):
    """Deliveries that are not as they should be, summed over the members.

    reordered: a line that came after one that should have come later (RFC 4737, section 3).
    own_line: a line that came back to the member that said it.
    """

    lost: int
    duplicate: int
    reordered: int
    own_line: int = 0


def total_order(received: Sequence[Sequence[int]], sender: Mapping[int, int]) -> list[int]:
    """One order of all lines that agrees with what every member received, if there is one.

    `received[m]` has the lines that member m received, in order; `sender[line]` is the
    member that said it. Where members contradict each other, the more of them are right:
    the sequences are merged, and the next line is always the one that the fewest members
    have yet to receive something else before. While nobody contradicts, that is none.
    """
    views = [
        [line for line in dict.fromkeys(lines) if sender[line] != member]
        for member, lines in enumerate(received)
    ]
    behind = Counter(chain.from_iterable(views))  # members that have something before the line
    rest = [iter(view) for view in views]
    first: dict[int, list[int]] = {}  # the next line of each member: who has it there
    order: dict[int, None] = {}
    moved: Sequence[int] = range(len(rest))
    while True:
        for member in moved:
            for line in rest[member]:
                if line not in order:
                    behind[line] -= 1
                    first.setdefault(line, []).append(member)
                    break
        if not first:
            break
        # Of equals the one that was said first.
        line = min(first, key=lambda line: (behind[line], line))
        order[line] = None
        moved = first.pop(line)
    # What nobody received could have been anywhere.
    return [*order, *(line for line in sender if line not in order)]


def check(
    received: Sequence[Sequence[int]],
    sender: Mapping[int, int],
    left_before: Mapping[int, int] | None = None,
    joined_at: Mapping[int, int] | None = None,
) -> Faults:
    """Hold what each member received against one order of all lines.

    Lines are numbered as they were said; member m may have missed those before
    `joined_at[m]`, and missed those from `left_before[m]` on, because it was not there.
    """
    # If nobody contradicts the order that a few agree on, it is the order.
    faults = _compare(total_order(received[:FEW], sender), received, sender, left_before, joined_at)
    if any(faults) and len(received) > FEW:
        order = total_order(received, sender)
        faults = _compare(order, received, sender, left_before, joined_at)
    return faults


def _compare(
    order: list[int],
    received: Sequence[Sequence[int]],
    sender: Mapping[int, int],
    left_before: Mapping[int, int] | None,
    joined_at: Mapping[int, int] | None,
) -> Faults:
    place = {line: index for index, line in enumerate(order)}
    lost = duplicate = reordered = own_line = 0
    for member, lines in enumerate(received):
        begin = (joined_at or {}).get(member, 0)
        end = (left_before or {}).get(member, len(order))
        expected = [line for line in order if sender[line] != member and begin <= line < end]
        if lines == expected:
            continue
        counts = Counter(line for line in lines if sender[line] != member)
        lost += sum(line not in counts for line in expected)
        own_line += len(lines) - counts.total()
        duplicate += counts.total() - len(counts)
        highest = -1
        for line in counts:  # in the order in which they first came
            reordered += place[line] < highest
            highest = max(highest, place[line])
    return Faults(lost, duplicate, reordered, own_line)
