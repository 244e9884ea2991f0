"""A script that supervises workers, and what it and they say."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable

WAIT_S = 20  # for what happens at once, on a busy machine

Start = Callable[..., "subprocess.Popen[bytes]"]

# What most workers here do: be ready, say that they are up, serve until SIGTERM or until the
# parent is gone. A handler runs between two steps of the interpreter, so a signal just before
# poll() blocks would wait for the next event: the pipe makes it one.
PRELUDE = """
import logging, os, select, signal, sys
from aionet import workers

logging.basicConfig(stream=sys.stderr, format="%(message)s")

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def leave(*ignored):
    sys.exit(0)

def serve(worker, on_sigterm=leave):
    wakeup, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGTERM, on_sigterm)
    worker.ready()
    say("up", worker.number, os.getpid())
    poll = select.poll()
    for fd in (wakeup, worker.parent_gone):
        poll.register(fd, select.POLLIN)
    while worker.parent_gone not in dict(poll.poll()):
        os.read(wakeup, 1)
    say("orphan", worker.number, os.getpid())
    return 0

def run(work=serve, count=3, on_ready=lambda: say("READY")):
    return workers.supervise(work, count, on_ready=on_ready)
"""


class Script:
    """A process that supervises workers, and what it and they say."""

    def __init__(self, start: Start, code: str, **options: bool) -> None:
        self.process = start("-c", PRELUDE + code, **options)
        self._said = b""

    def line(self) -> list[str]:
        """The words of the next line on stdout."""
        while b"\n" not in self._said:
            self._said += self._read()
        line, self._said = self._said.split(b"\n", 1)
        return line.decode().split()

    def lines(self, count: int) -> list[list[str]]:
        return sorted(self.line() for _ in range(count))

    def _read(self) -> bytes:
        stdout = self.process.stdout
        assert select.select([stdout], [], [], WAIT_S)[0], f"nothing after {self._said!r}"
        piece = os.read(stdout.fileno(), 65536)
        assert piece, f"ended after {self._said!r}: {self.process.stderr.read().decode()}"
        return piece

    def all_ready(self, count: int = 3) -> list[int]:
        """The pids of the workers by number, once they and READY have been said."""
        ready, *up = self.lines(count + 1)
        assert ready == ["READY"]
        assert [int(number) for _, number, _ in up] == list(range(count))
        return [int(pid) for _, _, pid in up]

    def close_stdin(self) -> None:
        self.process.stdin.close()
        self.process.stdin = None  # communicate() would flush it

    def end(self) -> tuple[int, str, str]:
        """Exit status, the rest of stdout, all of stderr, once it and all its workers are gone.

        A pipe is at its end when every process that could write to it has ended.
        """
        stdout, stderr = self.process.communicate(timeout=WAIT_S)
        return self.process.returncode, (self._said + stdout).decode(), stderr.decode()


Launch = Callable[..., Script]
