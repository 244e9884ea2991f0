"""The lessons that there are: our solutions have all points, in each language, and nothing none."""

from __future__ import annotations

import datetime
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from class_lessons import DUE
from click.testing import CliRunner

from compare.__main__ import main
from compare.check.variant import ALL, DEFAULT, of_student
from compare.classroom import rights
from compare.classroom.laid_out import lay_out
from compare.learn.lesson import SUFFIX, TONGUES, Tongue, lessons

NEEDS = {"python": "python3", "c": "cc", "js": "node"}
NAMES = {of_student(f"student{number}"): f"student{number}" for number in range(100)}


@pytest.fixture(autouse=True)
def _lessons(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ours, and none of the test's own."""
    monkeypatch.setattr(rights, "OURS", ())


def hand_in_ours(folder: Path, tongue: Tongue) -> Path:
    folder.mkdir()
    for lesson in lessons():
        (folder / lesson.name).mkdir()
        for part in lesson.words.part:
            solved = lesson.source(part, tongue, len(lesson.steps(part, tongue)))
            shutil.copy(solved, folder / lesson.name / f"{part.file}{SUFFIX[tongue]}")
    return folder


def graded(folder: Path, submission: Path, student: str, *options: str) -> dict[str, Any]:
    lay_out(folder / "course", [each.number for each in lessons()], DUE)
    words = ["class", "grade", str(submission), "--course", str(folder / "course")]
    words += ["--student", student, "--json", str(folder / "json"), *options]
    words += ["--submitted", (DUE - datetime.timedelta(days=1)).isoformat()]
    if os.geteuid() == 0:
        words += ["--as", "nobody"]
    result = CliRunner().invoke(main, words, catch_exceptions=False)
    assert result.exit_code in (0, 1), result.output
    found: dict[str, Any] = json.loads((folder / "json").read_text(encoding="utf-8"))
    return found


def lost(found: dict[str, Any]) -> list[str]:
    marks = [each for each in found["marks"] if each["earned"] != each["asked"]["points"]]
    return [f"{each['asked']} {each['reason']}" for each in marks]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("tongue", TONGUES)
def test_our_solutions_have_all_points(tongue: Tongue, tmp_path: Path) -> None:
    if shutil.which(NEEDS[tongue]) is None:
        pytest.skip(f"there is no {NEEDS[tongue]}")
    found = graded(tmp_path, hand_in_ours(tmp_path / "ours", tongue), NAMES[DEFAULT])
    assert lost(found) == []
    assert found["points"] == found["maximum"] > 100


@pytest.mark.slow
@pytest.mark.timeout(60)
def test_nothing_has_no_point_of_the_same_maximum(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    found = graded(tmp_path, tmp_path / "empty", "ana")
    assert found["points"] == 0
    assert found["maximum"] > 100


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("variant", ALL, ids=map(str, ALL))
def test_solution_of_frames_is_that_of_a_variant_with_a_few_lines_changed(
    variant: Any, tmp_path: Path
) -> None:
    path = hand_in_ours(tmp_path / "ours", "python") / "04-frames" / "server.py"
    before = path.read_text(encoding="utf-8")
    letter, size = variant.letter, variant.header
    changes = [
        ("MOST = 1024 * 1024", f"MOST = {variant.length(variant.most)}"),
        ("receive(conn, 4)) == 4", f"receive(conn, {size})) == {size}"),
        ('struct.unpack(">I", header)', f'struct.unpack(">{letter}", header)'),
        ('struct.pack(">Iq", 8', f'struct.pack(">{letter}q", {variant.told}'),
    ]
    if variant.counts == "numbers":
        changes += [
            ("length > MOST or length % 4", "length > MOST"),
            ("receive(conn, length)", "receive(conn, 4 * length)"),
            ("len(body) < length", "len(body) < 4 * length"),
        ]
    text = before
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")
    found = graded(tmp_path, tmp_path / "ours", NAMES[variant], "--lesson", "4")
    assert lost(found) == []
