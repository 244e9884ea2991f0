"""How long a test waits for what takes milliseconds, and how."""

from __future__ import annotations

import time
from collections.abc import Callable

DEADLINE_S = 20.0  # for what takes milliseconds, on a machine that is busy with other things


def wait_until(condition: Callable[[], object], what: str, *, within: float = DEADLINE_S) -> None:
    """Return as soon as `condition()` holds; fail when it does not `within` seconds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, f"not within {within:g} s: {what}"
        time.sleep(0.002)
