"""Do servers make as many handshakes for the driver as for openssl?

    python tests/yardstick/measure_handshakes.py [ROUNDS [SECONDS [TICKETS]]]

Interleaved rounds on a machine with two cores, server on the first and client on the last: one
connection at a time, each with a full handshake, by `openssl s_time -new -verify` and by the
driver. The driver's connections have one byte echoed, too, and what such an echo takes on an open
connection is measured beside, to be taken off. Beside the handshakes a second stands what each
costs the server. Needs openssl.

After a handshake a server of TLS 1.3 sends two session tickets, which `s_time` leaves unread and
every other client takes. So that both make the same handshake they are left out here, unless as
many TICKETS are asked for.
"""

from __future__ import annotations

import importlib.util
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
TICKETS = int(sys.argv[3]) if len(sys.argv) > 3 else 0
FASTNET = ("aiofastnet",) if importlib.util.find_spec("aiofastnet") else ()
NAMES = ("asyncio", "uvloop", *FASTNET, "threaded")
# No option of a server's says how many; each loads its certificates by this.
_SO_MANY_TICKETS = f"""
import ssl
load = ssl.SSLContext.load_cert_chain
def with_tickets(context, *args, **options):
    context.num_tickets = {TICKETS}
    return load(context, *args, **options)
ssl.SSLContext.load_cert_chain = with_tickets
"""
_DONE = re.compile(r"(\d+) connections in \d+ real seconds")


class Made(NamedTuple):
    """Handshakes, in which time, and all that the server has seen."""

    many: int
    took_s: float
    all: int


def by_openssl(server: Server, core: int, authority: Path) -> Made:
    """It ends at a full second, and says itself no better how long it took."""
    command = ["taskset", "-c", str(core), "openssl", "s_time", "-new", "-time", str(SECONDS)]
    command += ["-verify", "3"]  # as the driver does
    command += ["-connect", f"{server.host}:{server.port}", "-CAfile", str(authority)]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    took_s = time.monotonic() - began
    match = _DONE.search(done.stdout)
    assert match, done.stdout
    return Made(int(match[1]), took_s, int(match[1]))


def by_driver(server: Server, core: int, authority: Path) -> Made:
    """A handshake and an echo for each connection."""
    outcome = driven("tcp-short", server, core, authority)
    assert outcome.handshakes is not None
    return Made(outcome.operations, outcome.window_ns / 1e9, outcome.handshakes.full)


def echoes(server: Server, core: int, authority: Path) -> Made:
    """One connection, and an echo again and again; its handshake is part of what the server did."""
    outcome = driven("tcp-long", server, core, authority)
    return Made(outcome.operations, outcome.window_ns / 1e9, outcome.operations)


def driven(workload: str, server: Server, core: int, authority: Path) -> Outcome:
    spec = Spec(
        workload=workload,
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
    return outcome


OPENSSL, DRIVER, ECHO, WITHOUT = "openssl s_time", "driver", "an echo", "driver, no echo"
CLIENTS: dict[str, Callable[[Server, int, Path], Made]] = {
    OPENSSL: by_openssl,
    DRIVER: by_driver,
    ECHO: echoes,
}


def main(rounds: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    mine = certificate.make()
    pairs = [(name, client) for name in NAMES for client in CLIENTS]
    took: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}  # µs for each
    cost: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}  # of it the server's
    with tempfile.TemporaryDirectory() as folder:
        authority = Path(folder, "authority.pem")
        authority.write_text(mine.pem, encoding="ascii")
        Path(folder, "sitecustomize.py").write_text(_SO_MANY_TICKETS, encoding="ascii")
        paths = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
        for number in range(rounds):
            for pair in random.sample(pairs, len(pairs)):
                name, client = pair
                argv = MODELS[name].argv(WORKLOADS["tcp-short"])
                argv = ["env", f"PYTHONPATH={paths}", *argv, "--tls-cert", mine.path]
                with Server(argv, cores[:1]) as server:
                    before = process.cpu_of_tree_ns(server.pid)
                    made = CLIENTS[client](server, cores[-1], authority)
                    used_ns = process.cpu_of_tree_ns(server.pid) - before
                took[pair].append(made.took_s * 1e6 / made.many)
                cost[pair].append(used_ns / 1000 / made.all)
            print(number + 1, {pair: round(each[-1]) for pair, each in took.items()}, flush=True)
    for name in NAMES:
        for found in (took, cost):
            found[name, WITHOUT] = [
                both - echo
                for both, echo in zip(found[name, DRIVER], found[name, ECHO], strict=True)
            ]
        for client in (OPENSSL, DRIVER, ECHO, WITHOUT):
            pair, base = (name, client), (name, OPENSSL)
            print(
                f"{name:10} {client:15} {statistics.median(took[pair]):6,.0f} µs, of openssl's: "
                f"{_share(took[pair], took[base])}  server CPU {statistics.median(cost[pair]):5.0f}"
                f" µs, of openssl's: {_share(cost[pair], cost[base])}"
            )


def _share(values: list[float], base: list[float]) -> str:
    shares = [value / other for value, other in zip(values, base, strict=True)]
    return f"{statistics.median(shares):.3f} ({min(shares):.3f} to {max(shares):.3f})"


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
