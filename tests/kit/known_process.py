"""A process whose usage and size are known."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

# Works until it has used that much CPU by its own clock, then waits.
BURN = """
import sys, time
while time.process_time() < {seconds}:
    pass
print("done", flush=True)
sys.stdin.read()
"""
Child = Callable[[str], "subprocess.Popen[bytes]"]
WaitUntil = Callable[[Callable[[], object], str], None]


def with_child(code: str) -> str:
    """A program whose child runs `code`, which says when it is done; so does this, and waits."""
    return f"""
import subprocess, sys
inner = subprocess.Popen([sys.executable, "-c", {code!r}], stdin=-1, stdout=-1)
inner.stdout.readline()
print("done", flush=True)
sys.stdin.read()
"""
