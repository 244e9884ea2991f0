"""`compare learn`: the course from socket() to asyncio, in the folder of a learner."""

from __future__ import annotations

import contextlib
import shlex
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
from rich.console import Console
from rich.text import Text

from compare.check.student import read_name
from compare.commands.check import Request, perform
from compare.commands.file import File
from compare.commands.history import load
from compare.commands.output import INTERRUPTED, interrupt, show
from compare.host.place import loopback_fault
from compare.learn import experiment, judge, program
from compare.learn.course import HINTS, Course, CourseError
from compare.learn.lesson import TONGUES, Lesson, Part, Tongue, lessons
from compare.learn.program import BuildError
from compare.learn.screen import Page
from compare.learn.watch import Watch
from compare.report.brief import show as show_brief


class Number(click.ParamType[Lesson]):
    """A lesson by its number."""

    name = "N"

    def convert(
        self, value: str | Lesson, param: click.Parameter | None, context: click.Context | None
    ) -> Lesson:
        if isinstance(value, Lesson):
            return value
        named = (each for each in lessons() if value in (str(each.number), each.name))
        if (found := next(named, None)) is None:
            most = len(lessons())
            self.fail(f"there is no lesson {value!r}; there are 1 to {most}", param, context)
        return found


LESSON = Number()
_STYLES = {"passed": "green", "failed": "bold red"}
P = ParamSpec("P")
T = TypeVar("T")


