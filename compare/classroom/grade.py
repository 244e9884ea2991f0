"""Grade a submission: every check of every lesson asked, whatever becomes of the programs."""

from __future__ import annotations

import contextlib
import math
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec

from compare.check import variant
from compare.check.declared import read_limit
from compare.check.runner import Finding
from compare.classroom import locks, private, submission
from compare.classroom.course import Asked, Course, lesson_of, part_of, tongues_of
from compare.classroom.marks import Mark, Marks
from compare.classroom.submission import Found, MissingError
from compare.classroom.watched import GoneError, LaunchError, Worker
from compare.classroom.worker import Job
from compare.host.launch import AWAY
from compare.host.user import User
from compare.learn.lesson import Lesson, Part
from compare.learn.program import CC

BUILD_S = 60.0
START_S = 30.0  # of the worker itself, on a machine that is busy
FALLBACK = "python3"


class PythonError(Exception):
    """There is none that may run what was handed in; the message is a line that says what to do."""


def python_for(user: User | None, wanted: str | None) -> list[str]:
    """The interpreter, and the words that keep it from our own packages.

    That of the system, and not the environment in which this package is installed, whose servers
    would be good answers.
    """
    base = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())
    found = shutil.which(FALLBACK, path="/usr/local/bin:/usr/bin:/bin")
    for each in [wanted] if wanted else [base, found]:
        if each and (user is None or user.can("x", each)) and shutil.which(each):
            return [each, "-E", "-s"]
    who = user.name if user else "you"
    if wanted and not Path(wanted).exists() and not shutil.which(wanted):
        raise PythonError(f"python = {wanted!r} in course.toml: there is no such program here")
    named = wanted or base
    raise PythonError(f"{who} may not run {named}: say python = '/usr/bin/python3' in course.toml")


