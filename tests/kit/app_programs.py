"""Programs with a part of their own in each process that serves, and clients that ask them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

DEADLINE_S = 20.0

TICKER = """
import asyncio, os, sys
from contextlib import asynccontextmanager
import aionet

VERSION = 1

@asynccontextmanager
async def app(worker):
    streams = set()

    async def handler(stream):
        streams.add(stream)
        try:
            async for data in stream:
                await stream.send_all(b"%d " % VERSION + data)
        finally:
            streams.discard(stream)

    async def tick():
        while True:
            await asyncio.sleep(0.05)
            for stream in streams:
                stream.send_nowait(b".")

    async with asyncio.TaskGroup() as group:
        ticker = group.create_task(tick())
        print("entered", worker.number, flush=True)
        yield handler
        assert worker.draining.is_set() and not worker.server.peers
        os.write(1, b"left %d\\n" % worker.number)  # at once: others write there, too
        ticker.cancel()

def ready(addresses):
    print("READY", *addresses, flush=True)
"""


class Program:
    """A program that runs, and what it says."""

    def __init__(self, folder: Path, *command: str, code: str = "") -> None:
        if code:
            (folder / "program.py").write_text(code)
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        environment["PYTHONPATH"] = os.pathsep.join(sys.path[1:])
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def until(self, word: str) -> str:
        assert self.process.stdout is not None
        while line := self.process.stdout.readline():
            if line.startswith(word):
                return line.strip()
        assert self.process.stderr is not None
        raise AssertionError(self.process.stderr.read())

    def port(self) -> int:
        return int(self.until("READY").rpartition(":")[2])

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str, str]:
        self.process.send_signal(number)
        out, err = self.process.communicate(timeout=DEADLINE_S)
        return self.process.returncode, out, err


def ask(port: int, data: bytes = b"x") -> bytes:
    with socket.create_connection(("127.0.0.1", port), DEADLINE_S) as sock:
        sock.sendall(data)
        answer = b""
        while not answer.strip(b"."):
            answer += sock.recv(100)
        return answer.strip(b".")
