"""`compare class`: make a course, grade what was handed in, and show who needs the least CPU."""

from __future__ import annotations

import datetime
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from rich.console import Console

from compare.check import variant
from compare.check.student import read_name
from compare.classroom import bundle
from compare.classroom import submission as submission_files
from compare.classroom.course import Course, CourseError, lesson_of
from compare.classroom.files import About, Files
from compare.classroom.grade import Grading, PythonError
from compare.classroom.laid_out import lay_out
from compare.classroom.marks import Lateness, Mark, Marks
from compare.classroom.private import hidden_around
from compare.classroom.rights import RightsError, must_be_few
from compare.classroom.seeds import seed_of
from compare.classroom.watched import apart
from compare.commands.file import File
from compare.commands.interruption import interrupted_once
from compare.commands.lazy import Lazy
from compare.commands.output import FAILED, INTERRUPTED, PIPED_WIDTH
from compare.host.place import loopback_fault
from compare.host.user import User, UserError
from compare.learn.lesson import lessons
from compare.report import checks
from compare.report.progress import saying
from compare.report.words import escape

FOLDER = File(exists=True, file_okay=False, path_type=Path)
UNWRITTEN = 4  # exit status: the disk is full, or the folder gone
ZONELESS = "compare.zoneless"  # what is said of a time, in the meta of a context
NEW = File(dir_okay=False, path_type=Path)


class Numbers(click.ParamType["list[int]"]):
    """Lessons, such as 1-12 or 1,3,5-7."""

    name = "N-N"

    def convert(
        self, value: str | list[int], param: click.Parameter | None, context: click.Context | None
    ) -> list[int]:
        if isinstance(value, list):
            return value
        have = [each.number for each in lessons()]
        found: list[int] = []
        for word in value.split(","):
            if not (match := re.fullmatch(r"(\d{1,3})(?:-(\d{1,3}))?", word.strip())):
                self.fail(f"{word!r} is no lesson: such as 1-12, or 1,3,5-7", param, context)
            first, last = int(match[1]), int(match[2] or match[1])
            wanted = range(first, last + 1)
            if not wanted or (missing := [each for each in wanted if each not in have]):
                which = missing[0] if wanted else word
                there = ", ".join(map(str, have)) or "none"
                self.fail(f"there is no lesson {which}; there are {there}", param, context)
            found += [each for each in wanted if each not in found]
        return found


class Instant(click.ParamType[datetime.datetime]):
    """A time with its zone; without one, that of this machine."""

    name = "TIME"

    def convert(
        self,
        value: str | datetime.datetime,
        param: click.Parameter | None,
        context: click.Context | None,
    ) -> datetime.datetime:
        if isinstance(value, datetime.datetime):
            return value
        try:
            found = datetime.datetime.fromisoformat(value)
        except ValueError:
            self.fail(f"{value!r} is no time: such as 2027-01-31T23:59+01:00", param, context)
        if found.tzinfo is None:
            said = f"{value} has no zone: taken as {found.astimezone().isoformat()}"
            click.echo(said, err=True)
            if context is not None:
                context.meta[ZONELESS] = said
            return found.astimezone()
        return found


@click.group("class", cls=Lazy, homes={"board": "board:make_board"})
def classroom() -> None:
    """Grade the lessons of `compare learn` for a class."""


@classroom.command()
@click.argument("folder", type=File(path_type=Path))
@click.option("--lessons", "numbers", type=Numbers(), metavar="1-12", help="[default: all]")
@click.option("--due", type=Instant(), help="Of the first lesson.  [default: a week from now]")
def new(folder: Path, numbers: list[int] | None, due: datetime.datetime | None) -> None:
    """Make a course in FOLDER: what is graded, a secret, and what Gradescope and GitHub run."""
    if due is None:
        late = datetime.datetime.now().astimezone().replace(hour=23, minute=59, second=0)
        due = late.replace(microsecond=0) + datetime.timedelta(days=7)
    elif due < datetime.datetime.now().astimezone():
        click.echo(f"{due.isoformat()} is over: all of the first lesson will be late", err=True)
    try:
        made = lay_out(folder, numbers or [each.number for each in lessons()], due)
    except CourseError as error:
        raise click.BadParameter(str(error), param_hint="'FOLDER'") from None
    for path in made:
        click.echo(path)


