"""Do servers make as many handshakes for the driver as for openssl?

    python tests/yardstick/measure_handshakes.py [ROUNDS [SECONDS]]

Interleaved rounds on a machine with two cores, server on the first and client on the last: one
connection at a time, each with a full handshake, by `openssl s_time -new` and by the driver, whose
connections also have one byte echoed. Beside the handshakes a second stands what each costs the
server, which does not depend on how quick the client is. Needs openssl.
"""

from __future__ import annotations

import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import msgspec

from compare.contract.outcome import Outcome
from compare.contract.spec import TLS, Spec, Target
from compare.host import certificate, process
from compare.host.launch import Server
from compare.models.matrix import MODELS, WORKLOADS

SECONDS = int(sys.argv[2]) if len(sys.argv) > 2 else 3
NAMES = ("asyncio", "uvloop", "threaded")
_DONE = re.compile(r"(\d+) connections in \d+ real seconds")


class Made(NamedTuple):
    """Handshakes, in which time, and all that the server has seen."""

    many: int
    took_s: float
    all: int


def by_openssl(server: Server, core: int, authority: Path) -> Made:
    """It ends at a full second, and says itself no better how long it took."""
    command = ["taskset", "-c", str(core), "openssl", "s_time", "-new", "-time", str(SECONDS)]
    command += ["-connect", f"{server.host}:{server.port}", "-CAfile", str(authority)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took_s = time.monotonic() - began
    match = _DONE.search(done.stdout)
    assert match, done.stdout
    return Made(int(match[1]), took_s, int(match[1]))


def by_driver(server: Server, core: int, authority: Path) -> Made:
    spec = Spec(
        workload="tcp-short",
        targets=[Target(server.host, server.port, server.pid)],
        connections=1,
        size=1,
        warmup_s=0.0,
        slice_s=float(SECONDS),
        seed=1,
        pinned=True,
        tls=TLS(authority.read_text(encoding="ascii")),
    )
    command = ["taskset", "-c", str(core), sys.executable, "-m", "compare.driver"]
    done = subprocess.run(command, input=msgspec.json.encode(spec), capture_output=True, check=True)
    (outcome,) = msgspec.json.decode(done.stdout.rpartition(b"\n")[2], type=list[Outcome])
    assert not outcome.errors, (outcome.errors, outcome.details)
    assert outcome.handshakes is not None
    return Made(outcome.operations, outcome.window_ns / 1e9, outcome.handshakes.full)


CLIENTS: dict[str, Callable[[Server, int, Path], Made]] = {
    "openssl s_time": by_openssl,
    "driver": by_driver,
}


def main(rounds: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    mine = certificate.make()
    pairs = [(name, client) for name in NAMES for client in CLIENTS]
    rates: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    costs: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
    with tempfile.TemporaryDirectory() as folder:
        authority = Path(folder, "authority.pem")
        authority.write_text(mine.pem, encoding="ascii")
        for number in range(rounds):
            for pair in random.sample(pairs, len(pairs)):
                name, client = pair
                argv = MODELS[name].argv(WORKLOADS["tcp-short"])
                with Server([*argv, "--tls-cert", mine.path], cores[:1]) as server:
                    before = process.cpu_of_tree_ns(server.pid)
                    made = CLIENTS[client](server, cores[-1], authority)
                    used_ns = process.cpu_of_tree_ns(server.pid) - before
                rates[pair].append(made.many / made.took_s)
                costs[pair].append(used_ns / 1000 / made.all)
            print(number + 1, {pair: round(each[-1]) for pair, each in rates.items()}, flush=True)
    for name, client in pairs:
        pair, base = (name, client), (name, "openssl s_time")
        cost = statistics.median(costs[pair])
        print(
            f"{name:9} {client:15} {statistics.median(rates[pair]):7,.0f}/s  of openssl's: "
            f"{_share(rates[pair], rates[base])}  server CPU {cost:5.0f} µs, of openssl's: "
            f"{_share(costs[pair], costs[base])}"
        )


def _share(values: list[float], base: list[float]) -> str:
    shares = [value / other for value, other in zip(values, base, strict=True)]
    return f"{statistics.median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
