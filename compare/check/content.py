"""What clients send: texts and lengths, drawn by a seed from all that they may send."""

from __future__ import annotations

import random
import string
from collections.abc import Iterator

WORDS = (
    *("quit", "exit", "bye", "close", "end", "stop", "shutdown", "logout", "help", "q", "."),
    *("ping", "hello", "GET / HTTP/1.1", "HELO there", "PROXY TCP4 127.0.0.1 127.0.0.1 1 2"),
    *("%s%n%d", "a\\nb\\x00", "<b>&amp;</b>", "'; --", "${HOME}", "{}", "[]", "null", "0", "-1"),
)
BYTES = (
    *(b"\x03", b"\x04", b"\x1a", b"\x1b[2J", b"\xff\xf4\xff\xfd\x06"),  # ^C ^D ^Z, telnet's
    *(b"\xef\xbb\xbfmark", "Äöü €".encode(), "Äöü".encode("latin-1"), "wide".encode("utf-16")),
    *(b" before", b"after ", b"\tbefore", b"after\r", b"\r", b"\n", b"\r\n", b"\0", b" "),
)
ENDS = (b"", b"\n", b"\r\n", b"\0")
REPEATED = (b"\0", b" ", b"\n", b"\r\n", b"\t", b"\r", b"\xff", b"a", b"\\")
LONGEST_RUN = 64
LONGEST_LINE = 10_000


def texts(seed: int) -> list[bytes]:
    """Messages of people and of programs: words that some servers take for commands, runs, lines.

    Each is short enough for one segment, but for the last ones.
    """
    chance = random.Random(seed)
    words = [word.encode() for word in WORDS] + [word.upper().encode() for word in WORDS]
    messages = [word + chance.choice(ENDS) for word in words] + list(BYTES)
    messages += [word.encode() + b"\n" for word in WORDS]
    for each in (*REPEATED, bytes([chance.randrange(256)])):
        lengths = (2, 3, 4, chance.randint(5, LONGEST_RUN))
        messages.append(b"".join(b"%d" % length + each * length for length in lengths))
        messages.append(each * chance.randint(2, LONGEST_RUN))
    letters = list(string.printable)
    chance.shuffle(letters)
    messages.append("".join(letters).encode())
    chance.shuffle(messages)
    letter = "".join(chance.choices(string.ascii_letters + " ", k=LONGEST_LINE)).encode()
    return [*messages, letter, b"".join(messages)]


def lengths(seed: int, *, most: int, number: int) -> list[int]:
    """Lengths from 1 to `most`: all powers of two, those beside them, and `number` drawn ones.

    Half of these are drawn by their logarithm, so that there are as many of each order.
    """
    chance = random.Random(seed)
    edges = {power + by for power in (2**n for n in range(most.bit_length())) for by in (-1, 0, 1)}
    found = [length for length in edges if 1 <= length <= most]
    found += [chance.randint(1, most) for _ in range(number // 2)]
    found += [int(most ** chance.random()) for _ in range(number - number // 2)]
    chance.shuffle(found)
    return found


def stream(seed: int, blocks: int, size: int) -> Iterator[bytes]:
    """Random blocks of which no two are equal, so that none can stand for another."""
    chance = random.Random(seed)
    block = chance.randbytes(size - 8)
    for _ in range(blocks):
        yield chance.randbytes(8) + block
