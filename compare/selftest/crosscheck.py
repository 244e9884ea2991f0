"""Instruments that nobody here wrote, on the same servers: do they see what we see?

sockperf (Debian's package of that name), where it is installed: one connection, one message at a
time, in interleaved rounds; the medians of the rounds' p50 are compared.
"""

from __future__ import annotations

import re
import shutil
import statistics
import subprocess
from collections.abc import Callable

from compare.contract.spec import Spec, Target
from compare.host.cores import Cores
from compare.host.launch import Server
from compare.measure.driver_process import Driver, DriverError
from compare.results.percentiles import percentiles
from compare.selftest import planted

AGREE = 0.10
ROUNDS = 5
SECONDS = 1
SIZE = 100
_P50 = re.compile(r"percentile 50\.000 = +([\d.]+)")  # us


class CrossCheckError(Exception):
    """The other instrument said nothing that could be understood."""


def is_installed() -> bool:
    return shutil.which("sockperf") is not None


def sockperf(protocol: str, cores: Cores) -> float:
    """Its p50 of a round trip in us. Raises CrossCheckError, LaunchError."""
    with Server(planted.command("pong.py", protocol, "sockperf"), cores.server) as server:
        command = ["sockperf", "ping-pong", "-i", server.host, "-p", str(server.port)]
        command += ["-t", str(SECONDS), "-m", str(SIZE), "--full-rtt"]
        command += ["--tcp"] if protocol == "tcp" else []
        if cores.driver is not None:
            command = ["taskset", "-c", str(cores.driver), *command]
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 20)
    if not (found := _P50.search(done.stdout)):
        said = (done.stdout + done.stderr).strip().splitlines()
        raise CrossCheckError(f"sockperf said no p50: {said[-1] if said else done.returncode}")
    return float(found[1])


def ours(protocol: str, cores: Cores) -> float:
    """Our p50 of the same. Raises DriverError, LaunchError."""
    with (
        Driver(cores.driver) as driver,
        Server(planted.command("pong.py", protocol, "plain"), cores.server) as server,
    ):
        (outcome,) = driver.drive(
            Spec(
                workload="udp-echo" if protocol == "udp" else "tcp-long",
                targets=[Target(server.host, server.port, server.pid)],
                connections=1,
                size=SIZE,
                warmup_s=0.4,
                slice_s=SECONDS,
                seed=1,
                pinned=cores.driver is not None,
            ),
            lambda operations: None,
        )
    if (p50 := percentiles([outcome.latency]).p50) is None:
        raise DriverError("too few operations for a median")
    return p50


def compare_medians(
    protocol: str, cores: Cores, told: Callable[[str], None]
) -> tuple[float, float]:
    """The p50 of sockperf and ours, in us: medians of interleaved rounds."""
    theirs, mine = [], []
    for number in range(ROUNDS):
        told(f"sockperf {protocol} {number + 1}/{ROUNDS}")
        theirs.append(sockperf(protocol, cores))
        mine.append(ours(protocol, cores))
    return statistics.median(theirs), statistics.median(mine)
