"""Where one message ends and the next begins: TCP carries bytes, and knows nothing of messages.

A framing finds messages in what has come, whatever pieces it came in, and bounds them: a message
over its limit is never collected. `FrameReader` does it for who is given bytes (a service), a
`Stream` for who asks for messages (a handler).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, Protocol

from aionet.given import as_bytes, check_whole

# Where a message stands in a buffer, [start:end], and how many bytes leave that with it.
Found = tuple[int, int, int]
ByteOrder = Literal["big", "little"]

PREFIXES: Final = (1, 2, 4, 8)  # bytes of a length


class OversizeError(ValueError):
    """A message is over its limit, or says that it will be."""


class Reader(Protocol):
    """What takes bytes as they come, and gives whole messages.

    too_long: a message is over the limit, and nothing is read after it.
    """

    too_long: bool

    @property
    def unfinished(self) -> int | None:
        """The number of the message that has begun and not ended; None between messages."""

    def receive_data(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes."""

    def read(self, data: bytes) -> Iterator[bytes]:
        """The same, one at a time; all are to be taken before more is given."""


class Framing(Protocol):
    """overlap: bytes at the end of what was searched that may be the beginning of an end."""

    overlap: int

    def find(self, buffer: bytes | bytearray, searched: int) -> Found | None:
        """The first message in `buffer`, of which `searched` bytes hold no end of one.

        None if it is not whole. Raises OversizeError as soon as it is known to be too long.
        """

    def find_last(self, buffer: bytes | bytearray) -> Found | None:
        """The same when nothing more will come, and `find` gives nothing."""

    def reader(self) -> Reader:
        """For the messages of one peer."""


def check_framing(framing: object) -> None:
    """Raises ValueError for what is none, such as its class."""
    parts = ("overlap", "find", "find_last", "reader")
    if isinstance(framing, type) or not all(hasattr(framing, part) for part in parts):
        raise ValueError(f"framing is {framing!r}; it must be such as LengthPrefixed(4)")


class FrameReader:
    """Splits a byte stream into the messages of `framing`, however the stream is cut.

    The memory held is bounded by the limit of that plus one read.
    """

    __slots__ = ("_buffer", "_completed", "_framing", "_searched", "too_long")

    def __init__(self, framing: Framing) -> None:
        self._framing = framing
        self._buffer = bytearray()
        self._searched = 0
        self._completed = 0
        self.too_long = False

    @property
    def unfinished(self) -> int | None:
        """The number of the message that has begun and not ended; None between messages."""
        return self._completed if self._buffer else None

    def receive_data(self, data: bytes) -> list[bytes]:
        """The messages that `data` completes."""
        return list(self.read(data))

    def read(self, data: bytes) -> Iterator[bytes]:
        """The same, one at a time; all are to be taken before more is given."""
        if self.too_long:
            return
        buffer = self._buffer
        buffer += data
        try:
            while found := self._framing.find(buffer, self._searched):
                start, end, size = found
                message = bytes(memoryview(buffer)[start:end])
                del buffer[:size]
                self._searched = 0
                self._completed += 1
                yield message
        except OversizeError:
            self.too_long = True
            buffer.clear()
        self._searched = max(0, len(buffer) - self._framing.overlap)


class LineReader:
    """Splits a byte stream into lines of at most `limit` bytes, however the stream is cut.

    LF ends a line and a CR right before it is dropped; neither counts towards the limit.
    A line over the limit sets `too_long`, and nothing is read after that: the memory held
    is bounded by `limit` plus one read. As FrameReader(Lines(limit)), and faster.
    """

    __slots__ = ("_completed", "_limit", "_tail", "too_long")

    def __init__(self, limit: int) -> None:
        check_whole("limit", limit)
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

    def read(self, data: bytes) -> Iterator[bytes]:
        """The same, one at a time."""
        return iter(self.receive_data(data))

    def _give_up(self, lines_before: list[bytes]) -> list[bytes]:
        self.too_long = True
        self._tail = b""
        return lines_before


class Lines:
    """Text lines of at most `limit` bytes: LF ends one, and a CR right before it is dropped."""

    overlap = 0

    def __init__(self, limit: int = 4096) -> None:
        self.limit = _positive("limit", limit)

    def find(self, buffer: bytes | bytearray, searched: int) -> Found | None:
        end = buffer.find(b"\n", searched)
        if end < 0:
            self._hold(len(buffer) - buffer.endswith(b"\r"))  # which may belong to the end
            return None
        length = end - (end > 0 and buffer[end - 1] == 13)  # a CR
        self._hold(length)
        return 0, length, end + 1

    def find_last(self, buffer: bytes | bytearray) -> Found:
        """What stands after the last LF is a line, too; a CR at its end is no line end."""
        self._hold(len(buffer))
        return 0, len(buffer), len(buffer)

    def _hold(self, length: int) -> None:
        if length > self.limit:
            raise OversizeError(f"a line is over {self.limit} bytes")

    def reader(self) -> Reader:
        return LineReader(self.limit)

    @staticmethod
    def encode(line: bytes) -> bytes:
        """`line` as it is sent. Raises ValueError if it has an end within."""
        line = as_bytes("encode", line)
        if b"\n" in line:
            raise ValueError(f"{line!r} has a line end in it")
        return line + b"\n"


