"""A server of frames: each says its length first, and its numbers are to be summed up.

docs/protocols.md has the protocol. Each check but that of byte order begins with a plain frame in
one segment, so that who does not answer that is told so, whichever check it is.
"""

from __future__ import annotations

import random

from compare.check import symptoms
from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.failure import Failed, shown
from compare.check.framing import must_hear, spoken
from compare.check.variant import NUMBER, amount
from compare.check.wire import Wire
from compare.host import process

SMALL = 4000  # numbers below that: as many as fit have a sum of 31 bits
MANY = 1000  # frames at once
LONG = 100  # numbers
TRICKLED = 20  # bytes
WIDE = 2**31
ALLOWED_KB = 256 * 1024  # by which a server may grow at a word: a thread takes some, too


def _drawn(bench: Bench, check_id: str) -> random.Random:
    return random.Random(f"{bench.seed} {check_id}")


def _numbers(chance: random.Random, many: int) -> list[int]:
    return [chance.randrange(1, SMALL) for _ in range(many)]


def _hear(bench: Bench, wire: Wire, numbers: list[int], what: str) -> None:
    must_hear(wire, numbers, what, bench.subject.variant)


def met(bench: Bench) -> Wire:
    """A client whose first frame was answered."""
    wire = bench.connect()
    bench.greet(wire)
    return wire


