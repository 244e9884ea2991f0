"""What a check failed by: in which words, and where two byte strings part."""

from __future__ import annotations

from compare.check import symptoms

COMPARED = 64 * 1024  # bytes at a time
RECOGNISED = 16  # bytes that are no chance
FEW = 3  # bytes, which may be equal by chance
ENOUGH = 3  # the same, where no more came
TEXT = 64  # bytes, of which enough are none of an encoding
REPLACED = "\ufffd".encode()  # of what is none
PIECE = 64  # bytes, of which fewer are no piece that a call took or left


class Failed(Exception):  # noqa: N818  a verdict on the server, no error of ours
    """The server did not do what it must. `at_byte` is where two byte strings part.

    likely: the mistake, where what was seen tells it, whichever check it was seen by. sure: what
    the server was doing then says no more.
    """

    sure = False

    def __init__(
        self, expected: str, actual: str, at_byte: int | None = None, *, likely: str = ""
    ) -> None:
        super().__init__(f"expected {expected}; {actual}")
        self.expected = expected
        self.actual = actual
        self.at_byte = at_byte
        self.likely = likely


class Differs(Failed):
    """Other bytes came than were sent. changed: not merely too few of them, or more at the end."""

    def __init__(
        self,
        expected: str,
        actual: str,
        at_byte: int | None = None,
        *,
        likely: str = "",
        changed: bool = True,
    ) -> None:
        super().__init__(expected, actual, at_byte, likely=likely)
        self.changed = changed


def shown(data: bytes | bytearray) -> str:
    """Some bytes, for a person."""
    return f"{bytes(data[:40])!r}{' ...' if len(data) > 40 else ''}"


def must_equal(
    actual: bytes | bytearray, expected: bytes, what: str, *, origin: int = 0, so_far: bool = False
) -> None:
    """Raise Differs that says at which byte they part.

    origin: of a stream, what had come before. so_far: more may come, so fewer is no difference.
    """
    if actual == expected or (so_far and expected.startswith(actual)):
        return
    at = _parting(actual, expected)
    likely, changed = "", False
    if len(actual) < len(expected) and at == len(actual):
        seen = so_many(origin + at, origin + len(expected))
        likely = symptoms.AT_A_NUL if is_first_nul(expected, at) else ""
    elif len(actual) > len(expected) and at == len(expected):
        seen = f"{len(actual) - len(expected):,} bytes more came: {shown(actual[at:])}"
        likely = symptoms.ADDED
    else:
        seen = f"at byte {origin + at:,} came {shown(actual[at:])} instead of "
        lost = _lost(actual, expected, at)
        verb = "lost" if lost > 0 else "too many"
        seen += shown(expected[at:])
        seen += f": {abs(lost)} byte{'s' * (abs(lost) > 1)} {verb}" if lost else ""
        likely, changed = "", True
        if _is_of_a_text(actual, expected, at):
            likely = symptoms.TO_TEXT
        elif _ends_at_nul(actual, expected, at):
            likely = symptoms.AT_A_NUL
        elif _is_added(actual, expected, at, origin):
            likely = symptoms.ADDED
        elif lost == 1 and expected[at] in expected[:at]:  # those before came through
            likely = symptoms.LOST
        elif apart := _moved(actual, expected, at):
            likely = symptoms.GAP if apart > 0 else symptoms.TWICE
            what_of = "are missing there" if apart > 0 else "came a second time"
            seen += f": {abs(apart):,} bytes {what_of}"
    raise Differs(
        what,
        seen,
        (origin + at) if origin + at or changed else None,
        likely=likely,
        changed=changed,
    )


def so_many(came: int, of: int) -> str:
    """That not all have come, in words."""
    return f"only the first {came:,} of {of:,} bytes came" if came else f"none of {of:,} bytes came"


def _parting(actual: bytes | bytearray, expected: bytes) -> int:
    """The first place where they differ, or the length of the shorter one."""
    shorter = min(len(actual), len(expected))
    for begin in range(0, shorter, COMPARED):
        if actual[begin : begin + COMPARED] != expected[begin : begin + COMPARED]:
            end = min(begin + COMPARED, shorter)
            return next((i for i in range(begin, end) if actual[i] != expected[i]), end)
    return shorter