class OfACourse(click.Group):
    """Commands of which each may find that the folder cannot be used."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except CourseError as error:
            raise click.ClickException(str(error)) from None


def _course() -> Course:
    """The one that we are in."""
    return Course.around(Path.cwd())


def _built(made: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return made(*args, **kwargs)
    except BuildError as error:
        raise click.ClickException(f"it cannot be run:\n{error}") from None


@click.group(cls=OfACourse, invoke_without_command=True)
@click.option("--lesson", type=LESSON, help="Turn to this one.  [default: where you were]")
@click.pass_context
def learn(context: click.Context, lesson: Lesson | None) -> None:
    """A course from socket() to asyncio: twelve lessons, each with programs to mend.

    Without a command it watches the lesson that you are at, and at every save makes the checks and
    shows the first that fails:

    \b
        compare learn start net --in python
        cd net
        compare learn
    """
    if context.invoked_subcommand is not None:
        return
    course = _course()
    if lesson is not None:
        course.turn_to(lesson)
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("it watches in a terminal only; compare learn check asks once.")
    _must_have_loopback()
    signal.signal(signal.SIGTERM, interrupt)
    signal.signal(signal.SIGHUP, interrupt)
    try:
        with _own_screen(True):
            Watch(course, _draw).run(lambda key, at: _aside(key, course, at))
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


@learn.command()
@click.argument("folder", type=File(path_type=Path))
@click.option("--in", "tongue", type=click.Choice(TONGUES), default="python", show_default=True)
@click.option("--student", metavar="ID", help="Who you are in a class, as it knows you.")
def start(folder: Path, tongue: Tongue, student: str | None) -> None:
    """Lay out the lessons in FOLDER, to be done in a language."""
    try:
        student = read_name(student) if student is not None else None
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--student'") from None
    Course.start(folder, tongue, student)
    if missing := program.missing(tongue):
        click.echo(f"{missing}: install it before you begin", err=True)
    first = lessons()[0]
    click.echo(
        f"{len(lessons())} lessons are in {folder}. Read {folder / first.name / first.text.name}, "
        f"and then:\n  cd {folder}\n  compare learn"
    )


@learn.command("list")
def list_lessons() -> None:
    """All lessons, and what is done."""
    click.echo("\n".join(Page.here().overview(_course())))


@learn.command()
@click.argument("lesson", type=LESSON, required=False)
def hint(lesson: Lesson | None) -> None:
    """A hint to the step that is to be done next: a question, then the call, then the line.

    Each time one more; of a lesson that is done, all.
    """
    course = _course()
    lesson = lesson or course.at
    if words := course.for_variant(lesson):
        click.echo("\n".join(Page.here().wrapped(words)))
    at = course.part_at(lesson)
    for part in [at] if at else lesson.words.part:
        steps = lesson.steps(part, course.tongue)
        taken = course.take_hint(lesson, part) if at else HINTS
        for step in [steps[course.done(lesson, part)]] if at else steps:
            click.echo(f"{part.file}, {' '.join(step.checks)}")
            for number in range(1, taken + 1):
                click.echo("\n".join(Page.here().hint(step, course, number)))


@learn.command()
@click.argument("lesson", type=LESSON, required=False)
@click.option("--part", "name", metavar="FILE", help="Of a lesson that has two programs.")
@click.option(
    "--json",
    "json_path",
    type=File(dir_okay=False, allow_dash=True),
    help="Write all that was found there, - for stdout.",
)
@click.option("--junit", "junit_path", type=File(dir_okay=False), help="The same for a CI server.")
@click.option(
    "--gradescope",
    "gradescope_path",
    type=File(dir_okay=False),
    help="The same as results.json of Gradescope.",
)
def check(
    lesson: Lesson | None,
    name: str | None,
    json_path: str | None,
    junit_path: str | None,
    gradescope_path: str | None,
) -> None:
    """Make all checks of a lesson once, and say everything, as `compare check` does."""
    course = _course()
    lesson = lesson or course.at
    outputs = {"json": json_path, "junit": junit_path, "gradescope": gradescope_path}
    parts = _parts(course, lesson, name)
    if len(parts) > 1 and any(outputs.values()):
        files = " or ".join(each.file for each in parts)
        raise click.UsageError(f"a file is of one program: --part {files}")
    _must_have_loopback()
    signal.signal(signal.SIGTERM, interrupt)
    status = 0
    for part in parts:
        subject = _built(
            judge.subject_of,
            *(part, course.tongue, course.path(lesson, part), course.built(lesson)),
            course.student,
        )
        steps = lesson.steps(part, course.tongue)
        ids = [each for step in steps for each in step.checks]
        status = status or perform(
            Request(subject, ids),
            seed=judge.SEED,
            alone=False,
            strict=False,
            regardless=False,
            outputs=outputs,
        )
    sys.exit(status)


def _parts(course: Course, lesson: Lesson, name: str | None) -> list[Part]:
    """All, or the one that is called so, with its suffix or without."""
    files = {part.file: course.path(lesson, part).name for part in lesson.words.part}
    parts = [each for each in lesson.words.part if name in (None, each.file, files[each.file])]
    if not parts:
        raise click.BadParameter(
            f"{name!r} is none of {', '.join(files.values())}", param_hint="'--part'"
        )
    return parts


@learn.command()
@click.argument("lesson", type=LESSON, required=False)
@click.option("--predict", type=click.IntRange(1), help="Your answer, instead of being asked.")
def see(lesson: Lesson | None, predict: int | None) -> None:
    """The experiment of a lesson: say what will happen, and then see it."""
    course = _course()
    _see(course, lesson or course.at, predict)


def _see(course: Course, lesson: Lesson, predict: int | None) -> None:
    most = len(lesson.words.see.choices)
    asked = [*experiment.question(lesson), *experiment.choices(lesson)]
    click.echo("\n".join(asked))
    if predict is None:
        if not sys.stdin.isatty():
            raise click.UsageError(f"say what you expect: --predict, from 1 to {most}")
        predict = _predicted(most, len(asked))
        click.echo("\n".join(experiment.answered(lesson, predict)))
    elif predict > most:
        raise click.BadParameter(f"{predict} is not from 1 to {most}", param_hint="'--predict'")
    click.echo()
    _must_have_loopback()
    sys.stdout.flush()
    if status := _built(experiment.play, course, lesson, click.echo):
        sys.exit(status)
    click.echo()
    click.echo("\n".join(experiment.told(lesson, predict)))


def _predicted(most: int, lines: int) -> int:
    """Asked for until it is one. The question, so many lines, then makes room for what is seen."""

    def number(text: str) -> int:
        nonlocal lines
        if text.strip() not in map(str, range(1, most + 1)):
            lines += 2  # what is wrong, and the question again
            raise click.UsageError(f"{text.strip()!r} is not one of the numbers from 1 to {most}")
        return int(text)

    answer: int = click.prompt("Your answer", value_proc=number)
    if not Console().is_dumb_terminal and lines + 1 < shutil.get_terminal_size().lines:
        click.echo(f"\x1b[{lines + 1}A\x1b[J", nl=False)
    return answer


@learn.command()
@click.argument("lesson", type=LESSON, required=False)
def measure(lesson: Lesson | None) -> None:
    """Measure what you wrote beside ours, where it shows why the lesson matters."""
    course = _course()
    sys.exit(_measure(course, lesson or course.at))


def _measure(course: Course, lesson: Lesson) -> int:
    """Its table, and below it the question; all else that was found is `compare show`'s."""
    if (cell := lesson.words.measure) is None:
        why = f"{lesson.words.title}: {lesson.words.instead}"
        raise click.ClickException(f"there is nothing for compare run to measure in {why}")
    question = "\n".join(Page.here().wrapped(cell.question))
    words = _built(experiment.measured, course, lesson, cell)
    named = "--json" in words
    path = Path(words[words.index("--json") + 1] if named else course.built(lesson) / "run.json")
    click.echo(f"{question}\n$ {shlex.join(('compare', *words))}")
    before = _saved(path)
    status = experiment.measure(words if named else (*words, "--json", str(path)))
    if _saved(path) != before and (run := load(str(path), None)).cells:
        show(partial(show_brief, run))
        click.echo(question)
    return status


