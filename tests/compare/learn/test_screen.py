"""A page fits a terminal of 80 x 24, whatever a server, a compiler or a check says."""

from __future__ import annotations

import string
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare.check.catalogue import CHECKS
from compare.check.runner import Finding
from compare.learn.course import Course
from compare.learn.lesson import TONGUES, Lesson, lessons
from compare.learn.screen import News, Page

EACH = pytest.mark.parametrize("lesson", lessons(), ids=lambda each: each.name)
TEXT = st.text(st.sampled_from(string.printable + "é漢\x1b\u202e"), max_size=2000)
FINDINGS = st.builds(
    Finding,
    id=st.sampled_from(sorted(CHECKS)),
    kind=st.just("MUST"),
    state=st.just("failed"),
    took_s=st.just(1.0),
    expected=TEXT,
    actual=TEXT,
    likely=TEXT,
    stderr=TEXT,
    seen=st.lists(TEXT, max_size=12),
    look_up=TEXT,
    started=st.booleans(),
)
NEWS = st.builds(
    News,
    asking=st.sampled_from(["", "tcp/12-held"]),
    passed=st.lists(FINDINGS, max_size=60),
    failed=st.none() | FINDINGS,
    broken=st.just("") | TEXT,
    remark=TEXT,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)
@given(NEWS, st.integers(40, 200), st.integers(12, 60), st.integers(0, 3))
def test_a_page_fits(
    course: Course, small: list[Lesson], news: News, width: int, height: int, hints: int
) -> None:
    (part,) = small[0].words.part
    for _ in range(hints):
        course.take_hint(small[0], part)
    lines = Page(width, height).of(course, small[0], part, news)
    assert len(lines) <= min(24, height)
    code = part.step[0].line["python"]  # which is not to be cut
    assert max(len(each) for each in lines if each != code) < min(80, width)
    assert all(each.isprintable() for each in lines)
    assert lines[-1].endswith("quit")


def test_what_is_left_out_is_said(course: Course, small: list[Lesson]) -> None:
    failed = Finding(id="tcp/1", kind="MUST", state="failed", took_s=1.0, actual="x " * 900)
    lines = Page(80, 10).of(course, small[0], small[0].words.part[0], News(failed=failed))
    assert "... all of it: compare learn check 1" in lines


def told(course: Course, lesson: Lesson, news: News, page: Page, hints: int) -> list[str]:
    (part,) = lesson.words.part
    for _ in range(hints):
        course.take_hint(lesson, part)
    return page.of(course, lesson, part, news)


LONG = Finding(
    id="tcp/1",
    kind="MUST",
    state="failed",
    took_s=1.0,
    expected="e " * 200,
    actual="a " * 200,
    likely="l " * 200,
    seen=["s " * 60] * 8,
    stderr="x\n" * 30,
)


@EACH
@pytest.mark.parametrize("size", [(80, 24), (60, 20)])
def test_the_hint_that_was_asked_for_is_whole_whatever_else_there_is_to_say(
    lesson: Lesson, size: tuple[int, int], tmp_path: Path
) -> None:
    for tongue in TONGUES:
        course = Course.start(tmp_path / tongue, tongue)
        for part in lesson.words.part:
            for step in lesson.steps(part, tongue):
                for number in (1, 2, 3):
                    course.take_hint(lesson, part)
                    lines = Page(*size).of(course, lesson, part, News(failed=LONG))
                    rows = sum(-(-max(1, len(each)) // size[0]) for each in lines)
                    assert rows <= size[1]
                    whole = Page(*size).hint(step, course, number)
                    assert whole == [each for each in lines if each in whole]
                    assert "failed  tcp/1" in lines
                course.pass_step(lesson, part)


def test_code_is_shown_as_it_is_to_be_written(course: Course, small: list[Lesson]) -> None:
    code = small[0].words.part[0].step[0].line["python"]
    assert f"  hint 3/3  {code}" in told(course, small[0], News(), Page(80, 24), 3)
    assert code in told(course, small[0], News(), Page(40, 24), 0)


def test_what_a_tiny_terminal_has_no_room_for_is_said_by_commands(
    course: Course, small: list[Lesson]
) -> None:
    lines = told(course, small[0], News(failed=LONG), Page(40, 10), 3)
    assert any(each.startswith("... all of it: compare learn check 1") for each in lines)


@pytest.mark.parametrize(
    "said",
    [
        "Traceback (most recent call last):\n"
        + '  File "a.py", line 1, in <module>\n' * 20
        + '  File "server.py", line 12, in serve\n    int("x")\nValueError: no number: \'x\'\n',
        "server.js:12\n    f();\n    ^\n\nTypeError: no number: 'x'\n"
        "    at serve (server.js:12:5)\n"
        + "    at emit (node:events:1:2)\n" * 20
        + "\nNode.js v20.1.0\n",
    ],
)
def test_an_exception_is_shown_first_and_then_where_it_was(
    course: Course, small: list[Lesson], said: str
) -> None:
    failed = Finding(id="tcp/1", kind="MUST", state="failed", took_s=1.0, stderr=said)
    for height in (24, 14):
        lines = told(course, small[0], News(failed=failed), Page(80, height), 0)
        at = next(n for n, each in enumerate(lines) if each.startswith("  stderr"))
        assert lines[at].endswith("Error: no number: 'x'")
        assert "server.py" in "".join(lines[at:]) or "server.js:12:5" in "".join(lines[at:])
        assert "Traceback" not in "".join(lines)


def test_a_lesson_is_said_to_pass_when_nothing_more_is_asked(
    course: Course, small: list[Lesson]
) -> None:
    (part,) = small[0].words.part
    for _ in part.step:
        course.pass_step(small[0], part)
    passing = "All of this lesson passes."
    assert passing not in "\n".join(told(course, small[0], News(), Page(), 0))
    assert passing in "\n".join(told(course, small[0], News(through=True), Page(), 0))


def test_what_is_not_there_is_not_said_to_be_done(course: Course, small: list[Lesson]) -> None:
    (part,) = small[0].words.part
    for _ in part.step:
        course.pass_step(small[0], part)
    course.path(small[0], part).unlink()
    first, *lines = told(course, small[0], News(), Page(), 0)
    assert first == "1 A stream: without 1-a-stream/server.py"
    assert "is not there: put it back, or r begins anew." in "".join(lines)


def test_calls_are_named_when_that_was_asked_for(course: Course, small: list[Lesson]) -> None:
    failed = Finding(id="tcp/1", kind="MUST", state="failed", took_s=1.0, look_up="recv()")
    (part,) = small[0].words.part
    shown = []
    for _ in range(3):
        lines = Page().of(course, small[0], part, News(failed=failed))
        shown.append(any("look up" in each for each in lines))
        course.take_hint(small[0], part)
    assert shown == [False, False, True]
