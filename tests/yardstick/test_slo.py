"""The rate that keeps a promise, of a server whose p99 is a known function of the rate.

Judges times, so it runs alone: pytest -n 0 -m serial tests/yardstick
"""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from compare.results.records import Run

pytestmark = [pytest.mark.serial, pytest.mark.timeout(600)]

SERVICE_US = 500.0
SLO_US = 5000.0
NEAR = 0.08  # of the true rate, for one run; each round's p99 varies by a tenth
HERE = Path(__file__).parent


def p99_us(rate: float, service_us: float = SERVICE_US, arrivals: int = 1_000_000) -> float:
    """Of the queue M/D/1: from arrival to the end of service (Lindley's recursion, 1952)."""
    chance = random.Random(1)
    wait, found = 0.0, []
    for _ in range(arrivals):
        found.append(wait + service_us)
        wait = max(0.0, wait + service_us - chance.expovariate(rate / 1e6))
    found.sort()
    return found[len(found) * 99 // 100]


def true_rate() -> float:
    """The highest with a p99 below the promise."""
    low, high = 0.0, 1e6 / SERVICE_US
    while high - low > 5:
        middle = (low + high) / 2
        low, high = (middle, high) if p99_us(middle) <= SLO_US else (low, middle)
    return low


def test_rate_that_keeps_a_promise_is_the_true_one(tmp_path: Path) -> None:
    binary, kept = tmp_path / "queue", tmp_path / "run.json"
    subprocess.run(["cc", "-O2", "-o", binary, HERE / "queue.c"], check=True, timeout=60)
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "compare", "run", "--unchecked"),
            *("--server", f"queue={binary} {SERVICE_US:.0f}", "--models", "queue"),
            *("--workloads", "tcp-long", "--slo", f"{SLO_US:.0f}us", "--seed", "1"),
            *("--json", str(kept), "--store", str(tmp_path / "history")),
        ],
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    run = msgspec.json.decode(kept.read_bytes(), type=Run)
    (cell,) = [each for each in run.cells if each.loop == "open"]
    assert cell.pace is not None, cell.reasons
    assert cell.pace.rate == pytest.approx(true_rate(), rel=NEAR)
