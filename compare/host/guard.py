"""Processes that see to it that others end, whatever becomes of us."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from types import TracebackType


class _Watcher:
    """A process that reads its stdin: a byte says that all ended well, and an end that we died."""

    def __init__(self, code: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code, *arguments],
            bufsize=0,  # what could not be written must not come again when it is closed
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def close(self) -> None:
        """It ended as it should: nothing is to be killed any more."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"!")
        self._process.stdin.close()
        self._process.wait()


class Guard(_Watcher):
    """Kills the group of `pid` when its time is over, or when we are gone; a context manager.

    For a process that must not outlive us even if we are killed, or stopped and never continued.
    """

    _CODE = """
import os, select, sys
group, seconds = map(float, sys.argv[1:])
if not select.select([0], [], [], seconds)[0] or not os.read(0, 1):
    os.killpg(int(group), 9)
"""

    def __init__(self, pid: int, seconds: float) -> None:
        super().__init__(self._CODE, str(pid), str(seconds))

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()


class Janitor(_Watcher):
    """Kills whoever has `mark` in its environment when we are gone, in whatever session it is.

    A process by itself, since what we start is killed by the kernel when we die, and those that
    it started in its turn are not.
    """

    _CODE = """
import os, sys, time
mark = os.fsencode(sys.argv[1])
if not os.read(0, 1):
    deadline, found = time.monotonic() + 5, True
    while found and time.monotonic() < deadline:
        found = False
        for name in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{name}/environ", "rb") as file:
                    marked = any(each.startswith(mark) for each in file.read().split(b"\\0"))
                if marked:
                    os.kill(int(name), 9)
                    found = True
            except OSError:
                pass
        time.sleep(0.02)
"""

    def __init__(self, mark: str) -> None:
        super().__init__(self._CODE, mark)
