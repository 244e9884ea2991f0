"""The variants of the protocol `frames`: of a class everybody has one, by the public name.

They differ in what comes before the numbers: a length of 2 or of 4 bytes, which counts bytes or
numbers. docs/protocols.md has the one that is meant where nothing is said, of 4 that counts bytes.
"""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import Literal, get_args

from compare.check.student import known_as

Counts = Literal["bytes", "numbers"]
Size = Literal[2, 4]
NUMBER = 4  # bytes of one in a question
KIB, MIB = 1024, 1024 * 1024
MOST: dict[Size, int] = {2: 16 * KIB, 4: MIB}  # bytes of a body
# Numbers whose length is a larger one, that a server must take, for who reads it the other way.
ORDERED: dict[tuple[Size, Counts], int] = {
    (4, "bytes"): 320,  # 0x500
    (2, "bytes"): 260,  # 0x410
    (4, "numbers"): 512,  # 0x200
    (2, "numbers"): 260,  # 0x104
}


@dataclass(frozen=True, order=True)
class Variant:
    """header: of so many bytes. counts: what the length in it is a number of."""

    header: Size = 4
    counts: Counts = "bytes"

    def __str__(self) -> str:
        return f"{self.header},{self.counts}"

    @property
    def short(self) -> str:
        """In a sentence."""
        return f"a length of {self.header} bytes that counts {self.counts}"

    @property
    def most(self) -> int:
        """Bytes of a body."""
        return MOST[self.header]

    @property
    def ordered(self) -> int:
        """Numbers in a frame whose length looks different, and longer, the other way round."""
        return ORDERED[self.header, self.counts]

    @property
    def letter(self) -> str:
        """Of a length, as struct has it."""
        return "I" if self.header == 4 else "H"

    def length(self, body: int) -> int:
        """What is said before so many bytes of numbers."""
        return body if self.counts == "bytes" else body // NUMBER

    def head(self, length: int) -> bytes:
        return struct.pack(f"!{self.letter}", length)

    def swapped(self, length: int) -> int:
        """For who reads it little-endian."""
        return int.from_bytes(self.head(length), "little")

    def frame(self, numbers: list[int] | tuple[int, ...]) -> bytes:
        """A question."""
        body = struct.pack(f"!{len(numbers)}i", *numbers)
        return self.head(self.length(len(body))) + body

    @property
    def told(self) -> int:
        """The length of every answer: 8 bytes, or 1 number."""
        return 8 if self.counts == "bytes" else 1

    def answer(self, numbers: list[int] | tuple[int, ...]) -> bytes:
        """The sum as one number of 64 bits."""
        return self.head(self.told) + struct.pack("!q", sum(numbers))

    def lies(self) -> dict[int, str]:
        """Lengths that end a connection, and why."""
        largest = 256**self.header - 1
        most = self.length(self.most)
        words = f"which is more than {amount(self.most)}"
        if self.counts == "bytes":
            found = {5: "which is no multiple of 4", most + NUMBER: words}
        else:
            found = {most + 1: words, (largest + 1) // NUMBER + 1: "which is 4 bytes for who "}
            found[(largest + 1) // NUMBER + 1] += f"multiplies by 4 in {8 * self.header} bits"
        if self.header == 4:
            huge = 512 * MIB
            found[self.length(huge)] = "which is 512 MiB"
        found[(largest + 1) // 2] = "which is negative for who reads it as signed"
        found[largest] = "the largest that there is"
        return found

    def words(self) -> str:
        """The protocol, exactly."""
        exact = {
            "bytes": f"the length n of what follows, in bytes: a multiple of 4, from 0 to "
            f"{self.most:,}; then n/4 numbers",
            "numbers": f"how many numbers n follow, from 0 to {self.most // NUMBER:,}, so that it "
            "says 1 for 4 bytes; then those n numbers",
        }[self.counts]
        ends = (
            f"A length that is no multiple of 4 or above {self.most:,}"
            if self.counts == "bytes"
            else f"A length above {self.most // NUMBER:,}"
        )
        means = "8, as a length" if self.counts == "bytes" else "1, as there is one number"
        question, answer = (each.hex(" ") for each in (self.frame([1, 2, -4]), self.answer([-1])))
        return (
            f"Your frames have {self.short} (--variant {self}). A question is {self.header} bytes, "
            f"unsigned and big-endian: {exact} of 32 bits, signed and big-endian. Its answer is "
            f"{self.header} bytes, {means}, and 8 bytes, the sum of the numbers, 64 bits, signed "
            f"and big-endian. {ends} ends the connection at once, without an answer. The numbers "
            f"1, 2 and -4 are {question}, and the answer is {answer}. All else is the same "
            "for everybody."
        )


DEFAULT = Variant()
ALL = tuple(Variant(header, counts) for header in get_args(Size) for counts in get_args(Counts))


def of_student(student: str) -> Variant:
    """Everybody can tell it, from the name alone; each is about as frequent as the others."""
    digest = hashlib.sha256(f"frames {known_as(student)}".encode()).digest()
    return ALL[digest[0] % len(ALL)]


def read(text: str) -> Variant:
    """From such as 2,numbers. Raises ValueError with a line."""
    for each in ALL:
        if text.replace(" ", "") == str(each):
            return each
    raise ValueError(f"{text!r} is none of {'; '.join(map(str, ALL))}")


def amount(size: int) -> str:
    return f"{size // MIB} MiB" if size >= MIB else f"{size // KIB} KiB"
