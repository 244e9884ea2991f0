"""A process that sees to it that another one ends, whatever becomes of us."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from types import TracebackType


class Guard:
    """Kills the group of `process` when its time is over, or when we are gone; a context manager.

    For a process that must not outlive us even if we are killed, or stopped and never continued.
    """

    _CODE = """
import os, select, sys
group, seconds = map(float, sys.argv[1:])
if not select.select([0], [], [], seconds)[0] or not os.read(0, 1):
    os.killpg(int(group), 9)
"""

    def __init__(self, pid: int, seconds: float) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", self._CODE, str(pid), str(seconds)],
            bufsize=0,  # what could not be written must not come again when it is closed
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def __enter__(self) -> Guard:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """It ended as it should: nothing is to be killed any more."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(b"!")
        self._process.stdin.close()
        self._process.wait()
