"""Who begins a course in a class is told the variant that is asked for then."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.check.student import known_as
from compare.check.variant import DEFAULT, of_student
from compare.classroom.seeds import seed_of
from compare.learn.judge import variant_of
from compare.learn.lesson import lessons


def start(*words: str) -> Result:
    return CliRunner().invoke(main, ["learn", "start", *words], catch_exceptions=False)


def test_text_of_frames_tells_the_students_own_variant(tmp_path: Path) -> None:
    assert start(str(tmp_path / "net"), "--student", "ana").exit_code == 0
    text = (tmp_path / "net" / "04-frames" / "text.md").read_text(encoding="utf-8")
    assert text.startswith("# Frames")
    assert of_student("ana").words() in text
    assert "variant" not in (tmp_path / "net" / "01-an-echo" / "text.md").read_text("utf-8")


def test_who_is_in_no_class_has_the_text_as_it_is(tmp_path: Path) -> None:
    assert start(str(tmp_path / "net")).exit_code == 0
    assert "variant" not in (tmp_path / "net" / "04-frames" / "text.md").read_text("utf-8")


def test_name_is_the_same_however_it_is_typed() -> None:
    same = ["José@example.org", " jose\u0301@Example.ORG ", "JOSÉ@example.org"]
    assert {known_as(each) for each in same} == {"josé@example.org"}
    assert len({of_student(each) for each in same}) == 1
    assert len({seed_of("00" * 32, each, 1) for each in same}) == 1
    assert known_as(" Ana ") == "Ana"  # no address


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 201])
def test_what_is_no_name_is_refused(name: str, tmp_path: Path) -> None:
    result = start(str(tmp_path / "net"), "--student", name)
    assert result.exit_code == 2
    assert "'--student'" in result.stderr
    assert not (tmp_path / "net").exists()


def test_course_keeps_the_name_as_it_will_be_graded(tmp_path: Path) -> None:
    start(str(tmp_path / "net"), "--student", " Ana@X.edu ")
    state = (tmp_path / "net" / "course.json").read_text(encoding="utf-8")
    assert '"ana@x.edu"' in state


def test_variant_is_of_frames_and_of_who_is_in_a_class() -> None:
    echo, frames = (each.words.part[0] for each in lessons())
    assert variant_of(frames, "ana") == of_student("ana")
    assert variant_of(frames, None) == variant_of(echo, "ana") == DEFAULT
