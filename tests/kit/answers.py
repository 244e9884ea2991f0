"""What a service's answer comes to, delivery by delivery."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from aionet.protocol.service import Answer, Close


def deliveries(peer: Any, answer: Answer) -> Iterator[tuple[Any, bytes | Close]]:
    """Each one with its own receiver; `peer` is the one that made the service speak."""
    if answer is None:
        return
    if isinstance(answer, bytes | Close):
        yield peer, answer
        return
    for to, what in answer:
        for each in to if isinstance(to, list) else [to]:
            yield each, what
