"""Where server and driver run, and what is said where they are not apart."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest

ECHO = str(Path(__file__).parents[1] / "check" / "servers" / "tcp.py")
MINE = sorted(os.sched_getaffinity(0))
TINY = [
    "--rounds",
    "1",
    "--duration",
    "0.1",
    "--connections",
    "4",
    "--workloads",
    "tcp-long",
    "--seed",
    "1",
    "--json",
    "-",
]


def cells_of(cores: Collection[int], *words: str) -> dict[str, dict[str, Any]]:
    """The cells of a run that may use these cores, by model."""
    done = subprocess.run(
        [sys.executable, "-m", "compare", "run", *TINY, "--json", "-", *words],
        capture_output=True,
        text=True,
        timeout=50,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    assert done.returncode == 0, done.stderr
    return {cell["model"]: cell for cell in json.loads(done.stdout)["cells"]}


def test_one_core_for_both_is_told_and_nobody_else_is_blamed() -> None:
    """The driver waits for the server there, which is no other program."""
    (cell,) = cells_of(MINE[:1], "--models", "bare-epoll").values()
    assert cell["verdicts"] == ["not-pinned"]
    assert "other programs" not in "; ".join(cell["reasons"])


@pytest.mark.skipif(len(MINE) < 2, reason="there is one core")
def test_own_server_runs_on_the_cores_of_its_description(tmp_path: Path) -> None:
    """All of them; and where the driver's is among them, that is said of this server alone."""
    start = (
        "import os, pathlib, runpy, sys;"
        f"pathlib.Path({str(tmp_path)!r}, 'cores').write_text(repr(os.sched_getaffinity(0)));"
        f"runpy.run_path({ECHO!r}, run_name='__main__')"
    )
    words = json.dumps([sys.executable, "-c", start, "none", "{port}"])
    config = tmp_path / "servers.toml"
    config.write_text(f"[server.mine]\ncommand = {words}\ncores = {MINE[:2]}\n")
    cells = cells_of(MINE[:2], "--models", "bare-epoll", "--config", str(config), "--unchecked")
    assert (tmp_path / "cores").read_text() == repr({*MINE[:2]})
    assert "not-pinned" in cells["mine"]["verdicts"]
    assert "not-pinned" not in cells["bare-epoll"]["verdicts"]
