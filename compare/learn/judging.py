"""The checks of what lies in a file now, under way in a process of their own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from compare.learn.course import Course
from compare.learn.judge import judge, subject_of
from compare.learn.lesson import Lesson, Part, Tongue
from compare.learn.program import BuildError

END_S = 5.0  # that the checks have to take their server with them

_FORK = multiprocessing.get_context("fork")  # all is imported already: the verdict comes sooner


class Judging:
    """Says on `out`, in pairs: what is being asked, each finding, the step that is passed."""

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
    signal.signal(signal.SIGCONT, signal.SIG_DFL)  # the terminal is not ours
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        try:
            subject = subject_of(part, tongue, source, built, student)
        except BuildError as error:
            out.send(("broken", str(error)))
            return
        for each in judge(lesson, part, subject, done, lambda text: out.send(("asking", text))):
            out.send(("step" if isinstance(each, int) else "finding", each))
