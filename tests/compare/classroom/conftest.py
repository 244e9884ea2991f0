"""Lessons of our own, a course of them, and the command that grades."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import pytest
from class_lessons import hand_in, write_course, write_lessons
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.classroom import locks, rights
from compare.learn import lesson


@pytest.fixture(autouse=True)
def _lessons(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lesson, "LESSONS", write_lessons(tmp_path / "lessons"))
    lesson.lessons.cache_clear()
    # Where this is developed all may read it; test_rights.py has what is refused of that.
    monkeypatch.setattr(rights, "OURS", ())
    # Tests that run beside this one have the same user.
    monkeypatch.setattr(locks, "PLACE", str(tmp_path))
    yield
    lesson.lessons.cache_clear()


@pytest.fixture
def course(tmp_path: Path) -> Path:
    return write_course(tmp_path / "course")


@pytest.fixture
def reachable() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


class Graded(NamedTuple):
    """What came of it: on stdout, and in the files, which say the same."""

    result: Result
    kept: dict[str, Any]
    gradescope: dict[str, Any]
    suite: ElementTree.Element

    @property
    def points(self) -> tuple[float, float]:
        tests = self.gradescope["tests"]
        found = sum(each["score"] for each in tests), sum(each["max_score"] for each in tests)
        assert found == (self.kept["points"], self.kept["maximum"])
        assert f"{found[0]:g} of {found[1]:g} points" in self.result.stdout
        assert f"{found[0]:g} of {found[1]:g} points" in (self.suite.findtext("system-out") or "")
        assert [each.get("name") for each in self.suite.iter("testcase")] == [
            each["name"] for each in tests
        ]
        return found

    @property
    def states(self) -> dict[str, str]:
        return {each["asked"]["check"]: each["state"] for each in self.kept["marks"]}

    def all_say(self, words: str) -> None:
        """That stands on stdout, and in each file."""
        assert words in self.result.stdout
        assert words in json.dumps(self.kept, ensure_ascii=False)
        assert words in "".join(self.suite.itertext()) or any(
            words in (each.get("message") or "") for each in self.suite.iter()
        )
        above = self.gradescope.get("output", "")
        assert words in above or any(words in each["output"] for each in self.gradescope["tests"])


Grade = Callable[..., Graded]


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """Where the files are, which are the grader's alone."""
    folder = tmp_path / "results"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def grade(tmp_path: Path, course: Path, out: Path) -> Grade:
    """Grades code, or what lies at a path."""

    def grade(what: str | Path, *options: str, student: str = "ana") -> Graded:
        path = what if isinstance(what, Path) else hand_in(tmp_path / "handed", what)
        words = ["class", "grade", str(path), "--course", str(course), "--student", student]
        if "--submitted" not in options:
            words += ["--submitted", "2026-05-01T00:00+00:00"]
        for kind in ("json", "junit", "gradescope"):
            words += [f"--{kind}", str(out / kind)]
        result = CliRunner().invoke(main, [*words, *options], catch_exceptions=False)
        assert result.exit_code in (0, 1, 130), result.output
        return read(result, out)

    return grade


def read(result: Result, out: Path) -> Graded:
    kept, gradescope = (
        json.loads((out / kind).read_text(encoding="utf-8")) for kind in ("json", "gradescope")
    )
    return Graded(result, kept, gradescope, ElementTree.parse(out / "junit").getroot())
