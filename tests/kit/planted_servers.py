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
