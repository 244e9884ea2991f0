"""A limit that a server keeps, as it is declared: idle=2s, message=4096, connections=100."""

from __future__ import annotations

from collections.abc import Callable

from compare.check import runner  # noqa: F401 - enters all checks into the catalogue
from compare.check.catalogue import CHECKS
from compare.models import units

TIMES = {"connect", "idle", "write", "drain", "message-time", "handshake"}
BYTES = {"message", "outbox", "stalled"}


def known() -> list[str]:
    """The names of limits that a check asks for."""
    return sorted({each.limit for each in CHECKS.values() if each.limit})


def read_limit(text: str) -> tuple[str, float]:
    """A name and its value, in seconds, bytes or numbers. Raises ValueError with a line."""
    name, _, value = text.partition("=")
    try:
        amount = _reader_of(name)(value)
    except ValueError:
        amount = 0.0
    if name not in known() or amount <= 0:
        raise ValueError(
            f"{text!r} is not one of {', '.join(known())} with a value above 0, such as idle=2s"
        )
    return name, amount


def _reader_of(name: str) -> Callable[[str], float]:
    if name in TIMES:
        return lambda value: units.time_us(value, bare=1e6) / 1e6
    return units.size_bytes if name in BYTES else units.amount
