"""What docs/learning.md says is so: its commands run, and say what stands there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from compare.host.sock_diag import STATES
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
    words = [sys.executable if each == "python" else each for each in words]
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


def test_every_scene_and_every_state_is_told_of() -> None:
    assert {*re.findall(r"--scene (\w+)", PAGE), "hello"} == set(SCENES)
    assert [state for state in STATES.values() if state not in PAGE] == []


def test_paths_of_the_page_exist() -> None:
    for path in re.findall(r"`?((?:docs|blocking|tests)/[\w/.]+\w)", PAGE):
        assert (ROOT / path).exists(), path
