"""How good is the driver? Its rate beside a C client's, against the same C server.

    python tests/yardstick/measure_driver.py [ROUNDS [SECONDS]]

Interleaved rounds on a machine with two cores, server on the first and client on the last:
tcp-long, 64 connections, 1000 bytes, every reply verified by both. The third client is how
echo servers are commonly measured: three processes, each with one blocking socket.

Twice: against a server that sleeps when it has nothing to do, as servers do, and against one
that does not. The C client keeps either busy; the driver, a little slower, lets the first one
fall asleep, and pays for waking it: about 1 us a message on a virtual machine. The second
shows the driver alone. Needs a C compiler.
"""

from __future__ import annotations

import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pool
from pathlib import Path

import msgspec

from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.host.launch import Server

HERE = Path(__file__).parent
CONNECTIONS, SIZE, WARMUP_S = 64, 1000, 0.3
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 1.5


def ours(server: Server, core: int) -> float:
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
    return outcome.operations / outcome.window_ns * 1e9


def in_c(client: Path, server: Server, core: int) -> float:
    words = [str(word) for word in (server.port, CONNECTIONS, SIZE, SECONDS)]
    command = ["taskset", "-c", str(core), str(client), *words]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def one_blocking(task: tuple[str, int, int]) -> float:
    host, port, core = task
    os.sched_setaffinity(0, {core})
    message = b"x" * SIZE
    with socket.create_connection((host, port)) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        operations, began = 0, time.perf_counter()
        while (now := time.perf_counter()) - began < SECONDS:
            sock.sendall(message)
            left = SIZE
            while left:
                left -= len(sock.recv(left))
            operations += 1
    return operations / (now - began)


def three_blocking(server: Server, core: int) -> float:
    with Pool(3) as pool:
        return sum(pool.map(one_blocking, [(server.host, server.port, core)] * 3))


def main(rounds: int) -> None:
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        server_path, client_path = Path(folder, "echo_server"), Path(folder, "echo_client")
        for program in (server_path, client_path):
            source = HERE / f"{program.name}.c"
            subprocess.run(["cc", "-O2", "-o", program, source], check=True)
        servers = {"sleeps": [str(server_path)], "spins": [str(server_path), "spin"]}
        clients = {
            "C": lambda server: in_c(client_path, server, cores[-1]),
            "driver": lambda server: ours(server, cores[-1]),
            "three blocking": lambda server: three_blocking(server, cores[-1]),
        }
        pairs = [(server, client) for server in servers for client in clients]
        rates: dict[tuple[str, str], list[float]] = {pair: [] for pair in pairs}
        for number in range(rounds):
            for kind, name in random.sample(pairs, len(pairs)):
                with Server(servers[kind], cores[:1]) as server:
                    rates[kind, name].append(clients[name](server))
            print(number + 1, {pair: round(each[-1]) for pair, each in rates.items()}, flush=True)
    for (kind, name), values in rates.items():
        shares = [value / base for value, base in zip(values, rates[kind, "C"], strict=True)]
        print(
            f"server {kind:7} {name:15} {statistics.median(values):9,.0f}/s  of C: median "
            f"{statistics.median(shares):.3f}, {min(shares):.3f} to {max(shares):.3f}"
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 7)
