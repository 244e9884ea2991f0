"""The system calls of a process and its children, counted by strace(1)."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import time
from types import TracebackType
from typing import NamedTuple

ATTACH_S = 20.0  # a thread at a time
END_S = 20.0
LOOK_S = 0.01
# % time, seconds, usecs/call, calls, perhaps errors, name
_ROW = re.compile(r"\s*[\d.]+\s+([\d.]+)\s+\d+\s+(\d+)\s+(?:(\d+)\s+)?([a-z]\w*)\s*")


class Call(NamedTuple):
    """How often it was made, how often in vain (EAGAIN counts), and its system time."""

    name: str
    made: int
    errors: int
    seconds: float


def why_not() -> str | None:
    """Why nothing can be counted here; None if it can."""
    if shutil.which("strace") is None:
        return "--profile needs strace(1), which counts system calls: apt install strace"
    return None


def parse(text: str) -> list[Call]:
    """The rows of `strace -c`, in their order; without the total."""
    rows = [match for line in text.splitlines() if (match := _ROW.fullmatch(line))]
    return [
        Call(name, int(count), int(errors or 0), float(seconds))
        for seconds, count, errors, name in (match.groups() for match in rows)
        if name != "total"
    ]


class Calls:
    """Counts, while inside, the system calls of process `pid` and of all that is born of it.

    `found` has them afterwards. Raises OSError where strace cannot attach.
    """

    def __init__(self, pid: int) -> None:
        self.found: list[Call] = []
        self._pid = pid

    def __enter__(self) -> Calls:
        self._output = os.memfd_create("calls")
        self._said = os.memfd_create("said")
        command = ["strace", "-f", "-c", "-o", f"/proc/self/fd/{self._output}"]
        command += ["-p", str(self._pid)]
        self._strace = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._said,
            pass_fds=[self._output],
        )
        try:
            self._await_attached()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _await_attached(self) -> None:
        deadline = time.monotonic() + ATTACH_S
        while "attached" not in (said := self._read(self._said)):
            if self._strace.poll() is not None:
                last = said.strip().splitlines()[-1] if said.strip() else "it ended"
                raise OSError(f"{last}: ask as root, or set kernel.yama.ptrace_scope to 0")
            if time.monotonic() > deadline:
                raise OSError(f"strace did not attach within {ATTACH_S:g} s")
            time.sleep(LOOK_S)

    @staticmethod
    def _read(descriptor: int) -> str:
        return os.pread(descriptor, 1 << 20, 0).decode(errors="replace")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._strace.send_signal(signal.SIGINT)  # it lets go, and says what it has counted
        try:
            self._strace.wait(END_S)
        except subprocess.TimeoutExpired:
            self._strace.kill()
            self._strace.wait()
        self.found = parse(self._read(self._output))
        os.close(self._output)
        os.close(self._said)
