"""Watch what a learner writes: at every save it is checked anew, by a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from compare.check.runner import Finding
from compare.learn import screen
from compare.learn.course import Course
from compare.learn.judge import judge, subject_of
from compare.learn.lesson import Lesson, Part, Tongue, lessons
from compare.learn.program import BuildError

LOOK_S = 0.2  # between two looks at whether it was saved
END_S = 5.0  # that the checks have to take their server with them

_FORK = multiprocessing.get_context("fork")  # all is imported already: the verdict comes sooner

Show = Callable[[list[str]], None]
Said = tuple[str, str | Finding | int]


class Judging:
    """The checks of what lies in a file now, under way."""

    def __init__(self, course: Course, lesson: Lesson, part: Part) -> None:
        self.out, theirs = _FORK.Pipe(duplex=False)
        self._process: BaseProcess = _FORK.Process(
            target=_judge,
            args=(
                *(theirs, lesson, part, course.tongue, course.path(lesson, part)),
                *(course.built(lesson), course.done(lesson, part), course.student),
            ),
        )
        self._process.start()
        theirs.close()

    def end(self) -> None:
        """Whether they are through or not; their server goes with them."""
        if self._process.is_alive() and (pid := self._process.pid):
            os.kill(pid, signal.SIGTERM)
            self._process.join(END_S)
            if self._process.is_alive():
                self._process.kill()
        self._process.join()
        self.out.close()


def _judge(
    out: Connection,
    lesson: Lesson,
    part: Part,
    tongue: Tongue,
    source: Path,
    built: Path,
    done: int,
    student: str | None,
) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            subject = subject_of(part, tongue, source, built, student)
        except BuildError as error:
            out.send(("broken", str(error)))
            return
        for each in judge(lesson, part, subject, done, lambda text: out.send(("asking", text))):
            out.send(("step" if isinstance(each, int) else "finding", each))
        out.send(("end", ""))


class Watch:
    """One lesson after the other, until q. Raises KeyboardInterrupt."""

    def __init__(self, course: Course, show: Show) -> None:
        self._course = course
        self._show = show
        self._news = screen.News()
        self._judging: Judging | None = None
        self._saved = 0.0
        self._key = ""  # the last one, as some are meant only when they come twice

    def run(self, aside: Callable[[str, Lesson], None]) -> None:
        """aside: is called with "e" or "m" to have the terminal for itself for a while."""
        try:
            while True:
                with _keys():
                    key = self._watch()
                if key == "q":
                    return
                self._stop()
                aside(key, self._lesson)
                self._news.remark = ""
        finally:
            self._stop()

    @property
    def _lesson(self) -> Lesson:
        return self._course.at

    @property
    def _part(self) -> Part:
        """That is worked on; the last one when all are done."""
        return self._course.part_at(self._lesson) or self._lesson.words.part[-1]

    def _watch(self) -> str:
        """Until a key is pressed that is not for us."""
        self._draw()
        while True:
            self._look_at_the_file()
            waited: list[int | Connection] = [sys.stdin.fileno()]
            if self._judging is not None:
                waited.append(self._judging.out)
            ready, _, _ = select.select(waited, [], [], LOOK_S)
            if self._judging is not None and self._judging.out in ready:
                self._hear(self._judging)
            if sys.stdin.fileno() in ready:
                key = os.read(sys.stdin.fileno(), 1).decode("ascii", "replace").lower()
                if key in ("q", "", "\x04"):
                    return "q"
                if key in "em":
                    return key
                before, self._key = self._key, key
                self._press(key, again=before == key)
            if ready:
                self._draw()

    def _look_at_the_file(self) -> None:
        try:
            saved = self._course.path(self._lesson, self._part).stat().st_mtime
        except OSError:  # an editor is about to put another one there
            return
        if saved != self._saved:
            remark = "" if self._saved else self._news.remark  # which is of what was begun anew
            self._stop()
            self._saved = saved
            self._news = screen.News(hints=self._news.hints, remark=remark)
            self._judging = Judging(self._course, self._lesson, self._part)
            self._draw()

    def _stop(self) -> None:
        if self._judging is not None:
            self._judging.end()
            self._judging = None
            self._news.asking = ""
            self._saved = 0.0

    def _hear(self, judging: Judging) -> None:
        try:
            name, value = judging.out.recv()
        except EOFError:
            judging.end()
            self._judging = None
            self._news.asking = ""
            return
        news = self._news
        if name == "asking":
            news.asking = value.partition(" ")[2]
        elif name == "broken":
            news.broken = value
        elif name == "finding":
            news.asking = ""
            if value.state == "failed":
                news.failed = value
            elif value.state == "passed":
                news.passed.append(value)
        elif name == "step" and self._course.part_at(self._lesson) is not None:
            self._pass_step(value)

    def _pass_step(self, number: int) -> None:
        course, lesson, part = self._course, self._lesson, self._part
        if number > course.done(lesson, part):
            course.pass_step(lesson, part)
            self._news.hints = 0
        if self._part is not part:  # the next program of this lesson
            self._stop()
            self._news = screen.News(remark=f"{part.file}: done")

    def _press(self, key: str, *, again: bool) -> None:
        news, course, lesson = self._news, self._course, self._lesson
        news.remark = ""
        if key == "h":
            news.hints = min(news.hints + 1, screen.HINTS)
        elif key == "l":
            self._show([*screen.overview(course), "", "any key goes back"])
            os.read(sys.stdin.fileno(), 1)
        elif key == "r" and not again:
            news.remark = f"r again begins {self._part.file} anew; yours is kept beside it"
        elif key == "r":
            kept = course.reset(lesson, self._part)
            self._begin(f"begun anew; yours is {kept.name}")
        elif key == "n" and course.part_at(lesson) is not None and not again:
            news.remark = "this lesson is not done: n again leaves it for now"
        elif key == "n":
            self._turn()
        else:
            news.remark = "" if key.isspace() else f"no such key: {key!r}"

    def _turn(self) -> None:
        """To the next lesson that is not done, or else just to the next one."""
        number = self._lesson.number
        after = [*lessons()[number:], *lessons()[: number - 1]]
        left = [each for each in after if self._course.part_at(each) is not None]
        if not (left or after):
            self._news.remark = "there is no other lesson"
            return
        self._course.turn_to((left or after)[0])
        self._begin("")

    def _begin(self, remark: str) -> None:
        self._stop()
        self._saved = 0.0
        self._key = ""
        self._news = screen.News(remark=remark)

    def _draw(self) -> None:
        height = shutil.get_terminal_size().lines
        self._show(screen.page(self._course, self._lesson, self._news, height))


@contextlib.contextmanager
def _keys() -> Iterator[None]:
    """Each as it is pressed, and not shown."""
    before = termios.tcgetattr(sys.stdin)
    tty.setcbreak(sys.stdin.fileno(), termios.TCSADRAIN)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)