@classroom.command("bundle")
@click.argument("folder", type=FOLDER)
@click.option(
    "--wheel",
    "wheels",
    multiple=True,
    type=File(exists=True, path_type=Path),
    help="Of this package or of what it needs, or a folder of them: installed from the bundle.",
)
@click.option("--lesson", "numbers", metavar="N", type=int, multiple=True, help="[default: all]")
def make_bundle(folder: Path, wheels: tuple[Path, ...], numbers: tuple[int, ...]) -> None:
    """Make autograder.zip anew, after a change to course.toml; or one of a lesson."""
    try:
        course = Course(folder)
        course.secret()
        for number in numbers:
            course.rules(number)
        taken = bundle.wheels_in(wheels)
        click.echo(bundle.pack(folder, taken, numbers))
        for each in bundle.of_other_pythons(taken):
            click.echo(
                f"{each.name} is not for Python 3.{bundle.IMAGE_MINOR}, which Ubuntu 24.04 has: "
                f"it is passed by there: pip download --python-version 3.{bundle.IMAGE_MINOR}",
                err=True,
            )
    except CourseError as error:
        raise click.BadParameter(str(error), param_hint="'FOLDER'") from None
    except bundle.WheelError as error:
        raise click.BadParameter(str(error), param_hint="'--wheel'") from None
    except OSError as error:
        raise click.BadParameter(
            f"cannot write to {folder}: {error.strerror}", param_hint="'FOLDER'"
        ) from None


@classroom.command()
@click.argument("submission", type=File(exists=True, path_type=Path))
@click.option("--course", "folder", type=FOLDER, required=True, help="That class new made.")
@click.option("--student", metavar="ID", required=True, help="Whose it is: seeds and variant.")
@click.option("--lesson", "numbers", metavar="N", type=int, multiple=True, help="[default: all]")
@click.option("--as", "name", metavar="USER", help="Who runs the student's programs.")
@click.option("--submitted", type=Instant(), help="When it was handed in.  [default: now]")
@click.option("--gradescope", "gradescope_path", type=NEW)
@click.option("--junit", "junit_path", type=NEW)
@click.option("--json", "json_path", type=NEW)
def grade(
    submission: Path,
    folder: Path,
    student: str,
    numbers: tuple[int, ...],
    name: str | None,
    submitted: datetime.datetime | None,
    gradescope_path: Path | None,
    junit_path: Path | None,
    json_path: Path | None,
) -> None:
    """Grade what a student handed in: a folder of `compare learn`, or one file of a --lesson.

    Exit status 0 if it has all points, 1 if not, 2 for a mistake in the options, 4 where results
    could not be written.
    """
    try:
        student = read_name(student)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--student'") from None
    try:
        course = Course(folder)
        secret = course.secret()
    except CourseError as error:
        raise click.BadParameter(str(error), param_hint="'--course'") from None
    wanted = list(dict.fromkeys(numbers)) or [each.number for each in course.words.lesson]
    try:
        asked = [one for number in wanted for one in course.asked(number)]
    except CourseError as error:
        raise click.BadParameter(str(error), param_hint="'--lesson'") from None
    if submission.is_file():
        _must_be_one_program(course, wanted)
    if fault := loopback_fault():
        raise click.ClickException(fault)
    submitted = submitted or datetime.datetime.now().astimezone()
    late = {
        number: Lateness(factor=factor, reason=reason)
        for number in wanted
        for factor, reason in [course.factor(number, submitted)]
    }
    seeds = {number: seed_of(secret, student, number) for number in wanted}
    outputs = {"gradescope": gradescope_path, "junit": junit_path, "json": json_path}
    _must_be_others([path for path in outputs.values() if path])
    own = bool(apart()) and os.geteuid() == 0  # what others handed in is then not seen, either
    python = [course.words.python] if course.words.python else []
    hidden = hidden_around(submission, python) if own else None
    user = _user(name, folder, [path for path in outputs.values() if path], submission, hidden)
    marks = Marks(asked, late)
    if said := click.get_current_context().meta.get(ZONELESS):
        marks.notes.append(said)
    isolation = f"as {user.name}" if user else "as who grades"
    if apart():
        network = " and a network" if os.geteuid() == 0 else ""
        isolation += f", with processes{network} of its own"
    files = Files(
        About(
            course=course.words.name,
            student=student,
            submission=str(submission),
            submitted=submitted.isoformat(timespec="seconds"),
            seeds={str(number): seed for number, seed in seeds.items()},
            variant=str(variant.of_student(student)),
            isolation=isolation,
            visibility=course.words.visibility,
        ),
        marks,
        outputs,
        private=user is not None,
    )
    files.write()
    for kind, unwritten in files.unwritten.items():
        if unwritten.full:
            click.echo(unwritten.reason, err=True)
            sys.exit(UNWRITTEN)
        raise click.BadParameter(unwritten.reason, param_hint=f"'--{kind}'")
    for other in submission_files.others_named(submission, student):
        marks.notes.append(
            f"course.json is of {other}, and this is graded as {student}'s: seeds and variant are "
            "of that name"
        )
    try:
        grading = Grading(course, student, seeds, user, marks, hidden)
    except PythonError as error:
        hint = "'--course'" if course.words.python else "'--as'"
        raise click.BadParameter(str(error), param_hint=hint) from None
    with interrupted_once():
        sys.exit(_perform(grading, submission, wanted, marks, files, seeds))


