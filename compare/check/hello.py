"""A hello and its answer, for each profile: how a client sees that a stream server serves it."""

from __future__ import annotations

from typing import NamedTuple

from compare.check import framing, symptoms
from compare.check.catalogue import Profile
from compare.check.failure import Failed
from compare.check.variant import DEFAULT, NUMBER, Variant
from compare.check.wire import Wire

STREAMS: tuple[Profile, ...] = ("tcp-echo", "frames", "later")  # in which the client speaks first


class Hello(NamedTuple):
    """What a client says, and all that it must hear then."""

    said: bytes
    heard: bytes


def hello(profile: Profile, number: int = 0, variant: Variant = DEFAULT) -> Hello:
    """That of a profile in which the client speaks first; no two numbers have the same."""
    if profile == "frames":
        numbers = _numbers(number)
        return Hello(framing.frame(numbers, variant), framing.answer(numbers, variant))
    text = b"<client %04d>" % number
    if profile == "later":
        return Hello(b"0 %s\n" % text, b"%s\n" % text)
    return Hello(text, text)


def _numbers(number: int) -> list[int]:
    return [number + 1, 10_000, 20_000]


def begun(profile: Profile, data: bytes, variant: Variant = DEFAULT) -> bytes:
    """Something that is not finished, of `data` where it can be: the server waits for the rest."""
    if profile == "frames":
        whole = min(len(data) // NUMBER * NUMBER, variant.most)
        return variant.head(variant.length(whole)) + data[: whole - 1]
    if profile == "later":
        return b"60000 never\n" * 10 + b"60000 ne"
    return data


def greet(
    wire: Wire,
    profile: Profile,
    number: int = 0,
    *,
    variant: Variant = DEFAULT,
    at: tuple[str, int] | None = None,
) -> None:
    """A client says hello and is answered, or where the server speaks first, is spoken to.

    at: where the server is, to ask whether it speaks another variant if it does not answer.
    """
    if profile == "chat":
        wire.line("a greeting")
        return
    said, heard = hello(profile, number, variant)
    if profile == "tcp-echo":
        wire.exchange(said)
        return
    try:
        if profile == "frames":
            wire.send(said)
            what = "the sum of a frame of three numbers"
            framing.must_hear(wire, _numbers(number), what, variant)
        else:
            wire.ask(said, heard, "a line that is due at once")
    except Failed as failure:
        actual, likely = failure.actual, failure.likely or symptoms.UNHEEDED[profile]
        if profile == "frames" and at:
            actual, likely = _of_variant(failure, at, variant, wire.patience) or (actual, likely)
        raise Failed(failure.expected, actual, failure.at_byte, likely=likely) from None


def _of_variant(
    failure: Failed, at: tuple[str, int], variant: Variant, patience: float
) -> tuple[str, str] | None:
    """What is seen, and what that tells, where the server speaks another variant."""
    if other := framing.spoken(at, variant, patience / 3):
        asked = f"and it was asked with {variant.short} (--variant {variant})"
        return f"{failure.actual}; {other}, {asked}", symptoms.OTHER_VARIANT
    return None
