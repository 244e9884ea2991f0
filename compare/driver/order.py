"""Did every member receive every line of the others, once, and all in one order?

Nobody receives its own lines, so no member sees the whole order: who spoke first, of two
members, only a third can tell. The order is therefore put together from three members, and
then every member's lines are held against it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple


class Faults(NamedTuple):
    """Deliveries that are not as they should be, summed over the members.

    reordered: a line that came after one that the others received later than it.
    """

    lost: int
    duplicate: int
    reordered: int


def total_order(received: Sequence[Sequence[int]], sender: Mapping[int, int]) -> list[int]:
    """One order of all lines that agrees with what the members received, if there is one.

    `received[m]` has the lines that member m received, in order; `sender[line]` is the
    member that said it. With fewer than three members any order of two senders' lines is
    as good as another.
    """
    # The fullest sequences, of different members, without what came twice.
    fullest = sorted(range(len(received)), key=lambda m: -len(received[m]))[:3]
    base, *others = [list(dict.fromkeys(received[m])) for m in fullest]
    place = {line: index for index, line in enumerate(base)}
    # A line that the first did not receive comes after everything that either of the other
    # two received before it: what one of them cannot tell, because it is its own, the
    # other can.
    after: dict[int, int] = {}
    rank: dict[int, int] = {}
    for sequence in others:
        last = -1
        for index, line in enumerate(sequence):
            if line in place:
                last = max(last, place[line])
            else:
                after[line] = max(after.get(line, -1), last)
                rank.setdefault(line, index)
    missing = sorted(after, key=lambda line: (after[line], rank[line]))
    order: list[int] = []
    pending = iter(missing)
    upcoming = next(pending, None)
    for index in range(-1, len(base)):
        if index >= 0:
            order.append(base[index])
        while upcoming is not None and after[upcoming] == index:
            order.append(upcoming)
            upcoming = next(pending, None)
    known = set(order)
    order += [line for line in sender if line not in known]
    return order


def check(
    received: Sequence[Sequence[int]],
    sender: Mapping[int, int],
    left_before: Mapping[int, int] | None = None,
) -> Faults:
    """Hold what each member received against one order of all lines.

    Lines are numbered as they were said; member m missed those from `left_before[m]` on
    because it was gone.
    """
    order = total_order(received, sender)
    place = {line: index for index, line in enumerate(order)}
    lost = duplicate = reordered = 0
    for member, lines in enumerate(received):
        end = (left_before or {}).get(member, len(order))
        expected = [line for line in order if sender[line] != member and line < end]
        if lines == expected:
            continue
        counts = Counter(lines)
        lost += sum(line not in counts for line in expected)
        duplicate += len(lines) - len(counts)
        highest = -1
        for line in dict.fromkeys(lines):
            reordered += place[line] < highest
            highest = max(highest, place[line])
    return Faults(lost, duplicate, reordered)