def _must_be_others(outputs: list[Path]) -> None:
    for number, path in enumerate(outputs):
        if path.resolve() in [each.resolve() for each in outputs[:number]]:
            raise click.UsageError(f"two outputs are to go to {path}: name another for one.")


def _must_be_one_program(course: Course, wanted: Sequence[int]) -> None:
    if len(wanted) != 1:
        raise click.UsageError("a single file is of one lesson: say which, by --lesson N.")
    files = {each.part for each in course.asked(wanted[0])}
    if len(files) > 1:
        raise click.UsageError(
            f"lesson {wanted[0]} has several programs ({', '.join(sorted(files))}): hand in a "
            "folder with them."
        )


def _user(
    name: str | None, folder: Path, outputs: list[Path], submission: Path, hidden: Path | None
) -> User | None:
    """Raises click.BadParameter where that user cannot be had, or could do what it must not."""
    if name is None:
        return None
    hint = "'--as'"
    try:
        user = User.find(name)
    except UserError as error:
        raise click.BadParameter(str(error), param_hint=hint) from None
    try:
        must_be_few(user, folder, outputs, submission, hidden=hidden is not None)
    except RightsError as error:
        raise click.BadParameter(str(error), param_hint=hint) from None
    return user


def _perform(
    grading: Grading,
    submission: Path,
    wanted: Sequence[int],
    marks: Marks,
    files: Files,
    seeds: dict[int, int],
) -> int:
    """Grade, show and write; the exit status."""
    status, said = 0, ""
    console = _console()
    try:
        with grading.turn(_waits), saying() as told:
            shown, known = 0, ""
            for mark in grading.run(submission, wanted, told):
                if mark.asked.lesson != shown:
                    shown = mark.asked.lesson
                    title = lesson_of(shown).words.title
                    console.print(f"lesson {shown}, {escape(title)}: seed {seeds[shown]}")
                _show(mark, console, known)
                known = mark.reason
                files.write()
    except KeyboardInterrupt:
        status, said = INTERRUPTED, "the grading was interrupted"
    finally:
        marks.give_up(f"not asked: {said or 'the grading was ended before that'}")
        files.write(finished=not status, said=said)
    for words in marks.why(hidden=True):
        console.print(escape(words), soft_wrap=True)
    console.print(f"{marks.earned:g} of {marks.most:g} points")
    for unwritten in files.unwritten.values():
        click.echo(unwritten.reason, err=True)
        status = status or UNWRITTEN
    return status or (FAILED if marks.earned < marks.most else 0)


def _waits(name: str) -> None:
    click.echo(f"another grading runs programs as {name}: this one waits for its end", err=True)


def _console() -> Console:
    console = Console(highlight=False, emoji=False)
    if console.is_terminal:
        return console
    return Console(highlight=False, emoji=False, width=PIPED_WIDTH, color_system=None)


def _show(mark: Mark, console: Console, known: str) -> None:
    """known: why the one before has no points; the same again is said in short."""
    points = f"{mark.earned:g} of {mark.asked.points:g}"
    hidden = ", hidden" if mark.asked.hidden else ""
    console.print(escape(f"{points:<8} {mark.asked.part}{hidden}"), end=" ")
    if mark.finding is not None and mark.finding.state == mark.state:
        checks.show_finding(mark.finding, mark.again, console, known=known)
    else:
        reason = "the same" if known == mark.reason else mark.reason
        console.print(escape(f"{mark.state} {mark.asked.check}: {reason}"), soft_wrap=True)
