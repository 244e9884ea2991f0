"""A hello and its answer, for each profile: how a client sees that a stream server serves it."""

from __future__ import annotations

from typing import NamedTuple

from compare.check import framing, symptoms
from compare.check.catalogue import Profile
from compare.check.failure import Failed
from compare.check.wire import Wire

STREAMS: tuple[Profile, ...] = ("tcp-echo", "frames", "later")  # in which the client speaks first


class Hello(NamedTuple):
    """What a client says, and all that it must hear then."""

    said: bytes
    heard: bytes


def hello(profile: Profile, number: int = 0) -> Hello:
    """That of a profile in which the client speaks first; no two numbers have the same."""
    if profile == "frames":
        return Hello(framing.frame(_numbers(number)), framing.answer(_numbers(number)))
    text = b"<client %04d>" % number
    if profile == "later":
        return Hello(b"0 %s\n" % text, b"%s\n" % text)
    return Hello(text, text)


def _numbers(number: int) -> list[int]:
    return [number + 1, 10_000, 20_000]


def begun(profile: Profile, data: bytes) -> bytes:
    """Something that is not finished, of `data` where it can be: the server waits for the rest."""
    if profile == "frames":
        return framing.HEADER.pack(len(data) // 4 * 4) + data[: len(data) // 4 * 4 - 1]
    if profile == "later":
        return b"60000 never\n" * 10 + b"60000 ne"
    return data


def greet(wire: Wire, profile: Profile, number: int = 0) -> None:
    """A client says hello and is answered, or where the server speaks first, is spoken to."""
    if profile == "chat":
        wire.line("a greeting")
        return
    said, heard = hello(profile, number)
    if profile == "tcp-echo":
        wire.exchange(said)
        return
    try:
        if profile == "frames":
            wire.send(said)
            framing.must_hear(wire, _numbers(number), "the sum of a frame of three numbers")
        else:
            wire.ask(said, heard, "a line that is due at once")
    except Failed as failure:
        likely = failure.likely or symptoms.UNHEEDED[profile]
        raise Failed(failure.expected, failure.actual, failure.at_byte, likely=likely) from None