class Until:
    """Messages that end with `separator`, and have at most `limit` bytes before it."""

    def __init__(self, separator: bytes, limit: int = 4096) -> None:
        if not isinstance(separator, bytes | bytearray):
            raise TypeError(f"the separator is {separator!r}; it must be bytes")
        if not separator:
            raise ValueError("the separator is empty; what would end a message?")
        self.separator = bytes(separator)
        self.limit = _positive("limit", limit)
        self.overlap = len(self.separator) - 1

    def find(self, buffer: bytes | bytearray, searched: int) -> Found | None:
        end = buffer.find(self.separator, searched)
        if end > self.limit or (end < 0 and len(buffer) - self.overlap > self.limit):
            raise OversizeError(f"there is no {self.separator!r} within {self.limit} bytes")
        return None if end < 0 else (0, end, end + len(self.separator))

    def find_last(self, buffer: bytes | bytearray) -> None:
        """What is not ended is no message."""

    def reader(self) -> Reader:
        return FrameReader(self)

    def encode(self, message: bytes) -> bytes:
        """`message` as it is sent. Raises ValueError if it has the separator within."""
        message = as_bytes("encode", message)
        sent = message + self.separator
        if sent.find(self.separator) != len(message):
            raise ValueError(f"{message!r} has {self.separator!r} in it")
        return sent


class LengthPrefixed:
    """Messages that say in their first `prefix` bytes how long they are, at most `limit` bytes.

    limit: 4096, or what the prefix can say, if that is less, unless it is given.
    The length counts what follows it. byteorder: which of its bytes comes first. "big", the most
    significant one, is network byte order (RFC 791, appendix B), and what nearly all protocols
    take, Java's DataOutputStream and Go's binary.BigEndian; "little" is how x86 and most ARM
    machines keep a number in memory, which is what C sends that forgets htonl(3).
    """

    overlap = 0

    def __init__(
        self, prefix: int = 4, *, byteorder: ByteOrder = "big", limit: int | None = None
    ) -> None:
        if isinstance(prefix, bool) or prefix not in PREFIXES:
            raise ValueError(f"prefix is {prefix!r}; it must be 1, 2, 4 or 8 bytes")
        if byteorder not in ("big", "little"):
            raise ValueError(f"byteorder is {byteorder!r}; it must be 'big' or 'little'")
        self.prefix = prefix
        self.byteorder: ByteOrder = byteorder
        most = 256**prefix - 1
        self.limit = min(4096, most) if limit is None else _positive("limit", limit)
        if self.limit > most:
            size = f"{prefix} byte{'s' * (prefix > 1)}"
            raise ValueError(f"limit is {limit}; a length of {size} says at most {most}")

    def find(self, buffer: bytes | bytearray, searched: int) -> Found | None:
        prefix = self.prefix
        if len(buffer) < prefix:
            return None
        length = int.from_bytes(buffer[:prefix], self.byteorder)
        if length > self.limit:
            raise OversizeError(f"a message of {length:,} bytes is over {self.limit:,}")
        end = prefix + length
        return (prefix, end, end) if len(buffer) >= end else None

    def find_last(self, buffer: bytes | bytearray) -> None:
        """What is not whole is no message."""

    def reader(self) -> Reader:
        return FrameReader(self)

    def encode(self, message: bytes) -> bytes:
        """`message` with its length before it. Raises ValueError if it is over the limit."""
        message = as_bytes("encode", message)
        if len(message) > self.limit:
            raise ValueError(f"a message of {len(message):,} bytes is over {self.limit:,}")
        return len(message).to_bytes(self.prefix, self.byteorder) + message


class Exactly:
    """Messages of `size` bytes each."""

    overlap = 0

    def __init__(self, size: int) -> None:
        self.size = _positive("size", size)

    def find(self, buffer: bytes | bytearray, searched: int) -> Found | None:
        return (0, self.size, self.size) if len(buffer) >= self.size else None

    def find_last(self, buffer: bytes | bytearray) -> None:
        """What is not whole is no message."""

    def reader(self) -> Reader:
        return FrameReader(self)

    def encode(self, message: bytes) -> bytes:
        """`message` as it is sent. Raises ValueError if it has another size."""
        message = as_bytes("encode", message)
        if len(message) != self.size:
            raise ValueError(f"a message of {len(message):,} bytes; it must have {self.size:,}")
        return message


def _positive(name: str, value: int) -> int:
    check_whole(name, value)
    return value


def length_prefixed(prefix: int, byteorder: ByteOrder, most: int) -> LengthPrefixed:
    """One whose limit is `most`, or what its prefix can say, if that is less."""
    framing = LengthPrefixed(prefix, byteorder=byteorder)
    framing.limit = min(most, 256**prefix - 1)
    return framing
