"""A learner's folder: the lessons that were laid out there, and how far one has come."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from compare.check.variant import DEFAULT, of_student
from compare.learn.lesson import SUFFIX, TONGUES, Lesson, Part, Tongue, lessons
from compare.models.unreadable import UNREADABLE

STATE = "course.json"
BUILT = ".built"  # what compilers make, in each lesson's folder
SOLUTION = "solution"
HINTS = 3  # to each step


class CourseError(Exception):
    """The folder cannot be used; the message is a line that says what to do."""


class State(msgspec.Struct, kw_only=True):
    """What course.json has. at: the lesson that is worked on.

    done: steps, by lesson/file. hints: that were asked for, of the step after those.
    """

    language: Tongue
    student: str | None = None
    at: str = ""
    done: dict[str, int] = {}
    hints: dict[str, int] = {}


class Course:
    """Raises CourseError where the folder holds no course, or cannot be read or written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.refresh()

    def refresh(self) -> None:
        """Read anew what may have been written by another program. Raises CourseError."""
        path = self.folder / STATE
        try:
            self._state = msgspec.json.decode(path.read_bytes(), type=State)
        except OSError as error:
            raise CourseError(f"cannot read {path}: {error.strerror}") from None
        except UNREADABLE as error:
            raise CourseError(
                f"{path} is no course's: {error}; take it from a copy, or begin another course "
                "beside this one and copy your programs there"
            ) from None

    @classmethod
    def start(cls, folder: Path, tongue: Tongue, student: str | None = None) -> Course:
        """Lay out all lessons in a folder that is empty or not there yet."""
        with _writing(folder):
            if (folder / STATE).exists():
                raise CourseError(f"{folder} has a course; cd {folder}, and: compare learn")
            around = (each for each in folder.absolute().parents if (each / STATE).exists())
            if (outer := next(around, None)) is not None:
                raise CourseError(
                    f"{folder} is within the course of {outer}; name a folder that is outside of it"
                )
            folder.mkdir(parents=True, exist_ok=True)
            if any(folder.iterdir()):
                raise CourseError(f"{folder} is not empty; name a folder that is not there yet")
            for lesson in lessons():
                place = folder / lesson.name
                place.mkdir()
                shutil.copyfile(lesson.text, place / lesson.text.name)
                _tell(place / lesson.text.name, lesson, student)
                for part in lesson.words.part:
                    begun = lesson.source(part, tongue, 0)
                    shutil.copyfile(begun, place / f"{part.file}{SUFFIX[tongue]}")
            (folder / ".gitignore").write_text(f"{BUILT}/\n", encoding="utf-8")
            _write(folder, State(language=tongue, student=student, at=lessons()[0].name))
        return cls(folder)

    @classmethod
    def around(cls, folder: Path) -> Course:
        """The one that a folder is in, as git finds its repository."""
        for each in (folder, *folder.parents):
            if (each / STATE).is_file():
                return cls(each)
        raise CourseError(
            f"{folder} is in no course; compare learn start DIR --in {'|'.join(TONGUES)} makes one"
        )

    @property
    def tongue(self) -> Tongue:
        return self._state.language

    @property
    def student(self) -> str | None:
        return self._state.student

    @property
    def at(self) -> Lesson:
        """The lesson that is worked on."""
        named = (each for each in lessons() if each.name == self._state.at)
        return next(named, lessons()[0])

    def turn_to(self, lesson: Lesson) -> None:
        self._state.at = lesson.name
        self._keep()

    def path(self, lesson: Lesson, part: Part) -> Path:
        """What the learner writes."""
        return self.folder / lesson.name / f"{part.file}{SUFFIX[self.tongue]}"

    def built(self, lesson: Lesson) -> Path:
        """For what a compiler makes."""
        place = self.folder / lesson.name / BUILT
        with _writing(place):
            place.mkdir(parents=True, exist_ok=True)
        return place

    def done(self, lesson: Lesson, part: Part) -> int:
        """How many of its steps have been passed."""
        passed = self._state.done.get(_key(lesson, part), 0)
        return min(passed, len(lesson.steps(part, self.tongue)))

    def progress(self, lesson: Lesson) -> tuple[int, int]:
        """Of all its programs: the steps that have been passed, and all there are."""
        parts = lesson.words.part
        steps = sum(len(lesson.steps(part, self.tongue)) for part in parts)
        return sum(self.done(lesson, part) for part in parts), steps

    def part_at(self, lesson: Lesson) -> Part | None:
        """The first of a lesson in which a step is left."""
        return next((each for each in lesson.words.part if not self._whole(lesson, each)), None)

    def _whole(self, lesson: Lesson, part: Part) -> bool:
        return self.done(lesson, part) == len(lesson.steps(part, self.tongue))

    def pass_step(self, lesson: Lesson, part: Part) -> None:
        """One more; with the last of a part our solution is laid beside it."""
        self._state.done[_key(lesson, part)] = self.done(lesson, part) + 1
        self._state.hints.pop(_key(lesson, part), None)
        self._keep()
        if self._whole(lesson, part):
            ours = lesson.source(part, self.tongue, self.done(lesson, part))
            solved = self.folder / lesson.name / SOLUTION / self.path(lesson, part).name
            with _writing(solved):
                solved.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ours, solved)
                if words := self.for_variant(lesson):
                    mark = "#" if self.tongue == "python" else "//"
                    _before(solved, f"{mark} {words}\n")

    def for_variant(self, lesson: Lesson) -> str:
        """What is to be known beside our hints and solutions, which are of the usual variant."""
        if not (self.student and _has_variants(lesson)):
            return ""
        variant, told = of_student(self.student), ""
        with contextlib.suppress(OSError, UnicodeDecodeError):
            told = (self.folder / lesson.name / lesson.text.name).read_text(encoding="utf-8")
        words = _differs(self.student) if variant != DEFAULT else ""
        if told and variant.words() not in told:
            words = (
                f"For your variant: the text here is another name's than {self.student}, which "
                f"{STATE} has; that one's is {variant.short} (--variant {variant})."
            )
        return words

    def hints(self, lesson: Lesson, part: Part) -> int:
        """How many were asked for, of the step that is next."""
        return min(self._state.hints.get(_key(lesson, part), 0), HINTS)

    def take_hint(self, lesson: Lesson, part: Part) -> int:
        """One more, as long as there are some."""
        taken = min(self.hints(lesson, part) + 1, HINTS)
        self._state.hints[_key(lesson, part)] = taken
        self._keep()
        return taken

    def reset(self, lesson: Lesson, part: Part) -> Path | None:
        """Begin anew; where what was written lies now, if there was something."""
        path = self.path(lesson, part)
        kept = None
        with _writing(path):
            path.parent.mkdir(exist_ok=True)
            if path.exists():
                names = (path.with_name(f"{path.name}.{number}") for number in range(1, 10_000))
                kept = path.rename(next(each for each in names if not each.exists()))
            shutil.copyfile(lesson.source(part, self.tongue, 0), path)
        for each in (self._state.done, self._state.hints):
            each.pop(_key(lesson, part), None)
        self._keep()
        return kept

    def _keep(self) -> None:
        _write(self.folder, self._state)


