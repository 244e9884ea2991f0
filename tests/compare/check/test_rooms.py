"""Chat rooms that the public statement allows pass, in any words; what it forbids is found."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

from compare.check import runner, symptoms
from compare.check.bench import Subject
from compare.check.catalogue import CHECKS, of_profile
from compare.check.chat import OF_NOTHING
from compare.check.chat_members import OF_A_PART, OF_OBJECTS, OF_ZERO
from compare.check.runner import Finding, run

SERVERS = Path(__file__).parent / "servers"
MUST = [each.id for each in of_profile("chat") if each.kind == "MUST"]
STYLES = ["plain", "terse", "wordy", "quoting", "counting"]
OTHERS = {"room.js": "node", "room.pl": "perl", "room.tcl": "tclsh", "Room.java": "java"}
# By which check each mistake is found. What says how it is found is that check's `mistake`.
MISTAKES = {
    "chat/3": ("dies of bytes", "dies of NUL"),
    "chat/4": ("reads are lines", "one line a read", "loses some", "order within a sender"),
    "chat/6": (
        *("silent goodbyes", "goodbyes twice", "goodbyes without the name"),
        *("goodbyes of the unnamed", "announces the unnamed", "silent comings", "last words lost"),
        *("comings without the name", "told of itself", "roster of all times"),
    ),
    "chat/7": (
        *("upper case refused", "digits first refused", "reserved names", "short names refused"),
        *("names over 10 refused", "other alphabets", "empty name", "dashes accepted"),
        *("underscores accepted", "beginning checked", "end checked", "blanks accepted", "ranges"),
        *("names lowered", "names cut", "names cleaned", "names stripped", "asks again"),
        *("tells of the refused", "names capitalized", "names of objects refused"),
        *("part of a name refused", "part of a name unheard", "zero refused"),
    ),
    "chat/8": ("late to the room", "enters before it is told", "roster of three"),
    "chat/9": ("doubles some", "five at a time", "tells the sender", "roster cut", "no blank"),
    "chat/10": (
        *("mentions swallowed", "commands swallowed", "stars swallowed", "blank lines inside"),
        *("cut at 1,000 with the name", "cut at 999", "a byte lost at 256", "exactly 512 lost"),
        *("escapes markup", "escapes ampersands", "strips in front", "folds blanks", "raises"),
        *("formats", "unescapes", "quotes", "title case", "strips dots", "quit ends"),
        *("over 100 ends", "over 512 ends", "over 999 ends", "other brackets"),
        "an empty line ends",
    ),
    "chat/11": (
        *("history", "tells the unnamed", "roster with itself", "no roster of nobody"),
        *("roster without a star", "greeting of two lines", "no greeting"),
    ),
    "chat/12": (
        *("the second replaces", "its end removes the name", "names kept", "left out by name"),
        "kept after a reset",
    ),
    "chat/13": ("half a name",),
    "chat/15": ("delays",),
    "chat/14": ("keeps members", "keeps visitors"),
    "chat/14-said": ("keeps the history",),
    "chat/16": ("two seconds for a name", "two seconds for a line"),
}
# What only that check may find: the others say nothing of it, so that there is one explanation.
ALONE = {
    *("chat/3", "chat/7", "chat/10", "chat/12", "chat/13", "chat/14", "chat/14-said", "chat/16"),
}
EVERYWHERE = {
    *("raises", "title case", "other brackets", "names capitalized", "dies of bytes"),
    "over 100 ends",  # chat/14-said has longer ones
}
QUICK = {"dies of NUL", "upper case refused", "over 512 ends", "history", "half a name"}
CASES = [
    pytest.param(id_, mistake, marks=[] if mistake in QUICK else [pytest.mark.slow])
    for id_, mistakes in MISTAKES.items()
    for mistake in mistakes
]


def _findings(command: tuple[str, ...], ids: list[str], seed: int) -> list[Finding]:
    subject = Subject("chat", (*command, "{port}"))
    return list(run(subject, ids, seed, lambda text: None, regardless=True))


def _budget(what: str) -> tuple[str, ...]:
    return (sys.executable, str(SERVERS / "budget.py"), what)


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize("style", STYLES)
def test_room_in_words_of_its_own_passes(style: str) -> None:
    assert [each for each in _findings(_budget(style), MUST, 8) if each.state != "passed"] == []


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("name", OTHERS)
def test_room_in_another_language_passes(name: str) -> None:
    if shutil.which(OTHERS[name]) is None:
        pytest.skip(f"there is no {OTHERS[name]}")
    found = _findings((OTHERS[name], str(SERVERS / name)), MUST, 8)
    assert [each for each in found if each.state != "passed"] == []


@pytest.mark.timeout(60)
@pytest.mark.parametrize("seed", [1, 2**40])
@pytest.mark.parametrize(("id_", "mistake"), CASES)
def test_what_the_statement_forbids_is_found(
    id_: str, mistake: str, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    (finding,) = _findings(_budget(mistake), [id_], seed)
    assert finding.state == "failed"


def test_newcomer_who_waits_for_the_name_of_another_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    found = _findings(_budget("waits for one name at a time"), ["chat/8", "chat/11"], 7)
    assert [each.likely for each in found] == [symptoms.UNGREETED] * 2


def test_line_that_is_heard_in_another_form_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    found = _findings(_budget("timestamps"), ["chat/4", "chat/6", "chat/11"], 7)
    assert [each.likely for each in found] == [symptoms.SAID] * 3


NAMED = [  # what a first room gets wrong, the check that meets it first, and what it says
    ("one line a read", "chat/10", symptoms.LINE_PER_RECV),
    ("reads are lines", "chat/10", symptoms.LINE_PER_RECV),
    ("no line ends", "chat/10", symptoms.NO_LINE_END),
    ("no line ends", "chat/7", symptoms.NO_LINE_END),
    ("tells the sender", "chat/9", symptoms.OWN_WORDS),
    ("tells the sender", "chat/6", symptoms.OWN_WORDS),
    ("tells the sender", "chat/15", symptoms.OWN_WORDS),
    ("names of objects refused", "chat/7", OF_OBJECTS),
    ("part of a name refused", "chat/7", OF_A_PART),
    ("part of a name unheard", "chat/7", OF_A_PART),
    ("zero refused", "chat/7", OF_ZERO),
    ("an empty line ends", "chat/10", OF_NOTHING),
    ("roster cut", "chat/9", symptoms.ROSTER),
    ("five at a time", "chat/9", symptoms.REFUSED),
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize(("mistake", "id_", "likely"), NAMED)
def test_mistake_of_a_first_room_is_named(
    mistake: str, id_: str, likely: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    (finding,) = _findings(_budget(mistake), [id_], 7)
    assert finding.likely == likely, finding.actual


def test_who_tells_those_without_a_name_is_not_told_of_races() -> None:
    made = [each.id for each in of_profile("chat")]
    assert made.index("chat/11") < made.index("chat/8")
    assert "chat/11" in CHECKS["chat/8"].needs
    for id_, text in symptoms.ONE_THREAD.items():
        assert re.search("lock|threads", CHECKS[id_].mistake)
        assert not re.search("lock|threads", text)


def test_end_of_the_server_is_said_first_and_once() -> None:
    (finding,) = _findings(_budget("dies of NUL"), ["chat/3"], 7)
    assert finding.actual.startswith("it has ended: exit status 1; before that, ")
    assert finding.actual.count("ended") == 1


@pytest.mark.slow
@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("id_", "mistake"),
    [
        pytest.param(*case.values)
        for case in CASES
        if case.values[0] in ALONE and case.values[1] not in EVERYWHERE
    ],
)
def test_one_mistake_has_one_explanation(
    id_: str, mistake: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 0.5)
    found = _findings(_budget(mistake), MUST, 7)
    failed = {each.id for each in found if each.state == "failed"}
    by_name = {"chat/7"} if mistake == "dies of NUL" else set()  # it dies of it in a name, too
    assert failed == {id_, *by_name}
