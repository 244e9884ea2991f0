"""What a learner sees: a page that fits the terminal, whatever is to be said."""

from __future__ import annotations

import textwrap
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from compare.check.catalogue import CHECKS
from compare.check.runner import Finding
from compare.learn.course import HINTS, SOLUTION, Course
from compare.learn.lesson import Lesson, Part, Step, lessons
from compare.report.words import clean

WIDTH, HEIGHT = 80, 24  # at most, and where nothing says how much there is
NARROWEST, LOWEST = 40, 10
NAME = 12  # columns of what a row is about
KEYS = "h hint  e experiment  m measure  c check  l list  r reset  n next  q quit"
LOOKS_UP = 2  # hints, from which on the calls are named
AMPLE = (12, 6, 4, 3, 2)  # lines for each thing that is said; the first that fit


@dataclass
class News:
    """How far the checks of a part are. asking: under way, and since when. broken: why none."""

    asking: str = ""
    since: float = 0.0
    passed: list[Finding] = field(default_factory=list)
    failed: Finding | None = None
    broken: str = ""
    remark: str = ""  # to a key


def hint(step: Step, course: Course, number: int) -> str:
    """The first is a question, the second names the call, the third has the line."""
    return (step.question, step.call[course.tongue], step.line[course.tongue])[number - 1]


