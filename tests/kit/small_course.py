"""A course of two small lessons, in the place of ours."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from click.testing import Result
from terminal import Terminal

from compare.learn import lesson
from compare.learn.course import Course

SMALL = Path(__file__).parents[1] / "compare" / "learn" / "small"
PROGRAM = """
import sys
from pathlib import Path

from compare.learn import lesson

lesson.LESSONS = Path(sys.argv.pop(1))

from compare.__main__ import main

main()
"""

Learn = Callable[..., Result]
Watched = Callable[..., Terminal]


def write(course: Course, number: int, done: int, file: str = "server") -> None:
    """Ours, of when so many steps are done, as what the learner has written."""
    found = lesson.lessons()[number - 1]
    part = next(each for each in found.words.part if each.file == file)
    shutil.copyfile(found.source(part, course.tongue, done), course.path(found, part))
