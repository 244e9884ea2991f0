"""A terminal, and who types."""

from __future__ import annotations

import os
import select
import subprocess
from collections.abc import Callable
from typing import Any

WAIT_S = 20  # for what happens at once, on a busy machine

Start = Callable[..., "subprocess.Popen[bytes]"]

# Makes stdin the controlling terminal, so that its Ctrl-C is for the client.
IN_FOREGROUND = """
import fcntl, runpy, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
sys.argv = sys.argv[1:]
runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
"""


class Terminal:
    """A terminal with `python -m ...` in its foreground: the keys and the screen of it."""

    def __init__(self, start: Start, *argv: str, **options: Any) -> None:
        self.screen = b""
        self._keys, self.inside = os.openpty()
        streams = dict.fromkeys(("stdin", "stdout", "stderr"), self.inside)
        self.process = start(
            "-c", IN_FOREGROUND, *argv, start_new_session=True, **streams, **options
        )

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *ignored: object) -> None:
        os.close(self._keys)
        os.close(self.inside)

    def type(self, keys: bytes) -> None:
        os.write(self._keys, keys)

    def wait_for(self, text: bytes) -> bytes:
        """The screen up to and including `text`, which is then forgotten."""
        while text not in self.screen:
            assert select.select([self._keys], [], [], WAIT_S)[0], (
                f"{text!r} not in {self.screen!r}"
            )
            self.screen += os.read(self._keys, 4096)
        before, self.screen = self.screen.split(text, 1)
        return before + text