class Grading:
    """One submission. seeds: by lesson.

    hidden: a folder that its programs are not to see, if that can be had.
    """

    def __init__(
        self,
        course: Course,
        student: str,
        seeds: dict[int, int],
        user: User | None,
        marks: Marks,
        hidden: Path | None = None,
    ) -> None:
        self._course = course
        self._variant = variant.of_student(student)
        self._seeds = seeds
        self._user = user
        self._marks = marks
        self._until = math.inf  # when no more is asked, by time.monotonic()
        self._hidden = hidden
        self._python = python_for(user, course.words.python)
        self._top = Path()  # of what was handed in

    @contextlib.contextmanager
    def turn(self, waits: Callable[[str], None]) -> Iterator[None]:
        """Gradings whose programs are the same user's come one after the other.

        That user's processes are counted together, setrlimit(2): what one program has started
        another one could not. waits: told the user's name, before that takes time.
        """
        user = self._user
        if user is None:
            yield
            return
        with locks.held(f"user-{user.uid}", lambda: waits(user.name)):
            yield

    def run(
        self, path: Path, numbers: Sequence[int], told: Callable[[str], None]
    ) -> Iterator[Mark]:
        """A mark for each check, in order; hidden ones are asked when all others have been.

        So nothing that is seen of the others can be of what a program has heard in hidden ones.
        """
        self._until = time.monotonic() + self._course.words.max_s
        self._top = path if path.is_dir() else path.parent
        programs = [
            (number, file)
            for number in numbers
            for file in dict.fromkeys(each.part for each in self._course.asked(number))
        ]
        for hidden in (False, True):
            for number, file in programs:
                theirs = [each for each in self._course.asked(number) if each.part == file]
                if any(each.hidden == hidden for each in theirs):
                    told(f"lesson {number}: {file}{', hidden' * hidden}")
                    alone = len(numbers) == 1
                    yield from self._of_program(path, number, file, theirs, hidden, alone=alone)

    def _of_program(
        self, path: Path, number: int, file: str, theirs: list[Asked], hidden: bool, *, alone: bool
    ) -> Iterator[Mark]:
        lesson = lesson_of(number)
        part = part_of(lesson, file)
        now = [each for each in theirs if each.hidden == hidden and self._marks.is_open(each)]
        try:
            found = submission.find(path, lesson, part, alone=alone)
            if found.note and found.note not in self._marks.notes:
                self._marks.notes.append(found.note)
            able = [each for each in theirs if found.tongue in tongues_of(part, each.check)]
            failed = [each.check for each in able if self._marks.has_failed(each)]
            asked = [each for each in now if each in able]
            yield from self._program(found, lesson, part, asked, failed, able, path)
            if hidden == any(each.hidden for each in theirs):  # all others are known now
                yield from self._counted(theirs, able, found)
        except MissingError as error:
            yield from [self._marks.fail(each, str(error)) for each in now]
        except OSError as error:  # of ours
            left = [each for each in now if self._marks.is_open(each)]
            why = f"this machine: {error.strerror or error}"
            yield from [self._marks.skip(each, why) for each in left]

    def _counted(self, theirs: list[Asked], able: list[Asked], found: Found) -> Iterator[Mark]:
        """What cannot be asked in a language; hidden ones tell nothing of themselves by others."""
        seen = [each for each in able if not each.hidden] or able
        for each in [each for each in theirs if each not in able]:
            why = f"not asked in {found.tongue}: it counts as the others of {each.part} do"
            yield self._marks.count_as(each, able if each.hidden else seen, why)

    def _program(
        self,
        found: Found,
        lesson: Lesson,
        part: Part,
        asked: list[Asked],
        failed: list[str],
        able: list[Asked],
        path: Path,
    ) -> Iterator[Mark]:
        """failed: of `able`, all that the program can be asked, what was asked before."""
        with private.workshop() as place:
            copied = submission.copy(found, place, self._user, beside=path.is_dir())
            left = list(asked)
            while left:
                if time.monotonic() >= self._until:
                    why = f"not asked: the {self._course.words.max_s:g} s for all were over"
                    yield from [self._marks.fail(each, why) for each in left]
                    return
                job = self._job(found, copied, lesson, part, left, failed)
                try:
                    with Worker(job) as worker:
                        for mark in self._hear(worker, job, found, left):
                            failed += [mark.asked.check] if mark.state == "failed" else []
                            left.remove(mark.asked)
                            yield mark
                            if mark.reason.startswith(AWAY):
                                yield from [self._marks.fail(e, mark.reason) for e in able]
                                return
                except LaunchError as error:
                    yield from [self._marks.skip(each, str(error)) for each in left]
                    return

    def _job(
        self,
        found: Found,
        copied: Path,
        lesson: Lesson,
        part: Part,
        left: list[Asked],
        failed: list[str],
    ) -> Job:
        return Job(
            profile=part.profile,
            tongue=found.tongue,
            source=str(copied),
            place=str(copied.parent),
            ids=[each.check for each in left],
            failed=failed,
            seed=self._seeds[lesson.number],
            limits=dict(read_limit(f"{name}={value}") for name, value in part.limits.items()),
            style=part.style,
            variant=str(self._variant if part.profile == "frames" else variant.DEFAULT),
            python=self._python,
            build_s=min(BUILD_S, self._course.words.check_max_s),
            user=self._user,
            hidden=[str(self._hidden)] if self._hidden else [],
        )

    def _hear(self, worker: Worker, job: Job, found: Found, asked: list[Asked]) -> Iterator[Mark]:
        """Until it is through, or one check is not: that has failed, and the rest is left."""
        for number, each in enumerate((None, *asked)):
            limit = each.max_s if each else START_S + job.build_s
            last = min(time.monotonic() + limit, self._until)
            mine = each or asked[0]
            try:
                said = worker.hear(last)
            except GoneError as error:
                if each is None:  # nothing of theirs was run yet
                    why = f"this machine: what makes the checks has ended: {error}"
                    yield from [self._marks.skip(one, why) for one in list(asked)]
                    return
                what = "what made the checks was ended meanwhile"
                yield self._fail(mine, job, found, f"{what}: {error}")
                return
            if said is None:
                if time.monotonic() < self._until:
                    what = "it took" if each else "to make it ready took"
                    yield self._fail(mine, job, found, f"{what} longer than {limit:g} s")
                return
            if said.unbuilt:
                why = said.unbuilt.replace(f"{job.place}/", "")
                yield from [self._marks.fail(one, why) for one in list(asked)]
                return
            if number and each and said.finding:
                yield self._found(each, job, found, _as_handed_in(said.finding, job.place))

    def _found(self, asked: Asked, job: Job, found: Found, finding: Finding) -> Mark:
        failed = finding.state == "failed" and finding.started
        again = self._again(asked, job, found) if failed else ""
        return self._marks.find(asked, finding, again)

    def _fail(self, asked: Asked, job: Job, found: Found, reason: str) -> Mark:
        return self._marks.fail(asked, reason, again=self._again(asked, job, found))

    def _again(self, asked: Asked, job: Job, found: Found) -> str:
        """What asks this again, in the folder that was handed in: its seed makes the same run."""
        words = ["compare", "check", "--profile", job.profile, "--only", asked.check]
        words += ["--seed", str(job.seed)]
        words += ["--variant", job.variant] if job.variant != str(variant.DEFAULT) else []
        for name, value in job.limits.items():
            words += ["--limit", f"{name}={value:g}"]
        words += ["--style", job.style] if job.style else []
        path = found.path.relative_to(self._top)
        run = {"python": ["python", str(path)], "js": ["node", str(path)]}
        made = str(path.with_suffix(""))
        program = run.get(found.tongue, [f"./{made}"])
        again = shlex.join([*words, "--", *program, "{host}", "{port}"])
        if found.tongue != "c":
            return again
        return f"{shlex.join(['cc', *CC, '-o', made, str(path)])} && {again}"


def _as_handed_in(finding: Finding, place: str) -> Finding:
    """Without the name of our copy's folder."""
    content = msgspec.json.encode(finding).replace(f"{place}/".encode(), b"")
    return msgspec.json.decode(content, type=Finding)
