"""An hour of trouble in ten minutes: connects, resets, stalls and oversize lines at full speed.

    python tests/soak/soak.py [--loop uvloop] [--connections 2000000] [--minutes 10]

One server process with an echo, a line handler and a chat room; clients in this process, which
come from many addresses so that ports in TIME_WAIT do not run out. Every few seconds a line
says how it stands. It ends after so many connections or minutes, whichever comes first, and
exits 1 unless descriptors and memory stayed flat, the counters add up, every trouble was
answered by its close reason, and nothing was said on stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import json
import os
import random
import re
import socket
import struct
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
IP_BIND_ADDRESS_NO_PORT = 24
RESET = struct.pack("ii", 1, 0)
HELD = 40  # clients of the slow kinds at a time
REPORT_S = 5.0
WARM_UP = 0.2  # of the time; what memory and descriptors are then is what they must stay at
GROWTH_KB = 8 * 1024
SPARE_DESCRIPTORS = 16
DEADLINE_S = 20.0


class Server:
    """The process of `program`, and what it says of itself."""

    def __init__(self, stderr: Path, program: str, *args: str) -> None:
        command = [sys.executable, "-W", "error", str(HERE / program), *args]
        self._stderr = stderr
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr.open("wb")
        )
        self.ports: dict[str, int] = self._hear()

    def _hear(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit(f"the server is gone: {self.stderr}")
        return json.loads(line)

    @property
    def stderr(self) -> str:
        return self._stderr.read_text()

    def ask(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(b"\n")
        self._process.stdin.flush()
        picture: dict[str, Any] = self._hear()
        return picture

    def stop(self) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.close()
        picture: dict[str, Any] = self._hear()
        if self._process.wait(DEADLINE_S) != 0:
            raise SystemExit(f"the server ended badly: {self.stderr}")
        return picture

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def size(self) -> tuple[int, int]:
        """Resident KB and open descriptors."""
        proc = Path(f"/proc/{self._process.pid}")
        (resident,) = re.findall(r"^VmRSS:\s+(\d+)", (proc / "status").read_text(), re.MULTILINE)
        return int(resident), len(os.listdir(proc / "fd"))


class Trouble:
    """What clients do, counted by what should come of it."""

    def __init__(self, ports: dict[str, int], seed: int) -> None:
        self._ports = ports
        self._random = random.Random(seed)
        self.began: Counter[str] = Counter()
        self.expected: Counter[tuple[str, str]] = Counter()  # (server, reason)
        self.wrong: list[str] = []
        self._held: list[tuple[float, socket.socket]] = []

    @property
    def connections(self) -> int:
        return self.began.total()

    def connect(self, name: str) -> socket.socket:
        sock = socket.socket()
        sock.settimeout(DEADLINE_S)
        sock.setsockopt(socket.IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, 1)
        sock.bind((f"127.0.{self._random.randint(1, 8)}.{self._random.randint(1, 250)}", 0))
        sock.connect(("127.0.0.1", self._ports[name]))
        self.began[name] += 1
        return sock

    # The quick kinds.

    def talk(self) -> None:
        data = self._random.randbytes(self._random.randint(1, 2000))
        with self.connect("echo") as sock:
            sock.sendall(data)
            echoed = b""
            while len(echoed) < len(data) and (piece := sock.recv(65536)):
                echoed += piece
        if echoed != data:
            self.wrong.append(f"echoed {len(echoed)} of {len(data)} bytes, or others")
        self.expected["echo", "eof"] += 1

    def talk_in_lines(self) -> None:
        line = b"x" * self._random.randint(0, 1000) + b"\n"
        with self.connect("lines") as sock:
            sock.sendall(line * 3)
            sock.shutdown(socket.SHUT_WR)
            with sock.makefile("rb") as file:
                if file.read() != line * 3:
                    self.wrong.append("three lines came back otherwise")
        self.expected["lines", "eof"] += 1

    def reset(self) -> None:
        name = self._random.choice(("echo", "lines", "chat"))
        with self.connect(name) as sock:
            if self._random.random() < 0.7:
                sock.sendall(b"hello")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        self.expected[name, "reset"] += 1

    def say_too_much(self) -> None:
        name = self._random.choice(("lines", "chat"))
        with self.connect(name) as sock, contextlib.suppress(ConnectionResetError):
            sock.sendall(b"y" * 1100)
            while sock.recv(65536):
                pass
        self.expected[name, "oversize"] += 1

    def visit(self) -> None:
        with self.connect("chat") as sock:
            sock.sendall(b"m%d\n" % self.connections)
            sock.recv(65536)
            sock.shutdown(socket.SHUT_WR)
            while sock.recv(65536):
                pass
        self.expected["chat", "eof"] += 1

    # The slow kinds: held until the server has had enough of them.

    def hold(self) -> None:
        """Start one that stalls, trickles or is silent, and let go of those that are done."""
        now = time.monotonic()
        for began, sock in list(self._held):
            if now - began > 6:
                self._held.remove((began, sock))
                self._end(sock)
        if len(self._held) >= HELD:
            return
        kind = self._random.choice(("stall", "trickle", "silence"))
        if kind == "stall":
            sock = self.connect("echo")
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    sock.send(b"z" * 262144)
            self.expected["echo", "slow-reader"] += 1
        elif kind == "trickle":
            sock = self.connect("lines")
            sock.sendall(b"unfinished")
            self.expected["lines", "slow-message"] += 1
        else:
            sock = self.connect("echo")
            self.expected["echo", "idle"] += 1
        self._held.append((now, sock))

    def _end(self, sock: socket.socket) -> None:
        """The server must have closed or reset it by now."""
        sock.setblocking(False)
        try:
            while sock.recv(1 << 20):
                pass
        except BlockingIOError:
            self.wrong.append("a client that stalled, trickled or was silent was kept")
        except OSError as error:
            if error.errno not in (errno.ECONNRESET, errno.EPIPE, errno.ETIMEDOUT):
                self.wrong.append(f"a held client got {error}")
        sock.close()

    def finish(self) -> None:
        time.sleep(6)
        for _, sock in self._held:
            self._end(sock)


QUICK = ("talk", "talk", "talk_in_lines", "reset", "reset", "say_too_much", "visit")


def make_trouble(trouble: Trouble, stop: threading.Event, seed: int) -> None:
    choose = random.Random(seed).choice
    kinds = [getattr(trouble, name) for name in QUICK]
    try:
        while not stop.is_set():
            for _ in range(200):
                choose(kinds)()
            trouble.hold()
    except BaseException as error:
        trouble.wrong.append(f"a client failed: {error!r}")
        stop.set()


def soak(loop: str, connections: int, minutes: float, stderr: Path) -> list[str]:
    """What went wrong: nothing, one hopes."""
    server = Server(stderr, "server.py", loop)
    trouble, stop = Trouble(server.ports, seed=1), threading.Event()
    thread = threading.Thread(target=make_trouble, args=(trouble, stop, 2))
    began = time.monotonic()
    thread.start()
    sizes: list[tuple[int, int]] = []
    try:
        while not stop.wait(min(REPORT_S, minutes * 6)):
            spent = time.monotonic() - began
            share = max(trouble.connections / connections, spent / 60 / minutes)
            picture = server.ask()
            resident, descriptors = server.size()
            if share > WARM_UP:
                sizes.append((resident, descriptors))
            print(
                f"{spent:5.0f} s  {trouble.connections:9,} connections  {resident:7,} KB  "
                f"{descriptors:5} descriptors  {sum(p['open'] for p in picture.values())} open",
                flush=True,
            )
            if share >= 1:
                stop.set()
        thread.join()
        trouble.finish()
        end = server.stop()
    except KeyboardInterrupt:
        stop.set()
        thread.join()
        end = server.stop()
    finally:
        stop.set()
        server.kill()
    return judge(trouble, sizes, end, server.stderr)


def judge(
    trouble: Trouble, sizes: list[tuple[int, int]], end: dict[str, Any], stderr: str
) -> list[str]:
    faults = list(trouble.wrong[:5])
    for name, picture in end.items():
        closed = Counter(picture["closed"])
        print(f"{name:6} accepted {picture['accepted']:9,}  {dict(sorted(closed.items()))}")
        if picture["open"] or picture["accepted"] != closed.total():
            faults.append(f"{name}: the counters do not add up")
        if picture["accepted"] != trouble.began[name]:
            faults.append(f"{name}: {trouble.began[name]} connected")
        faults += [
            f"{name}: {trouble.expected[name, reason]} should end as {reason}"
            for reason in ("slow-reader", "slow-message", "idle", "oversize")
            if closed[reason] != trouble.expected[name, reason]
        ]
    residents, descriptors = [size[0] for size in sizes], [size[1] for size in sizes]
    if sizes:
        half = len(residents) // 2
        print(f"memory after the warm-up {min(residents):,} to {max(residents):,} KB")
        if half and max(residents[half:]) > max(residents[:half]) + GROWTH_KB:
            faults.append("memory grew")
        if half and max(descriptors[half:]) > max(descriptors[:half]) + SPARE_DESCRIPTORS:
            faults.append("descriptors grew")
    if stderr:
        faults.append(f"it said: {stderr[-2000:]}")
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--loop", choices=("asyncio", "uvloop"), default="asyncio")
    parser.add_argument("--connections", type=int, default=2_000_000)
    parser.add_argument("--minutes", type=float, default=10.0)
    args = parser.parse_args()
    stderr = Path(f"soak-{os.getpid()}.stderr")
    try:
        faults = soak(args.loop, args.connections, args.minutes, stderr)
    finally:
        stderr.unlink(missing_ok=True)
    for fault in faults:
        print(f"WRONG: {fault}")
    print("failed" if faults else "flat, and everything adds up")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
