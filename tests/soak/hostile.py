"""A hostile hour in ten minutes: what a server with default limits owes to everybody else.

    python tests/soak/hostile.py [--loop uvloop] [--minutes 10]

Beside one server process: a process of attackers, one of each kind that has ever hurt a server of
ours, each beginning anew as soon as it was dealt with; and a process of witnesses, ordinary clients
who ask something every 50 ms. It exits 1 unless memory stayed within what the limits say, no
witness waited longer than 50 ms more than once in a hundred times, nobody got wrong bytes or lost a
connection, the counters add up, and the log has less than 1,000 lines.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from soak import HERE, REPORT_S, Server

import aionet

MOST_S = 0.05  # for 99 of 100 questions
MOST_LINES = 1000
SPARE_KB = 64 * 1024
MIB = 1 << 20

LIMITS = aionet.Limits()
CERTIFICATE = (
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 1 "
    "-subj /CN=127.0.0.1"
)


class Side:
    """A process of clients: `attack` or `witness`."""

    def __init__(self, name: str, ports: dict[str, int]) -> None:
        self.name = name
        self.process = subprocess.Popen(
            [sys.executable, str(HERE / "hostile_clients.py"), name, json.dumps(ports)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def end(self) -> dict[str, object]:
        """What came of it. Raises SystemExit if it has failed; it has said why."""
        heard, _ = self.process.communicate()
        if self.process.returncode:
            raise SystemExit(f"WRONG: a client of {self.name} was not treated as promised")
        result: dict[str, object] = json.loads(heard)
        return result


def most_memory(before: int, connections: int) -> int:
    """KB: what may wait for each, an answer and a delivery under way, and what is spare."""
    each = max(LIMITS.write_buffer, LIMITS.outbox) + 2 * MIB
    return before + connections * each // 1024 + SPARE_KB


def run(loop: str, minutes: float, folder: Path) -> list[str]:
    """What went wrong: nothing, one hopes."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    subprocess.run(
        [*CERTIFICATE.split(), "-keyout", key, "-out", certificate], check=True, capture_output=True
    )
    server = Server(folder / "stderr", "hostile_server.py", loop, str(certificate), str(key))
    faults = []
    try:
        before, _ = server.size()
        sides = [Side(name, server.ports) for name in ("attack", "witness")]
        began, most = time.monotonic(), 0
        with contextlib.suppress(KeyboardInterrupt):
            while (spent := time.monotonic() - began) < minutes * 60:
                time.sleep(min(REPORT_S, minutes * 6))
                if any(side.process.poll() is not None for side in sides):
                    break
                resident, descriptors = server.size()
                connections = sum(each["open"] for each in server.ask().values())
                most = max(most, resident)
                if resident > most_memory(before, connections):
                    faults.append(f"{resident:,} KB for {connections} connections")
                lines = server.stderr.count("\n")
                print(
                    f"{spent:5.0f} s  {connections:4} open  {resident:8,} KB  "
                    f"{descriptors:5} descriptors  {lines:5} lines in the log",
                    flush=True,
                )
        results = [side.end() for side in sides]
        print(f"memory: {before:,} KB at first, {most:,} at most")
        faults += judge(server, *results)
    finally:
        server.kill()
    return faults


def judge(server: Server, lives: dict[str, object], waits: dict[str, list[float]]) -> list[str]:
    faults = []
    print("lives:", ", ".join(f"{name} {number}" for name, number in lives.items()))
    for name, each in waits.items():
        each.sort()
        p99 = each[int(len(each) * 0.99)]
        print(
            f"{name:8} {len(each):6} asked, p50 {each[len(each) // 2] * 1e3:.2f} ms, "
            f"p99 {p99 * 1e3:.2f} ms, most {each[-1] * 1e3:.1f} ms"
        )
        if p99 > MOST_S:
            faults.append(f"{name}: one in a hundred witnesses waited {p99 * 1e3:.0f} ms")
    for name, picture in server.stop().items():
        closed = picture["closed"]
        print(f"{name:8} accepted {picture['accepted']:7,}  {dict(sorted(closed.items()))}")
        if picture["open"] or picture["accepted"] != sum(closed.values()):
            faults.append(f"{name}: the counters do not add up")
    if (lines := server.stderr.count("\n")) >= MOST_LINES:
        faults.append(f"{lines} lines in the log, of which the last: {server.stderr[-500:]}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp())
    try:
        faults = run(args.loop, args.minutes, folder)
    finally:
        shutil.rmtree(folder)
    for fault in faults:
        print(f"WRONG: {fault}")
    print("failed" if faults else "nobody else noticed, and everything adds up")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
