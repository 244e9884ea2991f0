"""What the command needs of the system."""

from __future__ import annotations

import subprocess
import sys


def test_other_system_than_linux_is_told_in_a_line() -> None:
    code = "import sys; sys.platform = 'darwin'; import compare.__main__"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Linux is needed" in done.stderr
