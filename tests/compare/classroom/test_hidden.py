"""Hidden checks: they count, and are told of nowhere that students can read."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from class_lessons import RIGHT

from .conftest import Grade

pytestmark = [pytest.mark.usefixtures("nothing_left"), pytest.mark.timeout(60)]


def test_hidden_check_counts_and_is_not_named_where_all_can_read(
    grade: Grade, course: Path
) -> None:
    path = course / "course.toml"
    text = path.read_text(encoding="utf-8").replace("hidden = []", 'hidden = ["echo tcp/6"]')
    path.write_text(text, encoding="utf-8")
    graded = grade("import sys; sys.exit('no such luck')")
    assert graded.points == (0, 4)
    seen = {each["name"]: each["visibility"] for each in graded.gradescope["tests"]}
    assert seen.pop("1 echo tcp/6") == "after_published"
    assert set(seen.values()) == {"visible"}
    assert "tcp/6" not in graded.gradescope["output"]
    assert "lesson 1, echo (3 checks): " in graded.gradescope["output"]
    assert graded.gradescope["stdout_visibility"] == "hidden"


def hide(course: Path, *checks: str) -> None:
    path = course / "course.toml"
    names = json.dumps([f"echo {each}" for each in checks])
    path.write_text(path.read_text("utf-8").replace("hidden = []", f"hidden = {names}"), "utf-8")


@pytest.mark.slow
def test_hidden_check_that_comes_first_is_not_told_of(grade: Grade, course: Path) -> None:
    hide(course, "tcp/4")
    graded = grade(RIGHT.replace("with conn:", "if True:").replace("pass", "keep.append(conn)"))
    assert graded.states["tcp/4"] == "failed"
    visible = [e for e in graded.gradescope["tests"] if e["visibility"] == "visible"]
    assert "tcp/4" not in graded.gradescope["output"]
    assert "not asked" not in json.dumps(visible)


TELLS = """
import pathlib, sys
seen = pathlib.Path("seen")
known = seen.read_text() if seen.exists() else ""
print(f"so far {known!r}", file=sys.stderr, flush=True)
def note(data):
    with seen.open("a") as file:
        file.write(f"{len(data)} ")
"""


@pytest.mark.slow
def test_visible_check_shows_nothing_that_a_hidden_one_sent(grade: Grade, course: Path) -> None:
    """Which are asked when all others have been, with a folder of their own."""
    hide(course, "life/0", "tcp/1")
    tells = RIGHT.replace("conn.sendall(data)", "note(data); conn.sendall(data[:-1])")
    graded = grade(TELLS + tells)
    seen = {each["asked"]["check"]: each["finding"]["stderr"] for each in graded.kept["marks"]}
    assert seen["tcp/4"].startswith("so far ''")
    assert "so far ''" in seen["life/0"]
    assert "so far ''" not in seen["tcp/1"]
    order = [line for line in graded.result.stdout.splitlines() if " of 1 " in line]
    assert ["hidden" in each for each in order[:4]] == [False, False, True, True]
