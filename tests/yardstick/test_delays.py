"""Latencies of a C server whose delays are known, by slices, by whole windows and in an open loop.

Judges times, so it runs alone: pytest -n 0 -m serial tests/yardstick
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.host.cores import choose
from compare.host.launch import Server
from compare.results.percentiles import percentiles

pytestmark = [pytest.mark.serial, pytest.mark.timeout(120)]

# One in so many takes longer, and where messages are due every 10 ms the next one waits for it.
SHORT_US, LONG_US, EVERY = 2000, 10_000, 25
CONNECTIONS = 16
WITHIN_US = 600.0  # for waking up one of the threads, and for TCP there and back
HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def delays(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    binary = tmp_path_factory.mktemp("delays") / "delays"
    subprocess.run(
        ["cc", "-O2", "-pthread", "-o", binary, HERE / "delays.c"], check=True, timeout=60
    )
    return [str(binary), str(SHORT_US), str(LONG_US), str(EVERY)]


@pytest.fixture(scope="module", autouse=True)
def awake() -> Iterator[None]:
    """Every core has something to do that gives way to all else (SCHED_IDLE, sched(7)).

    A core that has gone to sleep, under a hypervisor above all, takes up to 0.7 ms to wake up.
    That is the machine's doing, and would be in every figure.
    """
    spin = (
        "import os; os.sched_setaffinity(0, {%d}); "
        "os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))\n"
        "while os.getppid() == %d: pass"
    )
    with contextlib.ExitStack() as stack:
        for core in os.sched_getaffinity(0):
            process = subprocess.Popen([sys.executable, "-c", spin % (core, os.getpid())])
            stack.enter_context(process)
            stack.callback(process.kill)
        yield


def drive(command: list[str], **how: Any) -> Outcome:
    """One server, driven as the runner has it driven."""
    cores = choose()
    rate = how.pop("rate", None)
    with Server(command, cores.server) as server:
        spec = Spec(
            workload="tcp-long",
            targets=[Target(server.host, server.port, os.getpid(), rate)],
            connections=CONNECTIONS,
            size=1000,
            warmup_s=0.2,
            seed=1,
            pinned=cores.driver is not None,
            **how,
        )
        done = subprocess.run(
            [sys.executable, "-P", "-m", "compare.driver"],
            input=msgspec.json.encode(spec),
            capture_output=True,
            timeout=60,
            check=True,
        )
    (outcome,) = msgspec.json.decode(done.stdout.rpartition(b"\n")[2], type=list[Outcome])
    return outcome


@pytest.mark.parametrize(
    "how",
    [
        pytest.param({"slices": 40, "slice_s": 0.05}, id="slices"),
        pytest.param({"slices": 1, "slice_s": 2.0}, id="one window"),
        pytest.param({"slices": 20, "slice_s": 0.1, "rate": 1600.0}, id="open loop"),
    ],
)
def test_percentiles_are_those_of_the_planted_delays(
    delays: list[str], how: dict[str, Any]
) -> None:
    seen = percentiles([drive(delays, **how).latency])
    for name, planted in (("p50", SHORT_US), ("p90", SHORT_US), ("p99", LONG_US)):
        value = getattr(seen, name)
        assert value is not None
        assert planted <= value <= planted + WITHIN_US, name
