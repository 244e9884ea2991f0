"""What counts as lost, doubled and out of order, for made-up conversations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.driver.order import Faults, check, total_order

NONE = Faults(0, 0, 0)
Received = list[list[int]]


class Talk:
    """Lines said by `members`; `order` is the order in which a right server tells them."""

    def __init__(self, members: int, sender: dict[int, int], order: list[int]) -> None:
        self.members = members
        self.sender = sender
        self.order = order

    def received(self) -> Received:
        """What each member receives of it."""
        return [
            [line for line in self.order if self.sender[line] != member]
            for member in range(self.members)
        ]

    def check(self, received: Received) -> Faults:
        return check(received, self.sender)


@st.composite
def talks(draw: st.DrawFn, fewest: int = 3, lines: int = 1) -> Talk:
    """Lines may be told in another order than they were said, but each member's in its own."""
    members = draw(st.integers(fewest, 7))
    senders = draw(st.lists(st.integers(0, members - 1), min_size=lines, max_size=60))
    said = range(len(senders))
    told = draw(st.permutations(senders))
    own = {
        member: iter([line for line in said if senders[line] == member])
        for member in range(members)
    }
    return Talk(members, dict(enumerate(senders)), [next(own[member]) for member in told])


def spot(data: st.DataObject, received: Received, least: int = 1) -> tuple[int, int]:
    """A member and a place in what it received, with `least` lines from there on."""
    members = [m for m, lines in enumerate(received) if len(lines) >= least]
    member = data.draw(st.sampled_from(members), label="member")
    return member, data.draw(st.integers(0, len(received[member]) - least), label="place")


@given(talks())
def test_one_order_for_all_has_no_faults(talk: Talk) -> None:
    assert talk.check(talk.received()) == NONE


@given(talks(fewest=2), st.data())
def test_losses_and_duplicates_are_counted_exactly_and_are_not_taken_for_disorder(
    talk: Talk, data: st.DataObject
) -> None:
    received = talk.received()
    lost = duplicate = 0
    for member, lines in enumerate(received):
        copies = data.draw(
            st.lists(st.integers(0, 3), min_size=len(lines), max_size=len(lines)),
            label=f"copies for {member}",
        )
        received[member] = []
        for line, number in zip(lines, copies, strict=True):
            received[member] += [line] * min(number, 1)
            for _ in range(number - 1):  # a second copy comes any time after the first
                length = len(received[member])
                first = received[member].index(line) + 1
                received[member].insert(data.draw(st.integers(first, length)), line)
        lost += copies.count(0)
        duplicate += sum(max(0, number - 1) for number in copies)
    assert talk.check(received) == Faults(lost, duplicate, 0)


@given(talks(fewest=4, lines=4), st.data())
def test_two_lines_swapped_for_one_member_are_one_fault(talk: Talk, data: st.DataObject) -> None:
    received = talk.received()
    member, place = spot(data, received, least=2)
    lines = received[member]
    lines[place], lines[place + 1] = lines[place + 1], lines[place]
    assert talk.check(received) == Faults(0, 0, 1)


@given(talks(fewest=3, lines=4), st.data())
def test_with_three_members_a_swap_is_disorder_as_far_as_it_shows(
    talk: Talk, data: st.DataObject
) -> None:
    """The order of two others' lines only one of three knows: there is no majority."""
    received = talk.received()
    member, place = spot(data, received, least=2)
    lines = received[member]
    lines[place], lines[place + 1] = lines[place + 1], lines[place]
    assert talk.check(received)._replace(reordered=0) == NONE


@given(talks(fewest=4, lines=4), st.data())
def test_a_line_that_one_member_gets_too_late_is_one_fault(talk: Talk, data: st.DataObject) -> None:
    received = talk.received()
    member, place = spot(data, received, least=2)
    line = received[member].pop(place)
    place = data.draw(st.integers(place + 1, len(received[member])), label="later")
    received[member].insert(place, line)
    # With four members two of them contradict each other, and nobody else can tell.
    expected = (1,) if talk.members > 4 else range(1, len(talk.order))
    faults = talk.check(received)
    assert faults._replace(reordered=0) == NONE
    assert faults.reordered in expected


