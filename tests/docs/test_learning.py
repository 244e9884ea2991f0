"""What docs/learning.md says is so: its commands run, and say what stands there."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from compare.commands.learn import learn
from compare.host.sock_diag import STATES
from compare.learn.lesson import lessons
from compare.learn.screen import KEYS
from compare.see.scenes import SCENES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "learning.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)


COMMANDS = [line for block in blocks("sh") for line in block.splitlines()]
SAID = [block.split("\n", 1) for block in blocks("text")]  # each a command and what it said
SHOWN = [each for each in SAID if each[0].startswith("$ compare see")]


def run(command: str, folder: Path, status: int = 0) -> str:
    words = shlex.split(command.replace("docs/", f"{ROOT}/docs/"))
    assert words[0] == "compare"
    words = [
        sys.executable if (before, each) == ("--", "python") else each
        for before, each in zip(["", *words], words, strict=False)
    ]
    done = subprocess.run(
        [sys.executable, "-m", "compare", *words[1:]],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def calls(said: str) -> list[str]:
    """The column of calls, in those lines that have one."""
    lines = said.partition("threads\n")[2].partition("\n\n")[0].splitlines()
    return [each for line in lines if re.search("[a-zA-Z]", each := line[6:24].strip())]


@pytest.mark.slow
@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("compare see")])
def test_command_runs(command: str, tmp_path: Path) -> None:
    said = run(command, tmp_path)
    assert "Seen: " in said
    for name in re.findall(r"seen\.\w+", command):
        assert (tmp_path / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("command", "text"),
    [
        pytest.param(command, text, id=command, marks=[pytest.mark.slow] * (number > 0))
        for number, (command, text) in enumerate(SHOWN)
    ],
)
def test_what_is_shown_is_what_comes(command: str, text: str, tmp_path: Path) -> None:
    """The calls; when what changes is a matter of milliseconds."""
    said = run(command.removeprefix("$ "), tmp_path)
    assert calls(said) == calls(text) != []
    assert said.partition(":")[0] == text.partition(":")[0]


@pytest.mark.timeout(60)
def test_failure_that_is_shown_is_what_comes(tmp_path: Path) -> None:
    """But for how long it took, and how slow the machine is."""

    def masked(text: str) -> str:
        return re.sub(r"\d+\.\d s", "so long", text)

    ((command, text),) = [each for each in SAID if each not in SHOWN]
    said = masked(run(command.removeprefix("$ "), tmp_path, status=1))
    assert [line for line in text.splitlines() if masked(line) not in said] == []


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_commands_of_the_course_run_in_order(tmp_path: Path) -> None:
    ours = [each for each in COMMANDS if not each.startswith("compare see")]
    assert ours[:3] == ["compare learn start net --in python", "cd net", "compare learn"]
    assert "12 lessons are in net" in run(ours[0], tmp_path)
    for command in ours[3:]:  # the third one is for a terminal
        failing = command.startswith("compare learn check")
        if command.startswith("compare learn measure"):  # of what does not answer there is nothing
            solution = lessons()[2].folder / "server3.py"
            shutil.copyfile(solution, tmp_path / "net" / "03-a-stream" / "server.py")
        run(command, tmp_path / "net", status=1 if failing else 0)


def test_the_table_has_all_lessons() -> None:
    rows = re.findall(r"^\| (\d+) \| ([^|]+) \| (\d+) \|", PAGE, re.MULTILINE)
    ours = [(each.number, each.words.title, each.words.minutes) for each in lessons()]
    assert [(int(n), title, int(minutes)) for n, title, minutes in rows] == ours


def test_every_key_and_command_of_the_course_is_told_of() -> None:
    keys = re.findall(r"(\w) \w+", KEYS)
    assert [each for each in keys if f"| `{each}` |" not in PAGE] == ["q"]
    named = set(re.findall(r"compare learn (\w+)", PAGE))
    assert named == set(learn.commands)


def test_every_scene_and_every_state_is_told_of() -> None:
    assert {*re.findall(r"--scene (\w+)", PAGE), "hello"} == set(SCENES)
    assert [state for state in STATES.values() if state not in PAGE] == []


def test_paths_of_the_page_exist() -> None:
    for path in re.findall(r"`?((?:docs|blocking|tests)/[\w/.]+\w)", PAGE):
        assert (ROOT / path).exists(), path
