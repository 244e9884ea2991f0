"""A page fits a terminal of 80 x 24, whatever a server, a compiler or a check says."""

from __future__ import annotations

import string

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare.check.catalogue import CHECKS
from compare.check.runner import Finding
from compare.learn.course import Course
from compare.learn.lesson import Lesson
from compare.learn.screen import News, Page

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
    assert max(map(len, lines)) < min(80, width)
    assert all(each.isprintable() for each in lines)
    assert lines[-1].endswith("quit")


def test_what_is_left_out_is_said(course: Course, small: list[Lesson]) -> None:
    failed = Finding(id="tcp/1", kind="MUST", state="failed", took_s=1.0, actual="x " * 900)
    lines = Page(80, 10).of(course, small[0], small[0].words.part[0], News(failed=failed))
    assert "... all of it: compare learn check 1" in lines


def test_calls_are_named_when_that_was_asked_for(course: Course, small: list[Lesson]) -> None:
    failed = Finding(id="tcp/1", kind="MUST", state="failed", took_s=1.0, look_up="recv()")
    (part,) = small[0].words.part
    shown = []
    for _ in range(3):
        lines = Page().of(course, small[0], part, News(failed=failed))
        shown.append(any("look up" in each for each in lines))
        course.take_hint(small[0], part)
    assert shown == [False, False, True]
