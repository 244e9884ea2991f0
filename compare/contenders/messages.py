"""How many messages what has come completes, whatever pieces it came in."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# Given a peer and what it sent; each piece once, in order.
Messages = Callable[[Any, bytes], int]


def messages(service: str, size: int) -> Messages:
    """Of that service: a line, a datagram, or so many bytes of a stream."""
    return {"chat": _lines, "udp-echo": _datagrams}.get(service) or _of_bytes(size)


def _lines(peer: Any, data: bytes) -> int:
    return data.count(b"\n")


def _datagrams(peer: Any, data: bytes) -> int:
    return 1


def _of_bytes(size: int) -> Messages:
    begun: dict[Any, int] = {}  # bytes; who leaves in the midst of a message stays here

    def completed(peer: Any, data: bytes) -> int:
        if len(data) == size and not begun:
            return 1
        many, rest = divmod(begun.pop(peer, 0) + len(data), size)
        if rest:
            begun[peer] = rest
        return many

    return completed
