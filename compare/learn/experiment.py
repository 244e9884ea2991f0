"""What one looks at: the experiment of a lesson, after a prediction, and its cell of the matrix."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable

from compare.learn import program
from compare.learn.course import Course
from compare.learn.lesson import Lesson, Measure
from compare.learn.screen import Page

US = (sys.executable, "-P", "-m", "compare")  # -P: nothing is imported from the learner's folder
YOURS = "yours"

Say = Callable[[str], None]


def question(lesson: Lesson) -> list[str]:
    """What is asked before it is seen."""
    return Page.here().wrapped(lesson.words.see.question)


def choices(lesson: Lesson) -> list[str]:
    """What one may answer, numbered."""
    lines: list[str] = []
    for number, choice in enumerate(lesson.words.see.choices, 1):
        lines += Page.here().wrapped(f"  {number}  {choice}", 5)
    return lines


def answered(lesson: Lesson, prediction: int) -> list[str]:
    """The question again, with the one answer that was given."""
    choice = lesson.words.see.choices[prediction - 1]
    return [*question(lesson), *Page.here().wrapped(f"You say {prediction}: {choice}")]


def play(course: Course, lesson: Lesson, say: Say) -> int:
    """Show it, a line at a time; the exit status. Raises BuildError."""
    see = lesson.words.see
    if see.scene is None:
        return _shown((sys.executable, "-u", str(lesson.folder / "see.py")), say)
    source = lesson.source(lesson.words.part[0], course.tongue, 0)
    words = program.command(course.tongue, source, course.built(lesson))
    return _run((*US, "see", "--scene", see.scene, "--", *words))


def told(lesson: Lesson, prediction: int) -> list[str]:
    """What it was, afterwards."""
    see = lesson.words.see
    if prediction == see.right + 1:
        it_is = f"It is {prediction}, as you said."
    else:
        it_is = f"It is {see.right + 1}: {see.choices[see.right]}"
    return [*Page.here().wrapped(it_is), *Page.here().wrapped(see.then)]


def measured(course: Course, lesson: Lesson, cell: Measure) -> tuple[str, ...]:
    """The words of `compare run` with the learner's server beside ours. Raises BuildError."""
    part = lesson.words.part[0]
    source = course.path(lesson, part)
    words = program.command(course.tongue, source, course.built(lesson))
    yours = " ".join(each if each in program.PLACES else shlex.quote(each) for each in words)
    models = ",".join([YOURS, *cell.models])
    return (
        "run",
        *("--server", f"{YOURS}={yours}"),
        *("--models", models),
        *("--workloads", cell.workload),
        *cell.options,
    )


def measure(words: tuple[str, ...]) -> int:
    """Run it, and show on stderr how far it is; the exit status. Its tables are another command's
    to show.
    """
    return _run((*US, *words), stdout=subprocess.DEVNULL)


def _shown(words: tuple[str, ...], say: Say) -> int:
    """Lines as wide as this terminal is."""
    page = Page.here()
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, encoding="utf-8") as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                for each in page.kept(line.rstrip("\n")):
                    say(each)
        except BaseException:  # nobody reads on, or Ctrl-C: which it has had, too
            process.kill()
            raise
        return process.wait()


def _run(words: tuple[str, ...], stdout: int | None = None) -> int:
    """In the foreground: Ctrl-C is for it, and it says what there is to say."""
    with subprocess.Popen(words, stdout=stdout) as process:
        while True:
            try:
                return process.wait()
            except KeyboardInterrupt:
                continue  # it has had it, too, and ends
