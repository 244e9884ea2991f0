"""What a submission has earned so far, of a maximum that nothing changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from compare.check.runner import Finding, State
from compare.classroom.course import Asked

NOT_YET = "not asked: the grading was ended before that"
COMES_FIRST = "not asked: "  # what runner.py says where another check has failed
PLACES = 4  # of points, so that a tenth of a point is one


class Mark(msgspec.Struct, frozen=True, kw_only=True):
    """Of one check. reason: why it has no points, in a line; finding: what was seen.

    state: skipped is what this machine could not ask; what failed, or needs what did, is failed.
    """

    asked: Asked
    state: State = "skipped"
    earned: float = 0.0
    reason: str = NOT_YET
    again: str = ""
    finding: Finding | None = None


class Lateness(msgspec.Struct, frozen=True, kw_only=True):
    """Of a lesson: what remains of its points, and why if that is not all."""

    factor: float = 1.0
    reason: str = ""


class Marks:
    """Of every check that was asked for, from the beginning on."""

    def __init__(self, asked: Sequence[Asked], late: dict[int, Lateness]) -> None:
        self.notes: list[str] = []  # to be told above all
        self._late = late
        self._marks = {each.name: Mark(asked=each) for each in asked}

    def __iter__(self) -> Iterator[Mark]:
        return iter(self._marks.values())

    def find(self, asked: Asked, finding: Finding, again: str = "") -> Mark:
        """What a check found: its points, less what lateness takes."""
        passed = finding.state == "passed"
        reason = finding.reason or finding.actual
        unasked = finding.state == "skipped" and reason.startswith(COMES_FIRST)
        late = self._late.get(asked.lesson, Lateness())
        earned = round(asked.points * late.factor, PLACES) if passed else 0.0
        return self._put(
            Mark(
                asked=asked,
                state="failed" if unasked else finding.state,
                earned=earned,
                reason=late.reason if passed else reason,
                again=again,
                finding=finding,
            )
        )

    def fail(self, asked: Asked, reason: str, *, again: str = "") -> Mark:
        """Without a finding."""
        return self._put(Mark(asked=asked, state="failed", reason=reason, again=again))

    def skip(self, asked: Asked, reason: str) -> Mark:
        return self._put(Mark(asked=asked, reason=reason))

    def count_as(self, asked: Asked, others: Sequence[Asked], reason: str) -> Mark:
        """Of what cannot be asked in a language: the share that the others have."""
        marks = [self._marks[each.name] for each in others]
        most = sum(each.asked.points for each in marks)
        share = sum(each.earned for each in marks) / most if most else 0.0
        passed = bool(marks) and all(each.state == "passed" for each in marks)
        return self._put(
            Mark(
                asked=asked,
                state="passed" if passed else "failed",
                earned=round(asked.points * share, PLACES),
                reason=reason,
            )
        )

    def has_failed(self, asked: Asked) -> bool:
        return self._marks[asked.name].state == "failed"

    def is_open(self, asked: Asked) -> bool:
        """Whether nothing is known of it yet."""
        return self._marks[asked.name].reason == NOT_YET

    def _put(self, mark: Mark) -> Mark:
        self._marks[mark.asked.name] = mark
        return mark

    def give_up(self, reason: str) -> None:
        """Of all that were not asked, why."""
        for each in [each for each in self if each.reason == NOT_YET]:
            self.skip(each.asked, reason)

    @property
    def earned(self) -> float:
        return round(sum(each.earned for each in self), PLACES)

    @property
    def most(self) -> float:
        return round(sum(each.asked.points for each in self), PLACES)

    def why(self, *, hidden: bool) -> list[str]:
        """What kept checks from being asked, each reason once; of hidden ones only if told to."""
        reasons = self.notes + [late.reason for late in self._late.values() if late.reason]
        counted: dict[str, list[Asked]] = {}
        for each in self:
            seen = each.finding is not None and each.finding.state == "failed"
            told = seen and each.finding is not None and each.finding.started
            if each.state == "passed" or told:
                continue
            if hidden or not each.asked.hidden:
                counted.setdefault(each.reason.partition("\n")[0], []).append(each.asked)
        return reasons + [f"{_listed(asked)}: {reason}" for reason, asked in counted.items()]


def _listed(asked: list[Asked]) -> str:
    """By program: such as lesson 2, server (5 checks)."""
    found: dict[str, list[str]] = {}
    for each in asked:
        found.setdefault(f"lesson {each.lesson}, {each.part}", []).append(each.check)
    return "; ".join(
        f"{name}, {checks[0]}" if len(checks) == 1 else f"{name} ({len(checks)} checks)"
        for name, checks in found.items()
    )
