"""Code in a network namespace of its own, whose settings it may change."""

from __future__ import annotations

import subprocess
import sys

import pytest


def said_in_a_network_of_its_own(code: str, *words: str) -> list[str]:
    """The lines that Python `code` prints there; skips where that is not permitted."""
    inside = 'ip link set lo up && exec "$0" -c "$@"'
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", inside, sys.executable, code, *words],
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    if done.returncode and "Traceback" not in done.stderr:
        pytest.skip(f"a network of its own is not permitted here: {done.stderr.strip()}")
    assert done.stderr == ""
    return done.stdout.splitlines()