class Page:
    """Lays out what is to be said on so many columns and lines."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        self._width = max(NARROWEST, min(WIDTH, width)) - 1
        self._height = max(LOWEST, min(HEIGHT, height))

    def of(self, course: Course, lesson: Lesson, part: Part, news: News) -> list[str]:
        """Lines; the first is the title, and the last ones the keys."""
        head = [self.cut(title(course, lesson, part, news)), *self.wrapped(lesson.words.idea)[:2]]
        foot = ["", *self.wrapped(news.remark)[:1]] if news.remark else [""]
        foot += self.wrapped(KEYS)
        room = self._height - len(head) - len(foot) - 1
        for lines in AMPLE:
            body = list(self._body(course, lesson, part, news, lines))
            if len(body) <= room:
                break
        else:
            body = [*body[: room - 1], f"... all of it: compare learn check {lesson.number}"]
        return [*head, "", *body, *foot]

    def _body(
        self, course: Course, lesson: Lesson, part: Part, news: News, lines: int
    ) -> Iterator[str]:
        path = course.path(lesson, part)
        if not path.exists():
            name = path.relative_to(course.folder)
            yield from self.wrapped(f"{name} is not there: put it back, or r begins anew.")
            return
        if news.passed:
            names = " ".join(each.id for each in news.passed)
            yield from self.wrapped(f"passed  {names}", 8)[:lines]
        if news.asking:
            took = time.monotonic() - news.since
            yield f"asking  {news.asking} ..." + (f" {took:.0f} s" if took >= 1 else "")
        if news.broken:
            why, *said = clean(news.broken.expandtabs()).splitlines()
            yield from self.wrapped(f"failed  {why}", 8)[:lines]
            yield from self._shortened(said, 2 * lines)
        hints = course.hints(lesson, part)
        if news.failed is not None:
            yield from self.failure(news.failed, lines, looks_up=hints >= LOOKS_UP)
        steps = lesson.steps(part, course.tongue)
        done = course.done(lesson, part)
        if done == len(steps):
            if not (news.asking or news.failed or news.broken):
                yield from self._done(course, lesson)
            return
        if not (news.failed or news.broken or news.asking or news.passed):
            text = f"Read {lesson.name}/{lesson.text.name}, then write; each save is checked."
            yield from self.wrapped(text)
        for number in range(1, hints + 1):
            yield from self.row(f"hint {number}/{HINTS}", hint(steps[done], course, number), lines)
        if hints and (words := course.for_variant(lesson)):
            yield from self.wrapped(words)[:3]

    def _done(self, course: Course, lesson: Lesson) -> list[str]:
        if (left := course.part_at(lesson)) is not None:
            return self.wrapped(f"All of it passes. Go on with {course.path(lesson, left).name}.")
        more = "n: the next lesson." if lesson.number < len(lessons()) else "It was the last one."
        return self.wrapped(
            f"All of this lesson passes. Ours is in {lesson.name}/{SOLUTION}/; the end of "
            f"{lesson.text.name} says what is beyond it. {more}"
        )

    def failure(self, finding: Finding, lines: int = 4, *, looks_up: bool = True) -> Iterator[str]:
        """lines: at most, for each thing that is said of it."""
        check = CHECKS[finding.id]
        yield f"failed  {finding.id}"
        if not finding.started:
            yield from self.row("", finding.actual, 2 * lines)
            yield from self._last(finding, 2 * lines)
            return
        where = f" (byte {finding.at_byte:,})" if finding.at_byte is not None else ""
        yield from self.row("check", check.what, lines)
        yield from self.row("expected", finding.expected, lines)
        yield from self.row("actual", finding.actual + where, lines)
        yield from self.row("likely", finding.likely, lines)
        if looks_up:
            yield from self.row("look up", finding.look_up or check.calls, lines)
        for number, text in enumerate(finding.seen[:lines]):
            yield from self.row("server" if number == 0 else "", text, (lines + 1) // 2)
        yield from self._last(finding, lines // 2)

    def _last(self, finding: Finding, lines: int) -> Iterator[str]:
        said = [each for each in clean(finding.stderr).splitlines() if each.strip()]
        for number, each in enumerate(said[len(said) - lines :] if lines else []):
            yield from self.row("" if number else "stderr", each, 1)

    def row(self, name: str, text: str, lines: int) -> list[str]:
        """A name and what belongs to it, at most so many lines."""
        texts = self._shortened(self.wrapped(text, 0, self._width - NAME), lines)
        names = [name] + [""] * (len(texts) - 1)
        return [f"  {each:<{NAME - 2}}{text}" for each, text in zip(names, texts, strict=True)]

    def wrapped(self, text: str, indent: int = 0, width: int | None = None) -> list[str]:
        found: list[str] = []
        for each in clean(text).splitlines() or [""]:
            lines = textwrap.wrap(each, width or self._width, subsequent_indent=" " * indent)
            found += lines or [""]
        return found

    def cut(self, line: str) -> str:
        return line if len(line) <= self._width else f"{line[: self._width - 4]} ..."

    def _shortened(self, lines: Sequence[str], most: int) -> list[str]:
        cut = [self.cut(each) for each in lines[:most]]
        if len(lines) > most:
            cut[-1] = f"{cut[-1][: self._width - NAME - 4].rstrip()} ..."
        return cut

    def overview(self, course: Course) -> list[str]:
        """All lessons, a line each: what is done, and what is worked on."""
        lines = []
        for lesson in lessons():
            parts = lesson.words.part
            done = sum(course.done(lesson, part) for part in parts)
            steps = sum(len(lesson.steps(part, course.tongue)) for part in parts)
            mark = ">" if lesson is course.at else " "
            state = "done" if done == steps else f"{done} of {steps} steps"
            files = ", ".join(course.path(lesson, part).name for part in parts)
            lines.append(
                self.cut(
                    f"{mark}{lesson.number:>3} {lesson.words.title:<22} {state:<14}"
                    f"{lesson.words.minutes:>4} min  {files}"
                )
            )
        return lines


def title(course: Course, lesson: Lesson, part: Part, news: News) -> str:
    where = f"{lesson.number} {lesson.words.title}"
    name = course.path(lesson, part).relative_to(course.folder)
    steps, done = len(lesson.steps(part, course.tongue)), course.done(lesson, part)
    if done < steps:
        return f"{where}: step {done + 1} of {steps}, {name}"
    if news.failed or news.broken:
        return f"{where}: was done, and fails now, {name}"
    return f"{where}: done" if course.part_at(lesson) is None else f"{where}: done, {name}"
