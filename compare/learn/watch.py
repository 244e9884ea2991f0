"""Watch what a learner writes: at every save it is checked anew, by a process of its own."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import sys
import termios
import time
import tty
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

from compare.learn.course import HINTS, Course
from compare.learn.judging import Judging
from compare.learn.lesson import Lesson, Part, lessons
from compare.learn.screen import News, Page

LOOK_S = 0.2  # between two looks at whether it was saved
# What is more than a letter: ECMA-48, 5.4, and what xterm sends for F1 to F4.
ESCAPE = re.compile(rb"\x1b(\[[0-?]*[ -/]*[@-~]|O.|.|$)")

Show = Callable[[list[str]], None]


class Watch:
    """One lesson after the other, until q. Raises KeyboardInterrupt and CourseError."""

    def __init__(self, course: Course, show: Show) -> None:
        self._course = course
        self._show = show
        self._news = News()
        self._judging: Judging | None = None
        self._saved: dict[Path, float] = {}
        self._key = ""  # the last one, as some are meant only when they come twice
        self._part: Part = self._first()
        self._unasked = self._done_besides()

    def run(self, aside: Callable[[str, Lesson], None]) -> None:
        """aside: is called with "e" or "m" to have the terminal for itself for a while."""
        try:
            while True:
                with _keys() as resumed:
                    key = self._watch(resumed)
                if key == "q":
                    return
                self._stop()
                aside(key, self._lesson)
                self._begin("")
        finally:
            self._stop()

    @property
    def _lesson(self) -> Lesson:
        return self._course.at

    def _first(self) -> Part:
        """What is to be worked on; the last part when all are done."""
        return self._course.part_at(self._lesson) or self._lesson.words.part[-1]

    def _done_besides(self) -> list[Part]:
        """What was done another day, and may have been changed since."""
        course, lesson = self._course, self._lesson
        return [
            each
            for each in lesson.words.part
            if each is not self._part
            and course.done(lesson, each) == len(lesson.steps(each, course.tongue))
        ]

    def _watch(self, resumed: Callable[[], bool]) -> str:
        """Until a key is pressed that is not for us."""
        self._draw()
        while True:
            self._look_at_the_files()
            waited: list[int | Connection] = [sys.stdin.fileno()]
            if self._judging is not None:
                waited.append(self._judging.out)
            ready, _, _ = select.select(waited, [], [], LOOK_S)
            if self._judging is not None and self._judging.out in ready:
                self._hear(self._judging)
            if sys.stdin.fileno() in ready:
                pressed = os.read(sys.stdin.fileno(), 64)
                if not pressed or pressed in (b"q", b"Q", b"\x04"):
                    return "q"
                for key in _letters(pressed):
                    if key in "emq":
                        return key
                    again, self._key = self._key == key, key
                    self._press(key, again=again)
            if ready or self._news.asking or resumed():
                self._draw()

    def _look_at_the_files(self) -> None:
        """What has been saved is checked, whichever part it is; first what is worked on."""
        self._course.refresh()
        parts = self._lesson.words.part
        for part in [self._part, *(each for each in parts if each is not self._part)]:
            path = self._course.path(self._lesson, part)
            saved = path.stat().st_mtime if path.exists() else 0.0
            before = self._saved.get(path)
            self._saved[path] = saved
            if saved == before or (before is None and part is not self._part):
                continue
            self._stop()
            remark = self._news.remark if before is None else ""  # of what was begun anew
            self._key = self._key if before is None else ""
            self._part, self._news = part, News(remark=remark)
            if saved:
                self._judging = Judging(self._course, self._lesson, part)
            self._draw()
            return

    def _stop(self) -> None:
        if self._judging is not None:
            self._judging.end()
            self._judging = None
            self._news.asking = ""

    def _hear(self, judging: Judging) -> None:
        try:
            name, value = judging.out.recv()
        except EOFError:
            judging.end()
            self._judging = None
            self._news.asking, self._news.through = "", True
            if self._unasked and not (self._news.failed or self._news.broken):
                self._part = self._unasked.pop(0)
                self._begin("")
            return
        news = self._news
        if name == "asking":
            news.asking, news.since = value.partition(" ")[2], time.monotonic()
        elif name == "broken":
            news.broken = value
        elif name == "finding":
            news.asking = ""
            if value.state == "failed":
                news.failed = value
            elif value.state == "passed":
                news.passed.append(value)
        elif name == "step":
            self._pass_step(value)

    def _pass_step(self, number: int) -> None:
        course, lesson, part = self._course, self._lesson, self._part
        if number <= course.done(lesson, part):
            return
        course.pass_step(lesson, part)
        after = course.part_at(lesson)
        if number == len(lesson.steps(part, course.tongue)) and after is not None:
            self._part = after  # the next program of this lesson
            self._begin(f"{part.file}: done")

    def _press(self, key: str, *, again: bool) -> None:
        news, course, lesson = self._news, self._course, self._lesson
        news.remark = ""
        if key == "h":
            done = course.done(lesson, self._part) == len(lesson.steps(self._part, course.tongue))
            if done:
                news.remark = f"this is done: compare learn hint {lesson.number} has all of them"
            elif course.hints(lesson, self._part) == HINTS:
                news.remark = f"that is all; once more: compare learn hint {lesson.number}"
            else:
                course.take_hint(lesson, self._part)
        elif key == "l":
            self._show([*self._page.overview(course), "", "any key goes back"])
            os.read(sys.stdin.fileno(), 64)
        elif key == "c":
            self._begin("")
        elif key == "r" and not again:
            name = course.path(lesson, self._part).name
            news.remark = f"r again begins {name} anew; yours is kept beside it"
        elif key == "r":
            kept = course.reset(lesson, self._part)
            self._begin("begun anew" + (f"; yours is {kept.name}" if kept else ""))
        elif key == "n" and course.part_at(lesson) is not None and not again:
            news.remark = "this lesson is not done: n again leaves it for now"
        elif key == "n":
            self._turn()
        elif not key.isspace():
            news.remark = f"no such key: {key!r}"

    def _turn(self) -> None:
        """To the next lesson that is not done, or else just to the next one."""
        number = self._lesson.number
        after = [*lessons()[number:], *lessons()[: number - 1]]
        left = [each for each in after if self._course.part_at(each) is not None]
        if not (left or after):
            self._news.remark = "there is no other lesson"
            return
        self._course.turn_to((left or after)[0])
        self._part = self._first()
        self._unasked = self._done_besides()
        self._begin("")

    def _begin(self, remark: str) -> None:
        """What is worked on is asked anew."""
        self._stop()
        self._saved.clear()
        self._key = ""
        self._news = News(remark=remark)

    @property
    def _page(self) -> Page:
        return Page.here()

    def _draw(self) -> None:
        self._show(self._page.of(self._course, self._lesson, self._part, self._news))


def _letters(pressed: bytes) -> str:
    """Without arrows and the like."""
    return ESCAPE.sub(b"", pressed).decode("ascii", "replace")


@contextlib.contextmanager
def _keys() -> Iterator[Callable[[], bool]]:
    """Each as it is pressed, and not shown; whether we were stopped (Ctrl-Z) and went on since."""
    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)
    went_on = []

    def go_on(*ignored: object) -> None:
        tty.setcbreak(descriptor, termios.TCSADRAIN)
        went_on.append(True)

    def resumed() -> bool:
        return bool(went_on and went_on.pop())

    tty.setcbreak(descriptor, termios.TCSADRAIN)
    handler = signal.signal(signal.SIGCONT, go_on)
    try:
        yield resumed
    finally:
        signal.signal(signal.SIGCONT, handler)
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
