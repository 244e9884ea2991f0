"""What docs/loops.md says: it names every loop, and its commands run, shortened."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from compare.models.loops import LOOPS
from compare.models.matrix import MODELS
from compare.models.sets import SETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "loops.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
SHORT = ("--duration", "0.1", "--rounds", "1", "--connections", "4")


def test_page_names_every_loop() -> None:
    named = set(re.findall(r"`([\w-]+)`", PAGE))
    assert {each.name for each in LOOPS} <= named
    assert {*SETS["loops"][1]} <= named


def test_checks_that_the_page_says_fail_are_declared() -> None:
    claims = PAGE.partition("## The claims refereed")[2].partition("\n## ")[0]
    told = re.findall(r"^\| `(\w+)`.*\| ([^|]*) \|$", claims, re.MULTILINE)
    assert {name for name, _ in told} >= {each.module for each in LOOPS}
    for name, failed in told:
        if failed not in ("none", "as declared"):
            assert {*failed.split(", ")} == {*MODELS[name].exceptions}


def test_serving_on_a_loop_by_its_name_runs() -> None:
    (command,) = [each for each in COMMANDS if each.startswith("python -m aionet")]
    words = [sys.executable, *shlex.split(command.replace(":7015", ":0"))[1:]]
    with subprocess.Popen(words, stdout=subprocess.PIPE, cwd=ROOT) as server:
        try:
            assert server.stdout is not None
            assert server.stdout.readline().startswith(b"READY tcp://127.0.0.1:")
        finally:
            server.terminate()
        assert server.wait() == 0


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", [each for each in COMMANDS if each.startswith("compare")])
def test_command_runs(command: str) -> None:
    words = [
        sys.executable if word.startswith("python3.") else word for word in shlex.split(command)
    ]
    done = subprocess.run(
        [sys.executable, "-m", *words, *SHORT],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=290,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
