"""Bytes in, bounded lines out."""

from __future__ import annotations


class LineReader:
    """Splits a byte stream into lines of at most `limit` bytes, however the stream is cut.

    LF ends a line and a CR right before it is dropped; neither counts towards the limit.
    A line over the limit sets `too_long`, and nothing is read after that: the memory held
    is bounded by `limit` plus one read.
    """

    __slots__ = ("_completed", "_limit", "_tail", "too_long")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._tail = b""
        self._completed = 0
        self.too_long = False

    @property
    def unfinished(self) -> int | None:
        """The number of the line that has begun and not ended; None between lines."""
        return self._completed if self._tail else None

    def receive_data(self, data: bytes) -> list[bytes]:
        """The lines that `data` completes, without their line ends."""
        if self.too_long:
            return []
        *lines, self._tail = (self._tail + data).split(b"\n")
        for index, line in enumerate(lines):
            if line.endswith(b"\r"):
                lines[index] = line = line[:-1]
            if len(line) > self._limit:
                return self._give_up(lines[:index])
        # A CR at the very end may yet turn out to belong to the line end.
        if len(self._tail) - self._tail.endswith(b"\r") > self._limit:
            return self._give_up(lines)
        self._completed += len(lines)
        return lines

    def _give_up(self, lines_before: list[bytes]) -> list[bytes]:
        self.too_long = True
        self._tail = b""
        return lines_before
