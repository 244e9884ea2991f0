"""Who begins a course in a class is told the variant that is asked for then."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.check.student import known_as
from compare.check.variant import DEFAULT, of_student
from compare.classroom.seeds import seed_of
from compare.learn.course import Course
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


def _named(*, usual: bool) -> str:
    names = (f"student{number}" for number in range(100))
    return next(each for each in names if (of_student(each) == DEFAULT) == usual)


def test_text_says_at_its_beginning_that_a_variant_differs(tmp_path: Path) -> None:
    name = _named(usual=False)
    start(str(tmp_path / "net"), "--student", name)
    text = (tmp_path / "net" / "04-frames" / "text.md").read_text(encoding="utf-8")
    first = text.splitlines()[2]
    assert first.startswith(f"**For your variant, {name}: {of_student(name).short}")
    assert "the end of the text has it" in first
    start(str(tmp_path / "usual"), "--student", _named(usual=True))
    text = (tmp_path / "usual" / "04-frames" / "text.md").read_text(encoding="utf-8")
    assert "For your variant" not in text


def test_hint_and_solution_say_what_a_variant_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = _named(usual=False)
    start(str(tmp_path / "net"), "--student", name)
    monkeypatch.chdir(tmp_path / "net")
    said = CliRunner().invoke(main, ["learn", "hint", "4"], catch_exceptions=False).stdout
    assert said.startswith(f"For your variant, {name}: ")
    assert "variant" not in CliRunner().invoke(main, ["learn", "hint", "1"]).stdout
    course = Course(tmp_path / "net")
    lesson = next(each for each in lessons() if each.number == 4)
    (tmp_path / "lessons" / "04-frames" / "summer1.py").write_text("pass\n", encoding="utf-8")
    course.pass_step(lesson, lesson.words.part[0])
    solved = (tmp_path / "net" / "04-frames" / "solution" / "summer.py").read_text("utf-8")
    assert solved.startswith(f"# For your variant, {name}: {of_student(name).short}")


def test_text_of_another_name_than_course_json_has_is_told_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, usual = _named(usual=False), _named(usual=True)
    start(str(tmp_path / "net"), "--student", name)
    state = tmp_path / "net" / "course.json"
    state.write_text(state.read_text("utf-8").replace(name, usual), encoding="utf-8")
    monkeypatch.chdir(tmp_path / "net")
    said = " ".join(CliRunner().invoke(main, ["learn", "hint", "4"]).stdout.split())
    assert f"the text here is another name's than {usual}, which course.json has" in said
    assert str(of_student(usual)) in said


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
