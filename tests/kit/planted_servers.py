"""Planted servers and what drives them: which does what is right, and how long a fault takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from compare.contract.outcome import Outcome

Plant = Callable[..., Any]
Drive = Callable[..., Outcome]

CORRECT = {
    "tcp-long": ("echo.py", "correct"),
    "tcp-short": ("echo.py", "correct"),
    "udp-echo": ("datagrams.py", "correct"),
    "chat": ("room.py", "correct"),
}
LONG_ENOUGH_S = 0.4  # for a few dozen messages on a busy machine


def late_of(outcome: Outcome, workload: str) -> int:
    """How many datagrams came late; asserts that this is all that went wrong.

    A server that has not had a core for a tenth of a second may still be right.
    """
    late = outcome.errors.get("late", 0) if workload == "udp-echo" else 0
    assert outcome.errors == ({"late": late} if late else {})
    return late
