"""What a trial says: what was planted, what the instrument said of it, and is that right?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

from compare.host.cores import Cores

LATENCY = 0.05  # of what was planted, that a time may be off

State = Literal["right", "wrong", "differs", "noisy"]


class Finding(NamedTuple):
    """One row: what was planted, and what the instrument said of it."""

    name: str
    planted: str
    recovered: str
    state: State


Check = Callable[[Cores], Iterator[Finding]]
