"""What is taken of a submission: one file of a lesson, wherever it lies; what is said if not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from class_lessons import RIGHT, hand_in

from compare.classroom.course import lesson_of
from compare.classroom.submission import MissingError, find, others_named

from .conftest import Grade

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(60)]


def test_two_copies_of_a_lesson_are_too_many(grade: Grade, tmp_path: Path) -> None:
    path = hand_in(tmp_path / "two", RIGHT, "old/01-an-echo/echo.py")
    hand_in(path, RIGHT, "new/01-an-echo/echo.py")
    graded = grade(path)
    assert graded.points == (0, 4)
    graded.all_say("new/01-an-echo/echo.py and old/01-an-echo/echo.py are there: only one can be")


def test_link_is_not_said_not_to_be_handed_in(grade: Grade, tmp_path: Path) -> None:
    place = hand_in(tmp_path / "elsewhere", RIGHT) / "01-an-echo"
    (tmp_path / "a" / "01-an-echo").mkdir(parents=True)
    (tmp_path / "a" / "01-an-echo" / "echo.py").symlink_to(place / "echo.py")
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "01-an-echo").symlink_to(place)
    for name, what in (("a", "01-an-echo/echo.py"), ("b", "01-an-echo")):
        graded = grade(tmp_path / name)
        assert graded.points == (0, 4)
        graded.all_say(f"{what} is a link, which is not followed: hand in what it leads to")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_folder_that_cannot_be_read_is_not_said_not_to_be_handed_in(
    grade: Grade, tmp_path: Path
) -> None:
    path = hand_in(tmp_path / "mine", RIGHT)
    (path / "01-an-echo").chmod(0)
    try:
        grade(path).all_say("01-an-echo cannot be read: Permission denied")
    finally:
        (path / "01-an-echo").chmod(0o700)


@pytest.mark.slow
def test_one_file_is_of_one_lesson(grade: Grade, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    path.write_text(RIGHT, encoding="utf-8")
    assert grade(path, "--lesson", "1").points == (4, 4)


@pytest.mark.slow
def test_file_on_top_is_taken_where_one_lesson_is_asked(grade: Grade, tmp_path: Path) -> None:
    assert grade(hand_in(tmp_path / "flat", RIGHT, "echo.py"), "--lesson", "1").points == (4, 4)


@pytest.mark.slow
def test_folder_within_a_folder_is_found(grade: Grade, tmp_path: Path) -> None:
    hand_in(tmp_path / "zip", RIGHT, "net-main/01-an-echo/echo.py")
    assert grade(tmp_path / "zip").points == (4, 4)


@pytest.mark.slow
def test_two_programs_of_one_name_are_told_to_be_too_many_unless_the_course_says_which(
    grade: Grade, tmp_path: Path
) -> None:
    path = hand_in(tmp_path / "both", RIGHT)
    hand_in(path, "int main( {", "01-an-echo/echo.c")
    graded = grade(path)
    assert graded.points == (0, 4)
    graded.all_say("01-an-echo/echo.py and 01-an-echo/echo.c are there")
    hand_in(path, '{"language": "python"}', "course.json")
    assert grade(path).points == (4, 4)


def test_what_is_packed_or_lies_too_deep_is_told_where_nothing_is_found(tmp_path: Path) -> None:
    lesson = lesson_of(1)
    part = lesson.words.part[0]
    deep = tmp_path / "deep" / "1" / "2" / "3" / lesson.name
    deep.mkdir(parents=True)
    (deep / f"{part.file}.py").write_text("print()", encoding="utf-8")
    with pytest.raises(MissingError, match=f"1/2/3/{lesson.name} lies deeper than is looked"):
        find(tmp_path / "deep", lesson, part, alone=False)
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "all.zip").write_bytes(b"PK")
    with pytest.raises(MissingError, match=r"all\.zip is packed: unpack it first"):
        find(tmp_path / "packed", lesson, part, alone=False)


@pytest.mark.parametrize(
    "content", [b'{"student": "\xff"}', b'{"student": "\\ud800"}', b'{"x": %s' % (b"[" * 60_000)]
)
def test_course_json_that_nobody_can_read_names_nobody(tmp_path: Path, content: bytes) -> None:
    """It is a student's: the others of a class are graded all the same."""
    (tmp_path / "course.json").write_bytes(content)
    assert others_named(tmp_path, "ana") == []