def _key(lesson: Lesson, part: Part) -> str:
    return f"{lesson.name}/{part.file}"


def _tell(text: Path, lesson: Lesson, student: str | None) -> None:
    """Who is in a class has a variant of a protocol, if the lesson is of one that has some."""
    if student and _has_variants(lesson):
        before = text.read_text(encoding="utf-8")
        title, _, rest = before.partition("\n")
        first = f"\n**{_differs(student)}**\n" if of_student(student) != DEFAULT else ""
        last = f"\n## Your variant, {student}\n\n{of_student(student).words()}\n"
        text.write_text(f"{title}\n{first}{rest}{last}", encoding="utf-8")


def _has_variants(lesson: Lesson) -> bool:
    return any(part.profile == "frames" for part in lesson.words.part)


def _differs(student: str) -> str:
    """From what is said and shown to all."""
    variant = of_student(student)
    return (
        f"For your variant, {student}: {variant.short} (--variant {variant}). Where the text, a "
        f"hint or our solution says {DEFAULT.short}, yours differs: the end of the text has it."
    )


def _before(path: Path, line: str) -> None:
    path.write_text(line + path.read_text(encoding="utf-8"), encoding="utf-8")


def _write(folder: Path, state: State) -> None:
    """At once or not at all."""
    path = folder / STATE
    new = path.with_suffix(".new")
    with _writing(path):
        new.write_bytes(msgspec.json.format(msgspec.json.encode(state), indent=1) + b"\n")
        os.replace(new, path)


@contextlib.contextmanager
def _writing(place: Path) -> Iterator[None]:
    """Raises CourseError where that is not possible."""
    try:
        yield
    except OSError as error:
        raise CourseError(f"cannot write to {place}: {error.strerror}") from None
