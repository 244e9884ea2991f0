"""What do 10,000 idle connections, or one that does not read, cost everybody else?

    python tests/yardstick/measure_limits.py [ROUNDS] [asyncio|uvloop]

Interleaved rounds against `python -m aionet serve echo`, server on the first core, driver on the
last: tcp-long, 99 connections, 1000 bytes. `idle` holds 10,000 more; `idle, unlimited` the same
with every timeout lifted, so the two differ by the sweep; `stalled` has one more connection that
sends all it can and reads nothing. Then the sweep by itself: CPU with 10,000 idle connections
and no load, beside the same with every timeout lifted.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator

import msgspec

from compare.contract.histogram import merge, percentile_us
from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.host.launch import Server
from compare.host.process import cpu_ns, size

CONNECTIONS, SIZE, WARMUP_S, SECONDS, IDLE, REST_S = 99, 1000, 0.3, 1.5, 10_000, 5.0
UNLIMITED = [
    word
    for name in ("idle", "message", "write", "half-closed")
    for word in (f"--{name}-timeout", "none")
]
CASES: dict[str, tuple[int, bool, list[str]]] = {  # idle connections, one stalled, options
    "alone": (0, False, []),
    "idle": (IDLE, False, []),
    "idle, unlimited": (IDLE, False, UNLIMITED),
    "stalled": (0, True, []),
}


@contextlib.contextmanager
def holding(server: Server, idle: int, stalled: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:

        def connect() -> socket.socket:
            address = (server.host, server.port)
            return stack.enter_context(socket.create_connection(address))

        for _ in range(idle):
            sock = connect()
            sock.sendall(b"x")
            sock.recv(1)
        if stalled:
            sock = connect()
            sock.settimeout(0.3)
            with contextlib.suppress(TimeoutError):
                while True:
                    sock.sendall(bytes(1 << 20))
        yield


def drive(server: Server, core: int) -> Outcome:
    spec = Spec(
        workload="tcp-long",
        targets=[Target(server.host, server.port, server.pid)],
        connections=CONNECTIONS,
        size=SIZE,
        warmup_s=WARMUP_S,
        slice_s=SECONDS,
        seed=1,
        pinned=True,
    )
    command = ["taskset", "-c", str(core), sys.executable, "-m", "compare.driver"]
    done = subprocess.run(command, input=msgspec.json.encode(spec), capture_output=True, check=True)
    (outcome,) = msgspec.json.decode(done.stdout.rpartition(b"\n")[2], type=list[Outcome])
    assert not outcome.errors, outcome.errors
    return outcome


def main(rounds: int, loop: str) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    cores = sorted(os.sched_getaffinity(0))
    p99: dict[str, list[float]] = {name: [] for name in CASES}
    cpu: dict[str, list[float]] = {name: [] for name in CASES}
    growth: list[int] = []
    for number in range(rounds):
        for name in random.sample(list(CASES), len(CASES)):
            idle, stalled, options = CASES[name]
            command = [sys.executable, "-m", "aionet", "serve", "echo", "--loop", loop, *options]
            with Server(command, cores[:1]) as server:
                before = size(server.pid).rss_kb
                with holding(server, idle, stalled):
                    if stalled:
                        growth.append(size(server.pid).rss_kb - before)
                    outcome = drive(server, cores[-1])
            assert outcome.server is not None
            p99[name].append(percentile_us(merge([outcome.latency]), 99) or 0)
            operations = sum(each.turn_operations for each in outcome.slices)
            cpu[name].append(outcome.server.cpu_ns / operations / 1000)
        print(number + 1, {name: round(each[-1]) for name, each in p99.items()}, flush=True)
    base = "alone"
    for name in CASES:
        to = [a / b for a, b in zip(p99[name], p99[base], strict=True)]
        print(
            f"{name:16} p99 {statistics.median(p99[name]):6.0f} us, of {base}: median "
            f"{statistics.median(to):.3f}, {min(to):.3f} to {max(to):.3f}; "
            f"{statistics.median(cpu[name]):.2f} us of CPU an operation"
        )
    print(f"the server grew by at most {max(growth)} KB for the one that stalled")
    for name in ("idle", "idle, unlimited"):
        idle, _, options = CASES[name]
        command = [sys.executable, "-m", "aionet", "serve", "echo", "--loop", loop, *options]
        with Server(command, cores[:1]) as server, holding(server, idle, stalled=False):
            began = cpu_ns(server.pid)
            time.sleep(REST_S)
            share = (cpu_ns(server.pid) - began) / 1e9 / REST_S
        print(f"{name}: at rest {share:.3%} of a core")


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 7,
        sys.argv[2] if len(sys.argv) > 2 else "asyncio",
    )
