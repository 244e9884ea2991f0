"""What becomes of a learner's program: its next checks, up to the first that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from compare.check.bench import Subject
from compare.check.catalogue import CHECKS
from compare.check.declared import read_limit
from compare.check.runner import Finding, run
from compare.check.variant import DEFAULT, Variant, of_student
from compare.learn import program
from compare.learn.lesson import Lesson, Part, Tongue

SEED = 7
PATIENCE_S = 0.8  # for what takes milliseconds: who waits for a verdict will not wait long


def variant_of(part: Part, student: str | None) -> Variant:
    """Of frames everybody in a class has one, by the name."""
    return of_student(student) if student and part.profile == "frames" else DEFAULT


def subject_of(
    part: Part, tongue: Tongue, source: Path, place: Path, student: str | None = None
) -> Subject:
    """A file as what is checked; `place`: for what a compiler makes. Raises BuildError.

    A lesson may ask what is strict, too.

    student: who has a variant of the protocol that is meant, where there are some.
    """
    return Subject(
        part.profile,
        program.command(tongue, source, place),
        limits=dict(read_limit(f"{name}={value}") for name, value in part.limits.items()),
        language=tongue,
        style=part.style,
        strict=True,
        obeys=True,
        patience_s=PATIENCE_S,
        variant=variant_of(part, student),
    )


def roots_first(asked: Sequence[str]) -> list[str]:
    """The same checks, in the same order but for those that another one needs."""
    ordered: dict[str, None] = {}

    def add(check: str) -> None:
        for each in CHECKS[check].needs:
            if each in asked and each not in ordered:
                add(each)
        ordered[check] = None

    for each in asked:
        if each not in ordered:
            add(each)
    return list(ordered)


def judge(
    lesson: Lesson, part: Part, subject: Subject, done: int, told: Callable[[str], None]
) -> Iterator[Finding | int]:
    """Findings, and after each step that is passed the number of steps that now are.

    It begins with the checks of the step after those that are done; then come those of the steps
    before, which what was written since may have broken, but for what others need: that comes
    before them, so that the root of a failure is shown. It ends with the first failure.
    """
    tongue = subject.language
    assert tongue in ("python", "c", "js")
    steps = lesson.steps(part, tongue)
    known = set[str]()
    for number in range(min(done, len(steps) - 1), len(steps)):
        asked = [check for step in [steps[number], *steps[:number]] for check in step.checks]
        left = [each for each in roots_first(asked) if each not in known]
        for finding in run(subject, left, SEED, told):
            known.add(finding.id)
            yield finding
            if finding.state == "failed":
                return
        yield number + 1