def _saved(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


@learn.command()
@click.argument("lesson", type=LESSON)
def reset(lesson: Lesson) -> None:
    """Begin a lesson anew; what you wrote is kept beside it."""
    course = _course()
    for part in lesson.words.part:
        kept = course.reset(lesson, part)
        yours = f"; yours is {kept.name}" if kept else ""
        click.echo(f"{course.path(lesson, part)} is as in the beginning{yours}")


def _must_have_loopback() -> None:
    if fault := loopback_fault():
        raise click.ClickException(fault)


def _aside(key: str, course: Course, lesson: Lesson) -> None:
    """What has the terminal for itself, in the middle of watching."""
    with _own_screen(False):
        try:
            _see(course, lesson, None) if key == "e" else _measure(course, lesson)
        except click.Abort:
            pass
        except click.ClickException as error:
            error.show()
        except CourseError as error:
            click.ClickException(str(error)).show()
        except SystemExit:
            pass
        click.echo("Enter goes back", nl=False)
        sys.stdin.readline()


@contextlib.contextmanager
def _own_screen(own: bool) -> Iterator[None]:
    """Pages go to the terminal's other screen, of which nothing is left; what is to be read again
    to its usual one.
    """
    console = Console()
    dumb = console.is_dumb_terminal
    console.print() if dumb else console.set_alt_screen(own)
    try:
        yield
    finally:
        console.print() if dumb else console.set_alt_screen(not own)


def _draw(lines: list[str]) -> None:
    """A whole page, anew."""
    console = Console(highlight=False, emoji=False)
    if console.is_dumb_terminal:
        console.print()
    else:
        console.clear()
    for number, line in enumerate(lines):
        last = number == len(lines) - 1
        style = "bold" if number == 0 else "dim" if last else _STYLES.get(line.split(" ")[0], "")
        end = "\n" if console.is_dumb_terminal or not last else ""
        console.print(Text(line, style=style), end=end, soft_wrap=True)
