"""What docs/models.md says: it names every model, and its commands run, shortened."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from compare.models.matrix import MODELS
from compare.models.own_servers import from_config
from compare.models.sets import SETS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
COMMANDS = [
    line
    for block in re.findall(r"^```sh\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    for line in block.splitlines()
]
FRAMEWORKS = [model.module for model in MODELS.values() if model.group == "frameworks"]
SHORT = {
    "run": ("--duration", "0.1", "--rounds", "1", "--connections", "4"),
    "scale": ("--duration", "0.1", "--connections", "4", "--idle", "10", "--rounds", "1"),
}


def test_page_names_every_model() -> None:
    named = set(re.findall(r"`([\w-]+)`", PAGE))
    assert {name for name, model in MODELS.items() if not model.reference} <= named


def test_page_has_a_command_for_every_set_but_the_default() -> None:
    text = "\n".join(COMMANDS)
    assert [name for name in SETS if f"--set {name} " not in text] == ["default"]


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("command", COMMANDS, ids=COMMANDS)
def test_command_runs(command: str, tmp_path: Path) -> None:
    words = [
        sys.executable if word.startswith("python3.") else word for word in shlex.split(command)
    ]
    assert words[0] == "compare"
    if "tests/strangers/servers.toml" in words:
        for each in FRAMEWORKS:
            pytest.importorskip(each, reason=f"{each} is not installed: [frameworks]")
    # What a configuration calls `python` is the one that has them.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    done = subprocess.run(
        [sys.executable, "-m", "compare", *words[1:], *SHORT[words[1]]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PATH": path},
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


def test_servers_from_documentation_are_all_there() -> None:
    models = from_config(ROOT / "tests" / "strangers" / "servers.toml")
    frameworks = {name for name, model in MODELS.items() if model.group == "frameworks"}
    assert {f"{name}-docs" for name in frameworks} <= {model.name for model in models}
    for model in models:
        assert (ROOT / model.command[1]).is_file()
