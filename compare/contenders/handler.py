"""What a server does for each message beyond what its service does: it works, and is slow at times.

It is put before the service, so that no model has code of its own for it.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from typing import Any, NamedTuple

from compare.contenders.burn import Burner
from compare.contenders.messages import Messages, messages

NOBODY = None  # a peer that nobody is


class Cost(NamedTuple):
    """work_us: CPU of each message; slow_us: of a `slow_share` of them, beside that.

    wait_us: from its last byte until it is answered. size: of a message, in bytes.
    """

    work_us: float = 0.0
    wait_us: float = 0.0
    slow_share: float = 0.0
    slow_us: float = 0.0
    size: int = 1
    seed: int = 1


Before = Callable[[Any, bytes], int]


def handler(service: str, cost: Cost) -> Before:
    """What is called with each piece that comes; it works, and gives how many messages that was."""
    many = messages(service, cost.size)
    if not (cost.work_us or cost.slow_share):
        return many
    burner = Burner()
    before = _working(messages(service, cost.size), burner, cost.work_us * 1e3, cost)
    if cost.work_us:
        message = b"\n" * (1 if service == "chat" else cost.size)
        plain = _working(
            messages(service, cost.size),
            burner,
            cost.work_us * 1e3,
            cost._replace(slow_share=0.0),
        )
        burner.calibrate(lambda: plain(NOBODY, message), cost.work_us * 1e3)
    return before


def _working(many: Messages, burner: Burner, work_ns: float, cost: Cost) -> Before:
    burn, slow_share, slow_ns = burner.burn, cost.slow_share, cost.slow_us * 1e3
    chance = random.Random(cost.seed)
    # What the parent would have drawn next would be drawn by all its children.
    os.register_at_fork(after_in_child=lambda: chance.seed(cost.seed + os.getpid()))

    def before(peer: Any, data: bytes) -> int:
        found = many(peer, data)
        if found:
            ns = found * work_ns
            if slow_share:
                ns += slow_ns * sum(chance.random() < slow_share for _ in range(found))
            if ns:
                burn(ns)
        return found

    return before