@given(talks(fewest=5), st.data())
def test_one_member_served_at_random_does_not_put_the_others_in_the_wrong(
    talk: Talk, data: st.DataObject
) -> None:
    received = talk.received()
    member = data.draw(st.integers(0, talk.members - 1), label="member")
    received[member] = data.draw(st.permutations(received[member]), label="lines")
    place = {line: index for index, line in enumerate(talk.order)}
    overtaken = sum(
        any(place[before] > place[line] for before in received[member][:index])
        for index, line in enumerate(received[member])
    )
    assert talk.check(received) == Faults(0, 0, overtaken)


@given(talks(), st.data())
def test_lines_that_come_back_to_their_sender_are_counted_apart(
    talk: Talk, data: st.DataObject
) -> None:
    received = talk.received()
    back = data.draw(st.lists(st.sampled_from(talk.order)), label="back")
    for line in back:
        own = received[talk.sender[line]]
        own.insert(data.draw(st.integers(0, len(own)), label="place"), line)
    assert talk.check(received) == Faults(0, 0, 0, own_line=len(back))


@given(talks(), st.data())
def test_a_member_that_left_lost_nothing_that_was_said_later(
    talk: Talk, data: st.DataObject
) -> None:
    talk = Talk(talk.members, talk.sender, sorted(talk.order))  # told as they were said
    received = talk.received()
    member = data.draw(st.integers(0, talk.members - 1), label="member")
    end = data.draw(st.integers(0, len(talk.order)), label="left before")
    received[member] = [line for line in received[member] if line < end]
    assert check(received, talk.sender, {member: end}) == NONE
    if received[member]:
        received[member].pop()
        assert check(received, talk.sender, {member: end}) == Faults(1, 0, 0)


@given(talks(), st.data())
def test_a_member_that_came_late_lost_nothing_that_was_said_before(
    talk: Talk, data: st.DataObject
) -> None:
    """What was under way when it came it may have received or not."""
    talk = Talk(talk.members, talk.sender, sorted(talk.order))
    received = talk.received()
    member = data.draw(st.integers(0, talk.members - 1), label="member")
    begin = data.draw(st.integers(0, len(talk.order)), label="joined at")
    first = data.draw(st.integers(0, begin), label="first received")
    received[member] = [line for line in received[member] if line >= first]
    joined_at = dict.fromkeys(range(talk.members), 0) | {member: begin}
    assert check(received, talk.sender, None, joined_at) == NONE
    if received[member] and received[member][-1] >= begin:
        received[member].pop()
        assert check(received, talk.sender, None, joined_at) == Faults(1, 0, 0)


@given(talks(fewest=1))
def test_total_order_has_every_line_once(talk: Talk) -> None:
    assert sorted(total_order(talk.received(), talk.sender)) == sorted(talk.sender)


def test_line_that_nobody_received_is_lost_for_each() -> None:
    sender = {0: 0, 1: 1, 2: 2}
    assert check([[1], [], [1]], sender) == Faults(4, 0, 0)


@pytest.mark.parametrize("received", [[], [[]], [[], []]])
def test_a_room_where_nobody_speaks_has_no_faults(received: Received) -> None:
    assert check(received, {}) == NONE


def test_order_told_by_three_members_is_found_where_no_single_one_knows_it() -> None:
    sender = {0: 0, 1: 1, 2: 2}
    order = [2, 0, 1]
    received = [[line for line in order if sender[line] != member] for member in range(3)]
    assert total_order(received, sender) == order


@pytest.mark.parametrize("faulty", range(4))
def test_majority_decides_whichever_member_is_faulty(faulty: int) -> None:
    """Two lines of a fifth and a sixth member, swapped for one of the four that hear both."""
    sender = {0: 4, 1: 5}
    received: Received = [[0, 1], [0, 1], [0, 1], [0, 1], [1], [0]]
    received[faulty] = [1, 0]
    assert total_order(received, sender) == [0, 1]
    assert check(received, sender) == Faults(0, 0, 1)


@pytest.mark.parametrize("spoil", [lambda lines: lines.reverse(), lambda lines: lines.clear()])
def test_long_talk_is_checked_in_no_time_worth_speaking_of(
    spoil: Callable[[list[int]], None],
) -> None:
    """Quadratic work would take minutes here."""
    members, lines = 40, 10_000
    talk = Talk(members, {line: line % members for line in range(lines)}, list(range(lines)))
    received = talk.received()
    spoil(received[0])
    faults = talk.check(received)
    length = len(talk.received()[0])
    assert faults in (Faults(0, 0, length - 1), Faults(length, 0, 0))
