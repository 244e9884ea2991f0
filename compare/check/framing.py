"""Messages of the profile `frames`: a length, and so many bytes; see docs/protocols.md."""

from __future__ import annotations

import struct
from collections.abc import Sequence

from compare.check import symptoms
from compare.check.failure import Failed, shown
from compare.check.wire import Wire

MOST = 1024 * 1024  # bytes of a body
HEADER = struct.Struct("!I")
ANSWER = struct.Struct("!Iq")  # a length, which is 8, and the sum


def frame(numbers: Sequence[int]) -> bytes:
    """Its length in bytes, and the numbers: signed, 32 bits, big-endian."""
    return HEADER.pack(4 * len(numbers)) + struct.pack(f"!{len(numbers)}i", *numbers)


def answer(numbers: Sequence[int]) -> bytes:
    """What must come for that frame: their sum as one number of 64 bits."""
    return ANSWER.pack(8, sum(numbers))


def must_hear(wire: Wire, numbers: Sequence[int], what: str) -> None:
    """The answer to the frame of these numbers comes, and nothing before it."""
    received = b""
    while len(received) < ANSWER.size:
        try:
            piece = wire.receive_some(ANSWER.size - len(received))
        except Failed as failure:
            raise Failed(what, f"{_so_far(received)}{failure.actual}") from None
        if not piece:
            raise Failed(what, f"{_so_far(received)}the end came")
        received += piece
    if received != answer(numbers):
        actual, likely = _seen(received, numbers)
        raise Failed(what, actual, likely=likely)


def _so_far(received: bytes) -> str:
    return f"{shown(received)} came, then " if received else ""


def _seen(received: bytes, numbers: Sequence[int]) -> tuple[str, str]:
    """What came instead of the answer, and what that tells."""
    length, total = ANSWER.unpack(received)
    wanted, swapped = sum(numbers), sum(_swapped(numbers))
    if received[:4] == struct.pack("<I", 8):
        return f"the answer's length came little-endian, and is {length:,}", symptoms.SWAPPED
    if length != ANSWER.size - HEADER.size:
        return f"the answer's length is {length:,} and not 8", ""
    if wanted and received[4:] == struct.pack("<q", wanted):
        return f"the sum came little-endian: {total:,} for {wanted:,}", symptoms.SWAPPED
    if total == swapped != wanted:
        return f"{total:,} came: the numbers were read little-endian", symptoms.SWAPPED
    return f"{total:,} came and not {wanted:,}", ""


def _swapped(numbers: Sequence[int]) -> tuple[int, ...]:
    return struct.unpack(f"<{len(numbers)}i", struct.pack(f">{len(numbers)}i", *numbers))
