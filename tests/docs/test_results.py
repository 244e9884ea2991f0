"""What docs/results.md says runs: its commands, one after the other, on two runs that were made."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
WORKFLOWS = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
SHORT = ("--rounds", "1", "--duration", "0.1", "--workloads", "tcp-long", "--connections", "2")


def compare(words: list[str], folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "compare", *words],
        cwd=folder,
        env=os.environ | {"COMPARE_STORE": str(folder / "history.sqlite3")},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    for _ in range(2):
        done = compare(["run", *SHORT, "--models", "epoll"], folder)
        assert done.returncode == 0, done.stderr
    for command in COMMANDS:
        words = shlex.split(command)
        if words[:3] == ["git", "worktree", "add"]:
            (folder / words[3]).symlink_to(ROOT)
            continue
        assert words[0] == "compare"
        short = ["--rounds", "1", "--duration", "0.1"] if words[1] == "run" else []
        done = compare([*words[1:], *short], folder)
        # Rounds of a tenth of a second tell nothing, and both say so.
        told = {"diff": {3}, "run": {0, 1, 3}}.get(words[1], {0})
        assert done.returncode in told, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
    made = {path.name for path in folder.iterdir()}
    assert {
        "report.html",
        "run.json",
        "run.csv",
        "run.md",
        "light.svg",
        "dark.svg",
        "histograms",
    } <= made


def test_steps_of_the_workflow_are_options_that_there_are() -> None:
    (text,) = (each for each in WORKFLOWS if "compare run" in each)
    for command in ("run", "diff"):
        known = subprocess.run(
            [sys.executable, "-m", "compare", command, "--help"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        (used,) = re.findall(rf"compare {command} (.*?)(?:;|>>)", text, re.DOTALL)
        for option in re.findall(r"--[a-z-]+", used):
            assert option in known, option
