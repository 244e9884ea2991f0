"""Our own files of each lesson: each step passes its checks and fails the next one's."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from compare.check import runner
from compare.check.bench import Subject
from compare.check.declared import read_limit
from compare.check.runner import Finding, run
from compare.learn import program
from compare.learn.lesson import TONGUES, Lesson, Part, Tongue, lessons

ALL = [
    (lesson, part, tongue)
    for lesson in lessons()
    for part in lesson.words.part
    for tongue in TONGUES
]
EACH = pytest.mark.parametrize(
    ("lesson", "part", "tongue"),
    ALL,
    ids=[f"{lesson.number}-{part.file}-{tongue}" for lesson, part, tongue in ALL],
)
pytestmark = pytest.mark.slow  # the longest ones stand first, as several are taken at a time
NEEDS = {"python": "python3", "c": "cc", "js": "node"}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "PATIENCE_S", 1.0)


def found(part: Part, tongue: Tongue, source: Path, ids: list[str], place: Path) -> list[Finding]:
    if shutil.which(NEEDS[tongue]) is None:
        pytest.skip(f"there is no {NEEDS[tongue]}")
    words = program.command(tongue, source, place)
    limits = dict(read_limit(f"{name}={value}") for name, value in part.limits.items())
    subject = Subject(
        part.profile, words, None, limits, language=tongue, style=part.style, strict=True
    )
    return list(run(subject, ids, 7, lambda text: None))


def words(findings: list[Finding]) -> str:
    return "\n".join(f"{each.id} {each.state}: {each.reason or each.actual}" for each in findings)


@pytest.mark.timeout(240)
@EACH
def test_the_solution_passes_the_lesson_and_all_before(
    lesson: Lesson, part: Part, tongue: Tongue, tmp_path: Path
) -> None:
    steps = lesson.steps(part, tongue)
    asked = {
        check: None
        for each in lessons()
        if each.number <= lesson.number
        for former in each.words.part
        if former.profile == part.profile
        for step in each.steps(former, tongue)
        for check in step.checks
    }
    source = lesson.source(part, tongue, len(steps))
    findings = found(part, tongue, source, list(asked), tmp_path)
    assert {each.state for each in findings if not _of_a_limit(each, part)} == {"passed"}, words(
        findings
    )
    assert len(source.read_text(encoding="utf-8").splitlines()) <= 80


def _of_a_limit(finding: Finding, part: Part) -> bool:
    """Of an earlier lesson's, which is not declared here."""
    return finding.state == "skipped" and finding.kind in ("LIMIT", "STYLE")


@pytest.mark.timeout(120)
@EACH
def test_what_one_begins_with_fails_what_the_lesson_says(
    lesson: Lesson, part: Part, tongue: Tongue, tmp_path: Path
) -> None:
    asked = [check for step in lesson.steps(part, tongue) for check in step.checks]
    findings = found(part, tongue, lesson.source(part, tongue, 0), asked, tmp_path)
    failed = [each.id for each in findings if each.state == "failed"]
    assert failed == part.fails[tongue], words(findings)
    assert failed[0] == asked[0]


@pytest.mark.timeout(240)
@EACH
def test_each_step_passes_its_checks_and_fails_the_next_ones(
    lesson: Lesson, part: Part, tongue: Tongue, tmp_path: Path
) -> None:
    steps = lesson.steps(part, tongue)
    for done in range(1, len(steps)):
        asked = [*steps[done - 1].checks, *steps[done].checks[:1]]
        findings = found(part, tongue, lesson.source(part, tongue, done), asked, tmp_path)
        *passed, last = (each.state for each in findings)
        assert set(passed) == {"passed"}, f"{done}:\n{words(findings)}"
        assert last == "failed", f"{done}:\n{words(findings)}"
