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
