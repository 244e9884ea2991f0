"""Quantities as people type them: `5ms`, `70%`, `64k`. All raise ValueError, for a person."""

from __future__ import annotations

import math
import re

_NUMBER = re.compile(r"((?:\d{1,3}(?:[,_]\d{3})+|\d+)(?:\.\d*)?|\.\d+)\s*([A-Za-zµ%]*)", re.ASCII)
_TIMES = {"ns": 1e-3, "us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6}
_BINARY = {"": 1, "b": 1, "k": 2**10, "kb": 2**10, "kib": 2**10, "m": 2**20, "mb": 2**20}
_BINARY |= {"mib": 2**20, "g": 2**30, "gb": 2**30, "gib": 2**30}
_DECIMAL = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9}


def time_us(text: str, bare: float | None = None) -> float:
    """`500us`, `5ms`, `1.5s`; a number without a unit counts as `bare` us, if that may be."""
    number, unit = _split(text)
    factor = _TIMES.get(unit) if unit else bare
    if factor is None:
        raise ValueError(f"{text!r} is not a time with its unit, such as 5ms or 2s")
    return _finite(number * factor, text)


def size_bytes(text: str) -> int:
    """`1000`, `64k` (of 1,024), `2M`."""
    number, unit = _split(text)
    factor = _BINARY.get(unit.lower())
    if factor is None or not _finite(number * factor, text).is_integer():
        raise ValueError(f"{text!r} is not a number of bytes, such as 1000 or 64k")
    return int(number * factor)


def amount(text: str) -> float:
    """`20000`, `20k` (of 1,000), `1.5M`."""
    number, unit = _split(text)
    factor = _DECIMAL.get(unit.lower())
    if factor is None:
        raise ValueError(f"{text!r} is not a number, such as 20000 or 20k")
    return _finite(number * factor, text)


def share(text: str) -> float:
    """`70%` or `0.7`."""
    number, unit = _split(text)
    if unit not in ("", "%"):
        raise ValueError(f"{text!r} is not a share, such as 70% or 0.7")
    return number / 100 if unit else number


def _split(text: str) -> tuple[float, str]:
    match = _NUMBER.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text!r} is no number")
    return _finite(float(match[1].replace(",", "").replace("_", "")), text), match[2]


def _finite(number: float, text: str) -> float:
    if not math.isfinite(number):
        raise ValueError(f"{text!r} is too large a number")
    return number
