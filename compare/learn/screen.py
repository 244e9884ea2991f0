"""What a learner sees: a page of at most 24 lines of 80 columns, whatever is to be said."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field

from compare.check.catalogue import CHECKS
from compare.check.runner import Finding
from compare.learn.course import SOLUTION, Course
from compare.learn.lesson import Lesson, Part, Step, lessons
from compare.report.words import clean

WIDTH, HEIGHT = 80, 24
NAME = 10  # columns of what a row is about
KEYS = "h hint  e experiment  m measure  l list  r reset  n next  q quit"
HINTS = 3


@dataclass
class News:
    """How far the checks are. asking: under way. broken: what the compiler said."""

    asking: str = ""
    passed: list[Finding] = field(default_factory=list)
    failed: Finding | None = None
    broken: str = ""
    hints: int = 0  # that were asked for, of the step that is worked on
    remark: str = ""  # to a key


def hint(step: Step, course: Course, number: int) -> str:
    """The first is a question, the second names the call, the third has the line."""
    return (step.question, step.call[course.tongue], step.line[course.tongue])[number - 1]


def page(course: Course, lesson: Lesson, news: News, height: int = HEIGHT) -> list[str]:
    """Lines; the first is the title, and the last one the keys."""
    part = course.part_at(lesson)
    head = [title(course, lesson, part), wrapped(lesson.words.idea)[0]]
    foot = ["", KEYS]
    if news.remark:
        foot.insert(1, wrapped(news.remark)[0])
    body = ["", *_body(course, lesson, part, news)]
    room = max(3, min(HEIGHT, height) - len(head) - len(foot))
    if len(body) > room:
        number = lesson.number
        body = [*body[: room - 1], f"... all of it: compare learn check {number}"]
    return [*head, *body, *foot]


def title(course: Course, lesson: Lesson, part: Part | None) -> str:
    where = f"{lesson.number} {lesson.words.title}"
    if part is None:
        return f"{where}: done"
    steps = len(lesson.steps(part, course.tongue))
    name = course.path(lesson, part).relative_to(course.folder)
    return f"{where}: step {course.done(lesson, part) + 1} of {steps}, {name}"


def _body(course: Course, lesson: Lesson, part: Part | None, news: News) -> list[str]:
    lines = []
    if news.passed:
        lines += wrapped("passed  " + " ".join(each.id for each in news.passed), NAME - 2)[:2]
    if news.asking:
        lines.append(f"asking  {news.asking} ...")
    if news.broken:
        lines += ["It does not compile:", *_cut(clean(news.broken.expandtabs()).splitlines(), 14)]
    if news.failed is not None:
        lines += failure(news.failed, said=2 if news.hints else 4)
    if part is None:
        return lines if news.failed or news.broken else lines + _done(course, lesson)
    if not (news.failed or news.broken or news.asking or news.passed):
        lines += [f"Read {lesson.name}/{lesson.text.name}, then write; each save is checked."]
    if news.hints:
        step = lesson.steps(part, course.tongue)[course.done(lesson, part)]
        for number in range(max(1, news.hints - 1), news.hints + 1):
            lines += row(f"hint {number}/{HINTS}", hint(step, course, number), 4)
        if words := course.for_variant(lesson):
            lines += wrapped(words)[:3]
    return lines


def _done(course: Course, lesson: Lesson) -> list[str]:
    return wrapped(
        f"All of this lesson passes. Ours is in {lesson.name}/{SOLUTION}/; the end of "
        f"{lesson.text.name} says what is beyond it. n: the next lesson."
        if lesson.number < len(lessons())
        else f"All of this lesson passes, and it is the last. Ours is in {lesson.name}/{SOLUTION}/."
    )


def failure(finding: Finding, said: int = 4) -> list[str]:
    """said: lines of what the server was doing."""
    check = CHECKS[finding.id]
    if not finding.started:
        return [f"failed  {finding.id}", *row("", finding.actual, 4), *_last(finding, 6)]
    where = f" (byte {finding.at_byte:,})" if finding.at_byte is not None else ""
    lines = [f"failed  {finding.id}"]
    lines += row("check", check.what, 2)
    lines += row("expected", finding.expected, 2)
    lines += row("actual", finding.actual + where, 3)
    lines += row("likely", finding.likely, 3)
    lines += row("look up", finding.look_up or check.calls, 2)
    for number, text in enumerate(finding.seen[:said]):
        lines += row("server" if number == 0 else "", text, 1)
    return lines + _last(finding, 1)


def _last(finding: Finding, lines: int) -> list[str]:
    said = [each for each in clean(finding.stderr).splitlines() if each.strip()][-lines:]
    return [
        line
        for number, each in enumerate(said)
        for line in row("" if number else "stderr", each, 1)
    ]


def row(name: str, text: str, lines: int) -> list[str]:
    """A name and what belongs to it, at most so many lines."""
    texts = _cut(wrapped(text, 0, WIDTH - NAME - 3), lines)
    names = [name] + [""] * (len(texts) - 1)
    return [f"  {each:<{NAME}}{text}" for each, text in zip(names, texts, strict=True)]


def wrapped(text: str, indent: int = 0, width: int = WIDTH - 1) -> list[str]:
    found: list[str] = []
    for each in clean(text).splitlines() or [""]:
        found += textwrap.wrap(each, width, subsequent_indent=" " * indent) or [""]
    return found


def _cut(lines: Sequence[str], most: int) -> list[str]:
    cut = [each if len(each) < WIDTH else f"{each[: WIDTH - 5]} ..." for each in lines[:most]]
    if len(lines) > most:
        cut[-1] = f"{cut[-1][: WIDTH - NAME - 8].rstrip()} ..."
    return cut


def overview(course: Course) -> list[str]:
    """All lessons, a line each: what is done, and what is worked on."""
    lines = []
    for lesson in lessons():
        parts = lesson.words.part
        done = sum(course.done(lesson, part) for part in parts)
        steps = sum(len(lesson.steps(part, course.tongue)) for part in parts)
        mark = ">" if lesson is course.at else " "
        state = "done" if done == steps else f"{done} of {steps}"
        lines.append(
            f"{mark}{lesson.number:>3} {lesson.words.title:<26} {state:<8}"
            f"{lesson.words.minutes:>4} min  {lesson.words.idea}"[: WIDTH - 1]
        )
    return lines