@check(
    "fr/1",
    "frames",
    what="Sends a frame a byte at a time, frames that are cut at every place, and one of 1 MiB; "
    "each must be answered by the sum of its numbers.",
    why="TCP is a stream: where it is cut has nothing to do with where a message ends.",
    mistake="Taking each recv() for a frame, or for a whole header: it returns what has arrived, "
    "one byte or two frames. Keep what has come until there are 4 bytes and then so many as they "
    "say; keep what is beyond for the next one.",
    calls="recv(2): returns what has arrived so far; MSG_WAITALL in a thread.",
    content=True,
)
def cut_anywhere(bench: Bench) -> None:
    wire, chance = met(bench), _drawn(bench, "fr/1")
    variant = bench.subject.variant
    frame = variant.frame
    numbers = _numbers(chance, 5)
    _trickle(wire, frame(numbers), what := "the sum of a frame that came a byte at a time")
    _hear(bench, wire, numbers, what)
    for at in range(1, len(frame(numbers))):
        before, numbers = _numbers(chance, 2), _numbers(chance, 5)
        wire.send(frame(before) + frame(numbers)[:at])
        _hear(bench, wire, before, "the sum of a frame with the beginning of another one behind it")
        wire.send(frame(numbers)[at:])
        _hear(bench, wire, numbers, f"the sum of a frame that was cut after {at} bytes")
    numbers = _numbers(chance, variant.most // NUMBER)
    wire.send(frame(numbers))
    _hear(bench, wire, numbers, f"the sum of a frame of {amount(variant.most)}")


def _trickle(wire: Wire, data: bytes, what: str) -> None:
    for number, byte in enumerate(data):
        early = wire.poll(0, write=False)[0]
        if not early:
            try:
                wire.send(bytes([byte]))
                wire.wait_until_delivered()
            except Failed:
                early = True
        if early:
            raise Failed(what, f"an answer or the end came after {number} of {len(data)} bytes")


@check(
    "fr/2",
    "frames",
    what="Sends 1,000 frames without waiting for an answer, many of them in one segment; all must "
    "be answered, in order.",
    why="A client that waits for each answer does one in each round trip; who pipelines does all.",
    mistake="One frame for each recv(): the others stay in the buffer until something more comes, "
    "or are thrown away. Take frames out of it in a loop, while there is a whole one. A thread for "
    "each frame: their answers overtake each other.",
    calls="recv(2): may return many frames; it does not come again for what was returned.",
    content=True,
)
def many_at_once(bench: Bench) -> None:
    wire, chance = met(bench), _drawn(bench, "fr/2")
    asked = [_numbers(chance, chance.randint(1, LONG)) for _ in range(MANY)]
    for lot in (asked[:3], asked):
        wire.send(b"".join(map(bench.subject.variant.frame, lot)))
        for number, numbers in enumerate(lot):
            _hear(
                bench, wire, numbers, f"answer {number + 1:,} to {len(lot):,} frames sent at once"
            )


@check(
    "fr/3",
    "frames",
    what="Sends a frame whose length, numbers and sum all look different when they are read the "
    "other way round; the answer must be big-endian, as the question is.",
    why="The other end may be another machine; on the wire the largest byte comes first.",
    mistake=symptoms.SWAPPED,
    calls="htonl(3), be64toh(3); struct.unpack('!i'); readInt32BE(); DataInputStream.",
    content=True,
)
def byte_order(bench: Bench) -> None:
    variant = bench.subject.variant
    wire, chance = bench.connect(), _drawn(bench, "fr/3")
    numbers = _numbers(chance, variant.ordered)
    sent = variant.frame(numbers)
    body = len(sent) - variant.header
    length = variant.length(body)
    what = f"the sum of {variant.ordered} numbers, a frame of {body:,} bytes"
    wire.send(sent)
    swapped = variant.swapped(length)
    said = f"{length:,} is {swapped:,} for who reads it little-endian"
    try:
        if not wire.poll(bench.patience, write=False)[0]:
            wire.send(bytes(swapped * (body // length) - body))
            waited = wire.poll(bench.patience, write=False)[0]
            seen = "an answer or the end came" if waited else "none came"
            silent = f"nothing came within {bench.patience:.1f} s"
            raise Failed(what, f"{silent}; {said}, and {seen} after so many")
        _hear(bench, wire, numbers, what)
    except Failed as failure:
        if other := spoken((bench.place.host, bench.place.port), variant, bench.patience / 3):
            failure.actual, failure.likely = f"{failure.actual}; {other}", symptoms.OTHER_VARIANT
        elif "the end came" in failure.actual:
            failure.actual += f": {said}"
        raise


@check(
    "fr/4",
    "frames",
    what="Sends frames of length 0, first, between others and last; the sum of each is 0.",
    why="What is empty is a message, too, and is what breaks a protocol first.",
    mistake="`if not body` or a length of 0 taken for the end; recv(0), which returns 0 bytes, as "
    "at the end; waiting for one byte more.",
    calls="recv(2) for a length of 0 bytes: in C it waits for some, in Python and for a file it "
    "returns none at once. Call it only while bytes are missing.",
    content=True,
)
def empty_frame(bench: Bench) -> None:
    wire, chance = met(bench), _drawn(bench, "fr/4")
    lots: list[list[int]] = [[], [], _numbers(chance, 2), [], _numbers(chance, 2), []]
    for numbers in lots:
        wire.send(bench.subject.variant.frame(numbers))
        _hear(bench, wire, numbers, f"a sum of {sum(numbers):,}, {len(numbers)} numbers")
    wire.close()
    bench.must_serve("the server to go on after empty frames")


@check(
    "fr/5",
    "frames",
    what="Sends negative numbers, the largest and the smallest, and so many that the sum takes "
    "more than 32 bits; each sum must be right.",
    why="A sum that wraps around is a wrong amount of money, without any error.",
    mistake="Unsigned numbers (ntohl() gives one); a sum in an int of 32 bits, which overflows; in "
    "JavaScript `|0`, or a double where BigInt belongs; the sum written as two halves.",
    calls="none: it is int32_t and int64_t.",
    content=True,
)
def any_number(bench: Bench) -> None:
    wire, chance = met(bench), _drawn(bench, "fr/5")
    lots = [[-1], [WIDE - 1], [-WIDE], [-1, 1], [WIDE - 1] * 2, [-WIDE] * 3, [WIDE - 1, -WIDE]]
    variant = bench.subject.variant
    lots += [[WIDE - 1] * 1000, [-WIDE] * (variant.most // NUMBER)]
    lots += [[chance.randrange(-WIDE, WIDE) for _ in range(LONG)] for _ in range(LONG)]
    for numbers in lots:
        wire.send(variant.frame(numbers))
        first = f"{numbers[0]:,}{' ...' if len(numbers) > 1 else ''}"
        _hear(bench, wire, numbers, f"the sum of {len(numbers):,} numbers, {first}")


@check(
    "fr/6",
    "frames",
    what="Says lengths that no frame has: above the largest one allowed, up to what its header "
    "holds, and where bytes are counted such as are no multiple of 4; the connection must end, "
    "without an answer and before more is sent, the memory must not be taken, and others must be "
    "served.",
    why="A few bytes of anybody's must not cost 4 GiB.",
    mistake="malloc(length) or `new byte[length]` at a client's word; a length that is read as "
    "signed, and is then negative; waiting for the rest; an exception that ends the whole server.",
    calls="none: look at the length before anything is done with it; close(2).",
    content=True,
)
def bad_length(bench: Bench) -> None:
    met(bench).close()
    bench.must_serve("to be served before that")
    before = process.peak_kb(bench.server.pid) if bench.inside else None
    for length, why in bench.subject.variant.lies().items():
        wire = met(bench)
        wire.send(bench.subject.variant.head(length))
        what = f"the end for who says a length of {length:,}, {why}"
        try:
            wire.must_end(bench.patience, what)
        finally:
            if before:
                _must_not_have_taken(bench, before, length)
        wire.close()
        bench.must_serve(f"others to be served after a length of {length:,}")


def _must_not_have_taken(bench: Bench, before: process.Peak, length: int) -> None:
    after = process.peak_kb(bench.server.pid)
    grown = max(now - then for now, then in zip(after, before, strict=True))
    if grown > ALLOWED_KB:
        raise Failed(
            f"no memory to be taken for a length of {length:,}",
            f"the server grew by {grown // 1024:,} MiB at that word",
        )


@check(
    "fr/7",
    "frames",
    what="Ends within a header, after it and within the numbers, by shutdown(), close() and a "
    "reset; what was whole before must be answered, what is not must not, the end must come, and "
    "others must be served.",
    why="Clients crash in the middle of a message, too.",
    mistake="A loop that reads until it has all, and does not look for the end: recv() returns 0 "
    "for ever. Answering what there is. An exception (EOFError, struct.error) that ends all.",
    calls="recv(2): 0 in the middle of a message; close(2).",
    content=True,
)
def half_a_frame(bench: Bench) -> None:
    chance = _drawn(bench, "fr/7")
    head, frame = bench.subject.variant.header, bench.subject.variant.frame
    for at in (head // 2, head, head + 7, head + 16):
        whole, half = _numbers(chance, 3), frame(_numbers(chance, 5))[:at]
        wire = met(bench)
        wire.send(half)
        wire.half_close()
        _must_end(wire, f"the end, and no answer, after {at} bytes of a frame")
        wire.close()
        wire = met(bench)
        wire.send(frame(whole) + half)
        wire.half_close()
        _hear(bench, wire, whole, "the sum of what was whole before the end")
        _must_end(wire, f"the end, and no answer, after {at} bytes of a second frame")
        wire.close()
        for leave in ("close", "reset"):
            wire = met(bench)
            wire.send(half)
            (wire.reset if leave == "reset" else wire.close)()
            bench.must_serve(f"the server to go on after a {leave} within a frame")


def _must_end(wire: Wire, what: str) -> None:
    try:
        rest = wire.receive_rest()
    except Failed as failure:
        likely = failure.likely if failure.likely == symptoms.RESET else ""
        raise Failed(what, failure.actual, likely=likely) from None
    if rest:
        raise Failed(what, f"{shown(rest)} came")


@check(
    "fr/8",
    "frames",
    what="A client sends its frame a byte at a time; others, old and new, must be served in "
    "between.",
    why="Who is slow must wait for nobody but himself, and nobody for him.",
    mistake="A loop in the one thread of all that reads a frame to its end before it looks at "
    "anybody else. Keep a buffer for each connection, or give each a thread.",
    calls="recv(2) that blocks, or MSG_WAITALL; epoll_wait(2).",
    together=True,
    content=True,
)
def slow_one(bench: Bench) -> None:
    slow, other, chance = met(bench), met(bench), _drawn(bench, "fr/8")
    what = "another client's sum beside one who is in the middle of a frame"
    head, frame = bench.subject.variant.header, bench.subject.variant.frame
    sent = frame(_numbers(chance, TRICKLED))
    slow.send(sent[:head])
    for byte in sent[head:-1][:TRICKLED]:
        slow.send(bytes([byte]))
        slow.wait_until_delivered()
        numbers = _numbers(chance, 2)
        other.send(frame(numbers))
        _hear(bench, other, numbers, what)
    bench.must_serve("a newcomer to be served beside one who is in the middle of a frame")
