"""A tool that looks at a process from outside, such as strace(1), and writes what it saw."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Collection
from types import TracebackType
from typing import Self

ATTACH_S = 20.0  # a thread at a time
END_S = 20.0
LOOK_S = 0.01
PERMIT = "ask as root, or set kernel.yama.ptrace_scope to 0"


class Onlooker:
    """Looks while inside. `command` gets `-o FILE` added, and says `attached` when it begins.

    `written` has that file afterwards. On `cores`; of none, anywhere. Raises OSError where it
    cannot attach.
    """

    def __init__(self, command: list[str], attached: str, cores: Collection[int] = ()) -> None:
        self.written = ""
        self._command = command
        self._attached = attached
        self._cores = cores

    def __enter__(self) -> Self:
        self._output = os.memfd_create("output")
        self._said = os.memfd_create("said")
        self._process = subprocess.Popen(
            [*self._command, "-o", f"/proc/self/fd/{self._output}"],
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=self._said,
            pass_fds=[self._output],
            preexec_fn=self._settle if self._cores else None,
        )
        try:
            self._await_attached()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def _settle(self) -> None:
        with contextlib.suppress(OSError):  # from elsewhere it sees as much
            os.sched_setaffinity(0, self._cores)

    def _await_attached(self) -> None:
        deadline = time.monotonic() + ATTACH_S
        while self._attached not in (said := self._read(self._said)):
            if self._process.poll() is not None:
                raise OSError(self.why_refused(said.strip().splitlines() or ["it ended"]))
            if time.monotonic() > deadline:
                raise OSError(f"{self._command[0]} did not attach within {ATTACH_S:g} s")
            time.sleep(LOOK_S)

    def why_refused(self, said: list[str]) -> str:
        """What it said before it ended, in lines, for a person."""
        raise NotImplementedError

    @staticmethod
    def _read(descriptor: int) -> str:
        size = os.fstat(descriptor).st_size
        return os.pread(descriptor, size, 0).decode(errors="replace")

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGINT)  # it lets go, and writes what it has seen
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self.written = self._read(self._output)
        os.close(self._output)
        os.close(self._said)
