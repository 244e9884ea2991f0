"""What docs/class.md says is so: its commands run, in order, in one folder."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from class_lessons import RIGHT, hand_in, write_lessons, write_wheel
from made_up_records import made_up_cell, made_up_round, made_up_run

from compare.classroom import bundle, laid_out
from compare.classroom.course import Words
from compare.host.user import LARGEST, PROCESSES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "class.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
START = (
    "from pathlib import Path; from compare.learn import lesson; "
    "from compare.classroom import rights; rights.OURS = (); lesson.LESSONS = Path({lessons!r}); "
    "from compare.__main__ import main; main()"
)


def run(command: str, folder: Path, lessons: Path) -> subprocess.CompletedProcess[str]:
    words = shlex.split(command.removeprefix("sudo "))
    assert words[0] == "compare"
    if "student" in words:  # a user who is here, or where we are not root, nobody else
        at = words.index("student")
        words[at - 1 : at + 1] = ["--as", "nobody"] if os.geteuid() == 0 else []
    words = [each.replace("=python ", f"={sys.executable} ") for each in words]
    return subprocess.run(
        [sys.executable, "-c", START.format(lessons=str(lessons)), *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """With what the commands name."""
    place = tmp_path / "here"
    place.mkdir(mode=0o700)
    hand_in(place / "submission", RIGHT, "02-echo/echo.py")
    (place / "echo.py").write_text(RIGHT, encoding="utf-8")
    ours = write_wheel(place / f"aionet_compare-{bundle.VERSION}-py3-none-any.whl")
    (place / "wheels").mkdir()
    shutil.copy(ours, place / "wheels")
    write_wheel(place / "wheels" / "click-8.4.0-py3-none-any.whl")
    cells = [
        made_up_cell(
            name,
            (1000.0,) * 3,
            rounds=[made_up_round(1000.0, number=n, cost=cost + n / 100) for n in (1, 2, 3)],
        )
        for name, cost in (("bare-epoll", 5.0), ("yours", 6.0))
    ]
    made = made_up_run(cells, servers={"yours": ["x"]})
    for name in ("ana.json", "bea.json"):
        (place / name).write_bytes(msgspec.json.encode(made))
    return place


@pytest.fixture
def twelve(tmp_path: Path) -> Path:
    """Lessons that are quick to grade."""
    both = write_lessons(tmp_path / "two")
    for number in range(1, 13):
        source = both / ("04-frames" if number == 4 else "01-an-echo")
        name = f"{number:02}-echo" if number != 4 else source.name
        shutil.copytree(source, tmp_path / "twelve" / name)
    return tmp_path / "twelve"


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_commands_run_in_order(place: Path, twelve: Path) -> None:
    for command in COMMANDS:
        graded = "class grade" in command
        done = run(command, place, twelve)
        what = f"{command}\n{done.stdout}{done.stderr}"
        assert done.returncode in ((0, 1) if graded else (0,)), what
        assert "no grade of it" not in done.stderr, what
        if graded:
            # Of twelve lessons one was handed in; the single file takes its host from itself.
            assert re.search(r"\b[0-4](\.\d+)? of (4|7|47) points", done.stdout), what
    for name in ("results.json", "junit.xml", "ana.grade.json", "board.html"):
        assert (place / name).stat().st_size > 300
    assert "leaderboard" in json.loads((place / "results.json").read_text(encoding="utf-8"))
    assert (place / "net101" / "autograder.zip").stat().st_size > 1000
    text = (place / "mine" / "04-frames" / "text.md").read_text(encoding="utf-8")
    assert "## Your variant, ana@example.org" in text


def test_every_option_of_the_class_is_used_on_the_page() -> None:
    for option in ("--lesson", "--as", "--submitted", "--gradescope", "--junit", "--json"):
        assert any(f" {option} " in each and "class grade" in each for each in COMMANDS)
    for option in ("--lessons", "--due", "--wheel"):
        assert any(f" {option} " in each for each in COMMANDS)


def test_what_is_promised_of_numbers_is_so() -> None:
    assert f"at most {PROCESSES:,} processes and threads" in PAGE
    assert f"files of {LARGEST // 1024**2} MiB" in PAGE


def test_what_a_course_may_say_is_in_its_template() -> None:
    template = laid_out.template("course.toml")
    assert [name for name in Words.__struct_fields__ if name not in template] == ["lesson"]


def test_files_of_a_course_are_those_of_the_table(tmp_path: Path, twelve: Path) -> None:
    assert run("compare class new net", tmp_path, twelve).returncode == 0
    made = {
        str(each.relative_to(tmp_path / "net"))
        for each in (tmp_path / "net").rglob("*")
        if each.is_file()
    }
    assert made - {".gitignore"} == set(re.findall(r"^\| `([\w./]+)` \|", PAGE, re.MULTILINE))
