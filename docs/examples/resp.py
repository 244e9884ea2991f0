"""Requests of Redis's protocol (RESP), for `redis_subset.py`."""

from collections.abc import Callable, Iterator

import aionet

LIMIT, LINE = 1024 * 1024, 64 * 1024  # bytes of a request; of a line
PIECE = 64 * 1024  # bytes of answers that are made at a time


class Requests:
    """Those of one peer, of which no part is parsed twice, however slowly they come."""

    def __init__(self) -> None:
        self.buffer = bytearray()
        self.count = 0
        self.parsed = self.parse()

    @property
    def unfinished(self) -> int | None:
        return self.count if self.buffer else None

    def receive_data(
        self, data: bytes, answer: Callable[[bytes, list[bytes]], bytes]
    ) -> Iterator[bytes | aionet.Close]:
        """What is answered to all that is whole now: one piece, or an empty one and then others."""
        self.buffer += data
        said = bytearray()
        try:
            while words := next(self.parsed):
                said += answer(words[0].upper(), words[1:])
                if len(said) > PIECE:
                    yield b""
                    yield taken(said)
        except ValueError:
            yield b""
            yield taken(said) + b"-ERR Protocol error\r\n"
            yield aionet.CLOSE
        yield taken(said)

    def parse(self) -> Iterator[list[bytes] | None]:
        """The words of each request, and None wherever more has to come."""
        buffer, words, at, left = self.buffer, list[bytes](), 0, 0
        while True:
            while (end := buffer.find(b"\r\n", at, at + LINE)) < 0:
                if len(buffer) - at >= LINE:
                    raise ValueError("the line is too long")
                yield None
            kind, digits = bytes(buffer[at : at + 1]), buffer[at + 1 : end]
            if not at and kind.isalpha():  # what a person types
                words = bytes(buffer[:end]).split()
            elif kind != (b"$" if at else b"*") or not digits.isdigit() or len(digits) > 7:
                raise ValueError("an array of strings is expected")
            elif not at:
                words, left = [], int(digits)
            else:
                after = end + 2 + int(digits)
                if after > LIMIT:
                    raise ValueError("the request is too big")
                while len(buffer) < after + 2:
                    yield None
                words.append(bytes(buffer[end + 2 : after]))
                left, end = left - 1, after
            at = end + 2
            if not left:
                del buffer[:at]
                at = 0
                if words:
                    self.count += 1
                    yield words


def taken(said: bytearray) -> bytes:
    piece = bytes(said)
    said.clear()  # or it would be there as long as the piece is on its way
    return piece


def is_number(text: bytes) -> bool:
    return text.removeprefix(b"-").isdigit() and len(text) < 19
