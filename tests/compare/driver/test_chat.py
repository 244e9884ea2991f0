"""chat in rooms that do one thing wrong: their faults are counted exactly."""

from __future__ import annotations

import pytest
from planted_servers import LONG_ENOUGH_S, Drive, Plant

from compare.contract.outcome import Outcome

SPOKEN = 20  # lines, when each member has said one, by which the room was warmed up


def faults_of(outcome: Outcome) -> dict[str, int]:
    return {name: count for name, count in outcome.errors.items() if count}


@pytest.mark.parametrize("members", [2, 3, 5])
def test_correct_room_of_any_size_has_no_fault(plant: Plant, drive: Drive, members: int) -> None:
    outcome = drive(plant("room.py", "correct"), "chat", connections=members)
    assert faults_of(outcome) == {}
    assert outcome.counts.served == members
    assert outcome.operations > 0


def test_room_that_announces_in_words_of_its_own_has_no_fault(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("room.py", "own-words"), "chat", connections=3)
    assert faults_of(outcome) == {}
    assert outcome.counts.served == 3
    assert outcome.operations > 0


def test_one_alone_in_a_room_talks_to_nobody(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("room.py", "correct"), "chat", connections=1)
    assert outcome.counts.served == 1
    assert outcome.operations == 0
    assert faults_of(outcome) == {}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("loses", "lost"),
        ("duplicates", "duplicate"),
        ("reorders", "reordered"),
        ("comes-back", "own_line"),
    ],
)
def test_faults_of_a_room_are_counted_exactly(
    plant: Plant, drive: Drive, fault: str, error: str
) -> None:
    server = plant("room.py", fault, SPOKEN, 3)
    outcome = drive(server, "chat", connections=5, window=LONG_ENOUGH_S)
    assert server.report()["faults"] == 3
    assert faults_of(outcome) == {error: 3}
    assert outcome.counts.served == 5


def test_garbled_line_is_wrong_and_its_right_form_lost(plant: Plant, drive: Drive) -> None:
    server = plant("room.py", "garbles", SPOKEN, 3)
    outcome = drive(server, "chat", connections=5, window=LONG_ENOUGH_S)
    assert server.report()["faults"] == 3
    assert faults_of(outcome) == {"wrong_bytes": 3, "lost": 3}
    assert outcome.details


def test_member_that_is_thrown_out_is_counted_and_the_others_go_on(
    plant: Plant, drive: Drive
) -> None:
    server = plant("room.py", "leaves", 8)
    outcome = drive(server, "chat", connections=5, window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.counts.served == 5
    assert outcome.errors.get("eof", 0) + outcome.counts.reset == 1
    assert set(faults_of(outcome)) <= {"eof", "lost"}
    # What it was to hear from each of the others, and what each of them was to hear from it.
    assert outcome.errors.get("lost", 0) <= 4 + 4
    assert report["lines"] > 20


def test_members_thrown_out_one_after_the_other_do_no_harm(plant: Plant, drive: Drive) -> None:
    """One that is gone may come to be read from in the batch in which it was found gone."""
    server = plant("room.py", "resets", SPOKEN, 12)
    outcome = drive(server, "chat", connections=16, window=LONG_ENOUGH_S)
    assert server.report()["faults"] == 12
    assert outcome.errors.get("eof", 0) + outcome.counts.reset == 12
    assert set(faults_of(outcome)) <= {"eof", "lost"}


def test_member_let_in_late_did_not_lose_what_was_said_before(plant: Plant, drive: Drive) -> None:
    server = plant("room.py", "third-waits", 20)
    outcome = drive(server, "chat", connections=3, window=LONG_ENOUGH_S)
    assert server.report()["faults"] == 1
    assert outcome.counts.served == 3
    assert faults_of(outcome) == {}


def test_room_that_keeps_a_line_back_has_no_more_turns(plant: Plant, drive: Drive) -> None:
    """Its sender waits for ever; what is missing is counted all the same."""
    outcome = drive(plant("room.py", "loses", 5), "chat", connections=5, slices=5)
    assert faults_of(outcome) == {"lost": 1}
    assert outcome.slices == []
    assert outcome.gave_up


def test_room_that_greets_nobody_starves_all(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("room.py", "silent"), "chat")
    counts = outcome.counts
    assert (counts.connected, counts.served, counts.starved) == (4, 0, 4)
    assert outcome.operations == 0


def test_room_that_refuses_every_name_is_wrong(plant: Plant, drive: Drive) -> None:
    server = plant("room.py", "refuses-names")
    outcome = drive(server, "chat")
    assert server.report()["faults"] == 4
    assert faults_of(outcome) == {"wrong_bytes": 4}
    assert "that name will" in outcome.details[0]
    assert (outcome.counts.served, outcome.counts.starved) == (0, 0)