def _moved(actual: bytes | bytearray, expected: bytes, at: int) -> int:
    """By how many bytes what came at `at` belongs further on, or, below 0, had come before.

    0 where it belongs nowhere, or too near to be a piece that one call took.
    """
    piece = bytes(actual[at : at + RECOGNISED])
    if len(piece) < RECOGNISED or len({*piece}) < ENOUGH:
        return 0
    after, before = expected.find(piece, at), expected.rfind(piece, 0, at + RECOGNISED - 1)
    found = [place - at for place in (after, before) if place >= 0]
    nearest = min(found, key=abs, default=0)
    return nearest if abs(nearest) >= PIECE else 0


def _is_of_a_text(actual: bytes | bytearray, expected: bytes, at: int) -> bool:
    """Whether it is what is left of the bytes when they were decoded, and encoded again."""
    first = max(0, at - 2)  # U+FFFD may begin as what was sent does
    came, sent = bytes(actual[first : at + TEXT]), expected[first : at + TEXT]
    if 0 <= (place := came.find(REPLACED)) <= at - first and not sent[place:].startswith(REPLACED):
        return True
    came, sent = came[at - first :], expected[at : at + 8 * TEXT]  # of which most may be lost
    for text in (sent.decode(errors="ignore"), sent.decode("latin-1")):
        again = text.encode()[: len(came)]
        enough = min(len(came), len(again)) >= RECOGNISED
        if enough and came.startswith(again) and sum(byte > 127 for byte in sent) >= ENOUGH:
            return True
    return False


def _ends_at_nul(actual: bytes | bytearray, expected: bytes, at: int) -> bool:
    """Whether what is missing begins with 00, and what follows it came."""
    rest = bytes(actual[at : at + RECOGNISED])
    return is_first_nul(expected, at) and len(rest) >= ENOUGH and expected.find(rest, at) > at


def is_first_nul(data: bytes, at: int) -> bool:
    """Whether a C string would end there."""
    return data.find(0, 0, at + 1) == at


def _lost(actual: bytes | bytearray, expected: bytes, at: int) -> int:
    """A few bytes that are missing, and the rest is right; negative: that came twice; else 0."""
    for many in range(1, RECOGNISED):
        for lost, came, sent in ((many, at, at + many), (-many, at + many, at)):
            rest = bytes(actual[came : came + RECOGNISED])
            enough = len(rest) == RECOGNISED or sent + len(rest) == len(expected)
            if rest and enough and rest == expected[sent : sent + RECOGNISED]:
                return lost
    return 0


def _is_added(actual: bytes | bytearray, expected: bytes, at: int, origin: int) -> bool:
    """Whether a few bytes came that were never sent, and then what was; not what came before.

    What came before an origin that is not the stream's beginning cannot be seen.
    """
    for many in range(1, RECOGNISED):
        added = bytes(actual[at : at + many])
        rest = bytes(actual[at + many : at + many + RECOGNISED])
        if len(rest) >= ENOUGH and expected[at : at + len(rest)] == rest:
            known = at >= many or origin == 0
            return known and added != expected[max(0, at - many) : at] and len({*rest}) > 1
        if _is_without(added, actual, expected, at):
            return True
    return False


def _is_without(added: bytes, actual: bytes | bytearray, expected: bytes, at: int) -> bool:
    """Whether they agree for a while if that is left out, which came more often than it was sent.

    So it is with what is added to each of many short messages.
    """
    came = bytes(actual[at : at + RECOGNISED * (len(added) + 1)])
    sent = expected[at : at + RECOGNISED]
    left, due = came.replace(added, b""), sent.replace(added, b"")
    left = left[: len(left) + 1 - len(added)]  # the last one may be cut
    return (
        min(len(left), len(due)) >= ENOUGH
        and (left.startswith(due) or due.startswith(left))
        and came.count(added) > sent.count(added) + 1
        and len({*left}) > 1
    )
