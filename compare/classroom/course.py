"""What a teacher says in course.toml: lessons, points, due dates, what is hidden, time limits."""

from __future__ import annotations

import datetime
import math
import tomllib
from pathlib import Path
from typing import Literal

import msgspec

from compare.check.runner import CHECKS
from compare.classroom.course_words import said
from compare.learn.lesson import TONGUES, Lesson, Part, Tongue, lessons

FILE, SECRET = "course.toml", "secret"
DAY = datetime.timedelta(days=1)
Visibility = Literal["hidden", "after_due_date", "after_published", "visible"]  # Gradescope's
VISIBILITIES = Visibility.__args__  # type: ignore[attr-defined]


class CourseError(Exception):
    """The course cannot be graded; the message is a line that says which value, and what to do."""


class Late(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """per_day: the share of the points that each day begun takes. most_days: after them, all."""

    per_day: float = 0.1
    most_days: int = 5

    def factor(self, days: int) -> float:
        if not days:
            return 1.0
        return max(0.0, 1 - self.per_day * days) if days <= self.most_days else 0.0


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one lesson. points, hidden, max_s: of checks, by program and check, as "server tcp/1"."""

    number: int
    due: datetime.datetime | None = None
    points: dict[str, float]
    hidden: list[str] = []
    max_s: dict[str, float] = {}


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What course.toml has. max_s: of a submission in all; check_max_s: of each of its checks.

    visibility: of hidden checks. python: that runs what was handed in, if not the one found.
    """

    name: str
    max_s: float = 1080.0
    check_max_s: float = 120.0
    visibility: Visibility = "after_published"
    python: str | None = None
    late: Late = Late()
    lesson: list[Rules]


_KNOWN = {
    "": Words.__struct_fields__,
    "late": Late.__struct_fields__,
    "lesson": Rules.__struct_fields__,
    "visibility": VISIBILITIES,
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """One check of a lesson's program, and what it is worth."""

    lesson: int
    part: str
    check: str
    points: float
    hidden: bool
    max_s: float

    @property
    def name(self) -> str:
        return f"{self.lesson} {self.part} {self.check}"


class Course:
    """A folder that `compare class new` made. Raises CourseError."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / FILE
        try:
            with path.open("rb") as file:
                content = tomllib.load(file)
            self.words = msgspec.convert(content, Words)
        except OSError as error:
            raise CourseError(
                f"cannot read {path}: {error.strerror}; compare class new makes one"
            ) from None
        except msgspec.ValidationError as error:
            raise CourseError(f"{path}: {said(str(error), content, _KNOWN)}") from None
        except (ValueError, RecursionError) as error:  # of letters, numbers and depth, too
            raise CourseError(f"{path} is no TOML: {error}") from None
        try:
            self._must_make_sense()
        except CourseError as error:
            raise CourseError(f"{path}: {error}") from None

    def secret(self) -> str:
        path = self.folder / SECRET
        try:
            text = path.read_text(encoding="ascii").strip()
            bytes.fromhex(text)
        except OSError as error:
            raise CourseError(f"cannot read {path}: {error.strerror}") from None
        except ValueError:
            raise CourseError(
                f"{path} is not of hexadecimal digits: take the file of new"
            ) from None
        if len(text) < 32:
            raise CourseError(f"{path} has {len(text)} digits: take the file of new, which has 64")
        return text

    def rules(self, number: int) -> Rules:
        for each in self.words.lesson:
            if each.number == number:
                return each
        have = ", ".join(str(each.number) for each in self.words.lesson)
        raise CourseError(f"the course has no lesson {number}; it has {have}")

    def asked(self, number: int) -> list[Asked]:
        """Every check of a lesson that has points, in the order of the file."""
        rules = self.rules(number)
        return [
            Asked(
                lesson=number,
                part=name.split()[0],
                check=name.split()[1],
                points=points,
                hidden=name in rules.hidden,
                max_s=rules.max_s.get(name, self.words.check_max_s),
            )
            for name, points in rules.points.items()
        ]

    def factor(self, number: int, submitted: datetime.datetime) -> tuple[float, str]:
        """What remains of the points of what was handed in then, and why, if that is not all."""
        due = self.rules(number).due
        if due is None or submitted <= due:
            return 1.0, ""
        days = math.ceil((submitted - due) / DAY)
        factor = self.words.late.factor(days)
        of_days = f"{days} day{'s' * (days > 1)}"
        return factor, f"lesson {number} was handed in {of_days} late: {factor:.0%} of its points"

    def _must_make_sense(self) -> None:
        words = self.words
        for name in ("max_s", "check_max_s"):
            if not 0 < getattr(words, name) < math.inf:
                raise CourseError(f"{name} is {getattr(words, name):g}: seconds, above 0")
        if not 0 <= words.late.per_day <= 1:
            raise CourseError(f"late.per_day is {words.late.per_day:g}: a share, from 0 to 1")
        if words.late.most_days < 0:
            raise CourseError(f"late.most_days is {words.late.most_days}: days, 0 or more")
        if not words.lesson:
            raise CourseError("there is no [[lesson]] in it: name at least one")
        seen: set[int] = set()
        for rules in words.lesson:
            if rules.number in seen:
                raise CourseError(f"lesson {rules.number} is there twice: leave one out")
            seen.add(rules.number)
            _must_be_of(lesson_of(rules.number), rules)


def tongues_of(part: Part, check: str) -> set[Tongue]:
    """In which a check can be asked: one that a step has for some languages only, in those."""
    only = [each.only for each in part.step if check in each.checks]
    return {tongue for each in only for tongue in each} or set(TONGUES)


def lesson_of(number: int) -> Lesson:
    for each in lessons():
        if each.number == number:
            return each
    raise CourseError(f"there is no lesson {number}; there are {_span([*_numbers()])}")


def _numbers() -> list[int]:
    return [each.number for each in lessons()]


def _span(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def part_of(lesson: Lesson, file: str) -> Part:
    for each in lesson.words.part:
        if each.file == file:
            return each
    names = ", ".join(each.file for each in lesson.words.part)
    raise CourseError(f"lesson {lesson.number} has no program {file!r}; it has {names}")


def _must_be_of(lesson: Lesson, rules: Rules) -> None:
    where = f"lesson {rules.number}"
    if not rules.points:
        raise CourseError(
            f'{where} has no points: such as "{lesson.words.part[0].file} life/0" = 1'
        )
    if rules.due is not None and rules.due.tzinfo is None:
        raise CourseError(f"{where}: due has no time zone: such as 2027-01-31T23:59:00+01:00")
    for name, points in rules.points.items():
        file, _, check = name.partition(" ")
        part = part_of(lesson, file)
        if check not in CHECKS or part.profile not in CHECKS[check].profiles:
            raise CourseError(
                f'{where}: {check!r} in "{name}" is no check of {part.profile}; compare check '
                "--list has them"
            )
        if not 0 <= points < math.inf:
            raise CourseError(f'{where}: "{name}" has {points:g} points: a number, 0 or more')
    for name in (*rules.hidden, *rules.max_s):
        if name not in rules.points:
            raise CourseError(f'{where}: "{name}" has no points, and is in hidden or max_s')
    for name, seconds in rules.max_s.items():
        if not 0 < seconds < math.inf:
            raise CourseError(f'{where}: max_s of "{name}" is {seconds:g}: seconds, above 0')
