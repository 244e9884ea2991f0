"""What one looks at: the experiment of a lesson, after a prediction, and its cell of the matrix."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable

from compare.learn import program
from compare.learn.course import Course
from compare.learn.lesson import Lesson
from compare.learn.screen import Page

US = (sys.executable, "-P", "-m", "compare")  # -P: nothing is imported from the learner's folder
YOURS = "yours"


def predicted(lesson: Lesson) -> list[str]:
    """The question, and what one may answer, numbered."""
    see = lesson.words.see
    page = Page()
    lines = page.wrapped(see.question)
    for number, choice in enumerate(see.choices, 1):
        lines += page.wrapped(f"  {number}  {choice}", 5)
    return lines


def play(course: Course, lesson: Lesson) -> int:
    """Show it, on this terminal; the exit status. Raises BuildError."""
    see = lesson.words.see
    if see.scene is None:
        return _run((sys.executable, str(lesson.folder / "see.py")))
    source = lesson.source(lesson.words.part[0], course.tongue, 0)
    words = program.command(course.tongue, source, course.built(lesson))
    return _run((*US, "see", "--scene", see.scene, "--", *words))


def told(lesson: Lesson, prediction: int) -> list[str]:
    """What it was, afterwards."""
    see = lesson.words.see
    right = f"{see.right + 1}, as you said" if prediction == see.right + 1 else f"{see.right + 1}"
    page = Page()
    return [*page.wrapped(f"It is {right}: {see.choices[see.right]}"), *page.wrapped(see.then)]


def measured(course: Course, lesson: Lesson) -> tuple[str, ...] | None:
    """The words of `compare run` with the learner's server beside ours, if the lesson has a cell.

    Raises BuildError.
    """
    cell = lesson.words.measure
    if cell is None:
        return None
    part = lesson.words.part[0]
    source = course.path(lesson, part)
    words = program.command(course.tongue, source, course.built(lesson))
    yours = f"{YOURS}={shlex.join(words)}"
    models = ",".join([YOURS, *cell.models])
    return (
        "run",
        "--server",
        yours,
        "--models",
        models,
        "--workloads",
        cell.workload,
        *cell.options,
    )


def measure(words: tuple[str, ...], say: Callable[[str], None]) -> int:
    """Run it, on this terminal; the exit status."""
    say(f"$ {shlex.join(('compare', *words))}")
    return _run((*US, *words))


def _run(words: tuple[str, ...]) -> int:
    """In the foreground: Ctrl-C is for it, and it says what there is to say."""
    with subprocess.Popen(words) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # it has had it, too, and ends
