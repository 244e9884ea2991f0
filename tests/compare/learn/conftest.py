"""A small course in the place of ours, and the command in a terminal."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner
from small_course import PROGRAM, SMALL, Learn, Watched
from terminal import Start, Terminal

from compare.__main__ import main
from compare.learn import lesson
from compare.learn.course import Course


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[lesson.Lesson]]:
    """The lessons of a course of two."""
    monkeypatch.setattr(lesson, "LESSONS", SMALL)
    lesson.lessons.cache_clear()
    yield lesson.lessons()
    lesson.lessons.cache_clear()


@pytest.fixture
def course(small: list[lesson.Lesson], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Course:
    """One that has been started, and is where we are."""
    folder = tmp_path / "net"
    started = Course.start(folder, "python")
    monkeypatch.chdir(folder)
    return started


@pytest.fixture
def learn(small: list[lesson.Lesson]) -> Learn:
    return lambda *words: CliRunner().invoke(main, ("learn", *words), catch_exceptions=False)


@pytest.fixture
def watched(start: Start, tmp_path: Path) -> Watched:
    """`compare learn` in a terminal, in a folder."""
    program = tmp_path / "small_course_main.py"
    program.write_text(PROGRAM)

    found = os.pathsep.join([str(tmp_path), *sys.path])
    here = os.environ | {"PYTHONPATH": found, "TERM": "xterm", "LINES": "24", "COLUMNS": "80"}

    def watched(folder: Path, *words: str) -> Terminal:
        argv = ("small_course_main", str(SMALL), "learn", *words)
        return Terminal(start, *argv, cwd=folder, env=here)

    return watched
