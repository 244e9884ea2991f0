"""What a learner sees: a page that fits the terminal, whatever is to be said."""

from __future__ import annotations

import re
import shutil
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
# As Python and Node name what nobody has caught.
EXCEPTION = re.compile(r"(?:\w+\.)*\w*(?:Error|Exception|Interrupt|Exit)\b.*")


@dataclass
class News:
    """How far the checks of a part are. asking: under way, and since when. broken: why none.

    through: nothing more will be asked of what lies there.
    """

    asking: str = ""
    since: float = 0.0
    passed: list[Finding] = field(default_factory=list)
    failed: Finding | None = None
    broken: str = ""
    through: bool = False
    remark: str = ""  # to a key


class Page:
    """Lays out what is to be said on so many columns and lines."""

    def __init__(self, width: int = WIDTH, height: int = HEIGHT) -> None:
        self._width = max(NARROWEST, min(WIDTH, width)) - 1
        self._height = max(LOWEST, min(HEIGHT, height))

    @classmethod
    def here(cls) -> Page:
        """As large as this terminal is; where there is none, as one usually is."""
        return cls(*shutil.get_terminal_size((WIDTH, HEIGHT)))

    def of(self, course: Course, lesson: Lesson, part: Part, news: News) -> list[str]:
        """Lines; the first is the title, and the last ones the keys.

        Only a line of code may be wider than the terminal, which breaks it and copies it whole.
        """
        head = [self.cut(title(course, lesson, part, news)), *self.wrapped(lesson.words.idea)[:2]]
        foot = ["", *self.wrapped(news.remark)[:1]] if news.remark else [""]
        foot += self.wrapped(KEYS)
        room = self._height - len(head) - len(foot) - 1
        return [*head, "", *self._fitting(course, lesson, part, news, room), *foot]

    def _fitting(
        self, course: Course, lesson: Lesson, part: Part, news: News, room: int
    ) -> list[str]:
        """What there is to say: hints are whole, the last one last of all to be left out."""
        hints = self._hints(course, lesson, part)
        for told in (hints, hints[-1:]):
            said = [line for each in told for line in each]
            for lines in (*AMPLE, *[1] * bool(said)):
                body = [*self._body(course, lesson, part, news, lines), *said]
                if self._rows(body) <= room:
                    return body
        whole = f"... all of it: compare learn check {lesson.number}"
        if said and self._rows(said) < room:
            while self._rows([*body[: -len(said)], whole, *said]) > room:
                body.pop(-len(said) - 1)
            return [*body[: -len(said)], whole, *said]
        if said:
            whole = f"... all of it: compare learn check {lesson.number}, or hint {lesson.number}"
            body = said
        while self._rows([*body, whole]) > room:
            body.pop()
        return [*body, self.cut(whole)]

    def _rows(self, lines: Sequence[str]) -> int:
        """That they take on the terminal."""
        return sum(max(1, -(-len(each) // (self._width + 1))) for each in lines)

    def _hints(self, course: Course, lesson: Lesson, part: Part) -> list[list[str]]:
        """Those that were asked for."""
        steps, done = lesson.steps(part, course.tongue), course.done(lesson, part)
        if done == len(steps):
            return []
        taken = course.hints(lesson, part)
        found = [self.hint(steps[done], course, number) for number in range(1, taken + 1)]
        if found and (words := course.for_variant(lesson)):
            found[-1] += self.wrapped(words)[:3]
        return found

    def hint(self, step: Step, course: Course, number: int) -> list[str]:
        """One, whole: the first is a question, the second names the call, the third has the line,
        as it is to be written.
        """
        name = f"hint {number}/{HINTS}"
        if number < HINTS:
            return self.row(name, (step.question, step.call[course.tongue])[number - 1])
        code = [clean(each) for each in step.line[course.tongue].strip("\n").splitlines()]
        if max(map(len, code)) <= self._width - NAME:
            return self._named(name, code)
        return [f"  {name}", *code]

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
        if news.failed is not None:
            looks_up = course.hints(lesson, part) >= LOOKS_UP
            yield from self.failure(news.failed, lines, looks_up=looks_up)
        elif course.done(lesson, part) == len(lesson.steps(part, course.tongue)):
            if news.through and not news.broken:
                yield from self._done(course, lesson)
        elif not (news.broken or news.asking or news.passed):
            text = f"Read {lesson.name}/{lesson.text.name}, then write; each save is checked."
            yield from self.wrapped(text)

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
        """The end of what it said on stderr; of an exception first what it is, and then where."""
        said = [each for each in clean(finding.stderr).splitlines() if each.strip()]
        named = [at for at, each in enumerate(said) if EXCEPTION.fullmatch(each)]
        if named:
            at = named[-1]
            after = [each for each in said[at + 1 :] if each.startswith("    at ")]
            yield from self.row("stderr", said[at], max(lines, 2))
            said = after[:2] or said[:at][-2:]
        for number, each in enumerate(said[max(0, len(said) - lines) :] if lines else []):
            yield from self.row("" if number or named else "stderr", each, 1)

    def row(self, name: str, text: str, lines: int | None = None) -> list[str]:
        """A name and what belongs to it, at most so many lines."""
        texts = self.wrapped(text, 0, self._width - NAME)
        return self._named(name, texts if lines is None else self._shortened(texts, lines))

    def _named(self, name: str, texts: Sequence[str]) -> list[str]:
        names = [name] + [""] * (len(texts) - 1)
        return [f"  {each:<{NAME - 2}}{text}" for each, text in zip(names, texts, strict=True)]

    def wrapped(self, text: str, indent: int = 0, width: int | None = None) -> list[str]:
        found: list[str] = []
        for each in clean(text).splitlines() or [""]:
            lines = textwrap.wrap(each, width or self._width, subsequent_indent=" " * indent)
            found += lines or [""]
        return found

    def kept(self, line: str) -> list[str]:
        """A line that is laid out already, broken between words where it is too wide."""
        indent = " " * (len(line) - len(line.lstrip()) + 4)
        lines = textwrap.wrap(
            line,
            self._width,
            subsequent_indent=indent,
            replace_whitespace=False,
            break_on_hyphens=False,
        )
        return lines or [""]

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
            done, steps = course.progress(lesson)
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
    path = course.path(lesson, part)
    name = path.relative_to(course.folder)
    if not path.exists():
        return f"{where}: without {name}"
    if course.done(lesson, part) < len(lesson.steps(part, course.tongue)):
        done, steps = course.progress(lesson)
        return f"{where}: step {done + 1} of {steps}, {name}"
    if news.failed or news.broken:
        return f"{where}: was done, and fails now, {name}"
    return f"{where}: done" if course.part_at(lesson) is None else f"{where}: done, {name}"
