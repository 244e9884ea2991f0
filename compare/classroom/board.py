"""Who needs how much CPU: ratios to the barest server of the same run, and never rates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from compare.check.student import known_as
from compare.classroom.files import FORMAT
from compare.results.naming import short
from compare.results.ranking import UNRANKED, paired
from compare.results.records import Cell, Load, Run
from compare.results.statistics import ratio_of

REFERENCE = "bare-epoll"
WIDEST = 0.25  # half an interval, of its ratio, beyond which it says too little
OTHERS = 0.05  # of the driver's core, that others had
ENDINGS = (".run.json", ".grade.json", ".json")
UNCHECKED = "unchecked"
UNGRADED = "no grade of it is among what was given"
LEADERS = "CPU of bare-epoll's"


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """One's CPU time per operation, as so many times that of the barest server beside it."""

    who: str
    load: Load
    ratio: float
    low: float
    high: float


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """Who has no place, and why."""

    who: str
    why: str
    load: Load | None = None


class Grades(msgspec.Struct, frozen=True, kw_only=True):
    """What `compare class grade --json` kept, as far as it matters here."""

    format: str
    student: str
    finished: bool
    marks: list[dict[str, Any]]

    def why_not(self) -> str:
        """Empty where every check that was asked passed."""
        if self.format != FORMAT:
            return f"its format is {self.format[:40]!r}"
        if not self.finished:
            return "its grading was not finished"
        failed = [each["asked"] for each in self.marks if each["state"] != "passed"]
        named = [str(each["check"]) for each in failed if not each.get("hidden")]
        # All see the board, and what is hidden is not for all.
        return f"it does not pass {', '.join(named[:3]) or 'all of its checks'}" if failed else ""


def student_of(path: Path) -> str:
    """Of a run: what its file is called, ana.json or ana.run.json, and no less of an address."""
    name = next((path.name.removesuffix(e) for e in ENDINGS if path.name.endswith(e)), path.name)
    return known_as(name)


def standings(
    runs: Sequence[tuple[str, Run]], grades: Sequence[Grades]
) -> tuple[list[Place], list[Left]]:
    """Places by load, the least CPU first; and who has none.

    Where there are grades, who has none of them or not all points has no place.
    """
    reasons = _by_name(grades)
    places: list[Place] = []
    left: list[Left] = []
    for student, run in runs:
        own = list(run.settings.servers)
        if grades and (why := reasons.get(student, UNGRADED)):
            left.append(Left(who=student, why=why))
            continue
        if not own:
            why = "no server of its own is in that run: --server yours=..."
            left.append(Left(who=student, why=why))
        for cell in run.cells:
            if cell.model in own:
                who = student if len(own) == 1 else f"{student}: {cell.model}"
                found = _place(who, cell, run)
                (places if isinstance(found, Place) else left).append(found)  # type: ignore[arg-type]
    return sorted(places, key=_order), left


def _by_name(grades: Sequence[Grades]) -> dict[str, str]:
    """Why there is no place, by the student, and by what is before the @ of an address.

    A run need not be called after all of it.
    """
    whole = {known_as(each.student): each.why_not() for each in grades}
    found: dict[str, str] = {}
    for name, why in whole.items():
        short_ = name.partition("@")[0]
        same = [each for each in whole if each.partition("@")[0] == short_]
        several = f"{' and '.join(same[:3])} have grades: call the run after one of them"
        found[short_] = why if len(same) == 1 else several
    return found | whole


def _order(place: Place) -> tuple[str, int, str, float, str]:
    load = place.load
    return load.workload, load.connections, short(load), place.ratio, place.who


def _place(who: str, cell: Cell, run: Run) -> Place | Left:
    bare = next((e for e in run.cells if e.model == REFERENCE and e.load == cell.load), None)
    if why := next(_objections(cell, bare, run), ""):
        return Left(who=who, load=cell.load, why=why)
    assert bare is not None
    logs = paired(cell, bare, "cpu_us_per_op")
    ratio, interval = ratio_of(logs) if logs else (0.0, None)
    if interval is None:
        why = "one round tells nothing of chance: --rounds 3"
        return Left(who=who, load=cell.load, why=why)
    low, high = interval
    if (high - low) / 2 > WIDEST * ratio:
        why = f"noisy: from {low:.2f} to {high:.2f} times; again on a quiet machine, or longer"
        return Left(who=who, load=cell.load, why=why)
    return Place(who=who, load=cell.load, ratio=ratio, low=low, high=high)


def _objections(cell: Cell, bare: Cell | None, run: Run) -> Iterator[str]:
    if run.interrupted:
        yield "the run was interrupted"
    if bare is None:
        yield f"{REFERENCE} was not measured beside it: --models {REFERENCE}"
        return
    if any(reason.startswith(UNCHECKED) for reason in cell.reasons):
        yield "it was measured unchecked"
    for each in (cell, bare):
        whose = "" if each is cell else f"{REFERENCE}: "
        if each.verdict in UNRANKED:
            yield f"{whose}{each.verdict}: {'; '.join(each.reasons[:1])}"
        if "throttled" in each.verdicts or each.verdict == "throttled":
            yield f"noisy: {whose}a quota held it back"
        waited = [one.driver.wait_fraction or 0.0 for one in each.rounds]
        if run.settings.driver_core is not None and waited and max(waited) > OTHERS:
            yield f"noisy: {whose}others had {max(waited):.0%} of the driver's core"


def leaderboard(places: Sequence[Place]) -> list[dict[str, Any]]:
    """Gradescope's entry for one student; of several loads, one each."""
    alone = len(places) == 1
    return [
        {
            "name": LEADERS if alone else f"{LEADERS}, {short(each.load)}",
            "value": round(each.ratio, 2),
            "order": "asc",
        }
        for each in places
    ]
