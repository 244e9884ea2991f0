"""The same code measured in two runs, again and again, and what `compare diff` makes of it.

Whatever moves from run to run is in it. Judges times, so it runs alone: pytest -n 0 -m serial
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [pytest.mark.serial, pytest.mark.timeout(300)]

PAIRS = 6
WORSE = 2  # one in twenty is called so by chance: three of six once in 450 times
QUICK = ("run", "--quick", "--models", "epoll,bare-epoll", "--workloads", "tcp-long")


def compare(*words: str) -> int:
    command = [sys.executable, "-m", "compare", *words]
    return subprocess.run(command, capture_output=True, timeout=60).returncode


def test_same_code_is_seldom_called_worse_than_itself(tmp_path: Path) -> None:
    statuses = []
    for number in range(PAIRS):
        pair = [str(tmp_path / f"{number}{side}.json") for side in "ab"]
        assert [compare(*QUICK, "--json", each) for each in pair] == [0, 0]
        statuses.append(compare("diff", *pair))
    assert set(statuses) <= {0, 1, 3}
    assert statuses.count(1) <= WORSE
