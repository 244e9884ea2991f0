"""A lesson: what is to be written, in which steps, judged by which checks."""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Literal, get_args

import msgspec

from compare.check.catalogue import Profile

Tongue = Literal["python", "c", "js"]  # in which the course can be taken
TONGUES: tuple[Tongue, ...] = get_args(Tongue)
SUFFIX: dict[Tongue, str] = {"python": ".py", "c": ".c", "js": ".js"}
LESSONS = Path(__file__).parent / "lessons"


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The next checks to pass, in order, and three hints to them: a question, the call, the line.

    call, line: by language. only: the languages in which there is such a step, if not in all.
    """

    checks: list[str]
    question: str
    call: dict[Tongue, str]
    line: dict[Tongue, str]
    only: tuple[Tongue, ...] = TONGUES


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One program of a lesson.

    file: its name without a suffix; ours lie beside lesson.toml as file0.py (what one begins
    with), file1.py (the first step is done), ... to the solution, and the same of other languages.
    fails: of the lesson's checks, those that file0 fails, by language; all others of them it
    passes, or they are not asked, as they need what has failed. limits: of checks that are made of
    declared ones only, as of `compare check --limit`. style: as of `--style`.
    """

    file: str
    profile: Profile
    step: list[Step]
    fails: dict[Tongue, list[str]]
    limits: dict[str, str] = {}
    style: str | None = None


class See(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An experiment, after a prediction.

    right: the index of the right one of the choices. scene: of `compare see`, played with the
    lesson's file0 of the learner's language; without one see.py beside lesson.toml is run, which
    prints what happens. then: what was to be seen, said afterwards.
    """

    question: str
    choices: list[str]
    right: int
    then: str
    scene: str | None = None


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The cell of the matrix that makes the lesson matter.

    options: further words of `compare run`, which measures the learner's server beside models.
    """

    question: str
    workload: str
    models: list[str]
    options: list[str] = []


class Words(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What lesson.toml has; minutes: that it takes. instead: why there is no measure, or where."""

    title: str
    idea: str
    minutes: int
    part: list[Part]
    see: See
    measure: Measure | None = None
    instead: str = ""


class Lesson:
    """One folder of LESSONS, such as 03-a-stream."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.name = folder.name
        self.number = int(folder.name.partition("-")[0])
        with (folder / "lesson.toml").open("rb") as file:
            self.words = msgspec.convert(tomllib.load(file), Words)
        self.text = folder / "text.md"

    def steps(self, part: Part, tongue: Tongue) -> list[Step]:
        return [each for each in part.step if tongue in each.only]

    def source(self, part: Part, tongue: Tongue, done: int) -> Path:
        """Ours when so many steps are done; 0: what one begins with."""
        return self.folder / f"{part.file}{done}{SUFFIX[tongue]}"


@cache
def lessons() -> list[Lesson]:
    """All, in order."""
    return [Lesson(each.parent) for each in sorted(LESSONS.glob("*/lesson.toml"))]
