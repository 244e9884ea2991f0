"""Messages of the profile `frames`: a length, and numbers; see docs/protocols.md."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from collections.abc import Sequence

from compare.check import symptoms
from compare.check.failure import Failed, shown
from compare.check.variant import ALL, DEFAULT, Variant
from compare.check.wire import RESET, Wire

READ_BYTES = 4096


def frame(numbers: Sequence[int], variant: Variant = DEFAULT) -> bytes:
    """Its length, and the numbers: signed, 32 bits, big-endian."""
    return variant.frame(tuple(numbers))


def answer(numbers: Sequence[int], variant: Variant = DEFAULT) -> bytes:
    """What must come for that frame: their sum as one number of 64 bits."""
    return variant.answer(tuple(numbers))


def must_hear(wire: Wire, numbers: Sequence[int], what: str, variant: Variant = DEFAULT) -> None:
    """The answer to the frame of these numbers comes, and nothing before it."""
    received, wanted = b"", answer(numbers, variant)
    while len(received) < len(wanted):
        try:
            piece = wire.receive_some(len(wanted) - len(received))
        except Failed as failure:
            raise Failed(what, f"{_so_far(received)}{failure.actual}") from None
        if not piece:
            raise Failed(what, f"{_so_far(received)}the end came")
        received += piece
    if received != wanted:
        actual, likely = _seen(received, numbers, variant)
        raise Failed(what, actual, likely=likely)


def _so_far(received: bytes) -> str:
    return f"{shown(received)} came, then " if received else ""


def _seen(received: bytes, numbers: Sequence[int], variant: Variant) -> tuple[str, str]:
    """What came instead of the answer, and what that tells."""
    length, total = struct.unpack(f"!{variant.letter}q", received)
    wanted, swapped = sum(numbers), sum(_swapped(numbers))
    if received[: variant.header] == variant.head(variant.told)[::-1]:
        return f"the answer's length came little-endian, and is {length:,}", symptoms.SWAPPED
    if length != variant.told:
        return f"the answer's length is {length:,} and not {variant.told}", ""
    if wanted and received[variant.header :] == struct.pack("<q", wanted):
        return f"the sum came little-endian: {total:,} for {wanted:,}", symptoms.SWAPPED
    if total == swapped != wanted:
        return f"{total:,} came: the numbers were read little-endian", symptoms.SWAPPED
    return f"{total:,} came and not {wanted:,}", ""


def _swapped(numbers: Sequence[int]) -> tuple[int, ...]:
    return struct.unpack(f"<{len(numbers)}i", struct.pack(f">{len(numbers)}i", *numbers))


def spoken(at: tuple[str, int], asked: Variant, within: float) -> str:
    """In words, which of the other variants it is that a server answers; nothing if none is.

    All are asked at the same time, each by a client of its own.
    """
    numbers, came = [1, 10_000, 20_000], dict[Variant, bytes]()
    deadline = time.monotonic() + within
    with contextlib.ExitStack() as opened, selectors.DefaultSelector() as selector:
        for each in (each for each in ALL if each != asked):
            with contextlib.suppress(OSError):
                sock = opened.enter_context(socket.create_connection(at, within))
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)  # leaves nothing
                sock.sendall(frame(numbers, each))
                selector.register(sock, selectors.EVENT_READ, each)
        while selector.get_map() and (left := deadline - time.monotonic()) > 0:
            for key, _ in selector.select(left):
                each, piece = key.data, b""
                with contextlib.suppress(OSError):
                    piece = key.fileobj.recv(READ_BYTES)  # type: ignore[union-attr]
                came[each] = came.get(each, b"") + piece
                if came[each] == answer(numbers, each):
                    return f"it speaks another variant, {each.short} (--variant {each})"
                if not piece:
                    selector.unregister(key.fileobj)
    return ""
