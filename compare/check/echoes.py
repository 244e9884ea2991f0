"""TCP echo: all that a client may send comes back, however much, whatever it says, and soon."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import partial

from compare.check import content, symptoms
from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.failure import Differs, Failed
from compare.check.hello import STREAMS
from compare.check.soon import SOON_S, must_be_soon
from compare.check.wire import Wire

KIB, MIB = 1024, 1024 * 1024
FAR_MIB = 256
MESSAGES = 10_000
LONGEST = 256 * KIB  # message
ENOUGH = 5  # times the patience; who is slow is asked less
FIRST_S = 0.2  # a process for each client takes its time
TRIPS = 15
TRIES = 3
ASKS_WHO = (
    "A name that is looked up for each client, such as by gethostbyaddr(), or a sleep before the "
    "first answer: an address will do, and whoever waits for data needs no pause."
)


@check(
    "tcp/20",
    "tcp-echo",
    what="Sends some hundred texts: words such as quit, upper and lower case, lines with both "
    "ends, runs of NULs and blanks, and half a character; each must come back as it was, and the "
    "connection stay open.",
    why="To an echo server nothing that is sent means anything.",
    mistake="A command such as `quit` left from another exercise; lower(), strip() or split(); a C "
    "string, which ends at a NUL; printf() with what was received as the format.",
    calls="none: it is what is done with the bytes.",
    content=True,
    needs="tcp/1",
)
def texts(bench: Bench) -> None:
    wire, messages = bench.connect(), content.texts(bench.seed)
    for message in messages:
        _comes_back(wire, message)
    wire.close()
    for message in messages:  # some are looked for in the first message only
        wire = bench.connect()
        _comes_back(wire, message)
        wire.close()


def _comes_back(wire: Wire, message: bytes) -> None:
    shown = f"{message[:40]!r}{' ...' if len(message) > 40 else ''}"
    wire.exchange(message, f"{shown} back as it was")
    wire.exchange(b"and then", f"the connection to stay open after {shown}")


@check(
    "tcp/21",
    "tcp-echo",
    what="Sends 256 MiB through one connection, in which no two pieces are equal; the same must "
    "come back.",
    why="Files, backups and videos are larger than any buffer, and one byte too few is a broken "
    "file.",
    mistake="A counter or an offset that overflows, the rest of a partial send() that is dropped "
    "when buffers are full, a limit on what a connection may send.",
    calls="send(2), which may take only some; splice(2), sendfile(2).",
    content=True,
    needs="tcp/1",
)
def far_into_a_stream(bench: Bench) -> None:
    wire, began = bench.connect(), time.monotonic()
    for number, block in enumerate(content.stream(bench.seed, FAR_MIB, MIB)):
        try:
            wire.exchange(block, f"{FAR_MIB} MiB back unchanged", origin=number * MIB)
        except Differs as failure:
            if number == 0:  # it is not how far it is
                failure.likely = failure.likely or symptoms.CHANGED
            raise
        if time.monotonic() - began > ENOUGH * bench.patience:
            return


@check(
    "tcp/22",
    "tcp-echo",
    what="Sends 10,000 messages one after the other on one connection, of drawn lengths up to "
    "256 KiB and at every power of two; each must come back.",
    why="Connections of real clients live for days, and their messages have any length.",
    mistake="A loop that ends after so many reads; a buffer that a message of just that length "
    "fills; a length that is kept in a type too small for it.",
    calls="recv(2): returns as many bytes as the buffer has when more are there.",
    content=True,
    needs="tcp/1",
)
def many_messages(bench: Bench) -> None:
    chance = random.Random(bench.seed)
    long = content.lengths(bench.seed, most=LONGEST, number=200)
    data = chance.randbytes(LONGEST)
    wire, began = bench.connect(), time.monotonic()
    for number in range(MESSAGES):
        length = long[number] if number < len(long) else chance.randint(1, 64)
        at = chance.randint(0, LONGEST - length)
        message = data[at : at + length]
        wire.exchange(message, f"message {number + 1:,} of this connection, {length:,} bytes, back")
        if time.monotonic() - began > ENOUGH * bench.patience:
            return


@check(
    "tcp/23",
    *STREAMS,
    what="Sends messages, of a few lengths where that can be, each when the last is answered; as "
    "a rule that must take less than 10 ms, and 200 where a connection is new.",
    why="A client that waits for each answer does 50 in a second where each takes 20 ms.",
    mistake="sleep() in the loop, or a look at the sockets every few milliseconds instead of "
    "waiting for them; an answer in two writes, the second of which Nagle's algorithm holds back "
    "for 40 ms; MSG_MORE or TCP_CORK where nothing more follows, for 200 ms.",
    calls="poll(2), epoll_wait(2), which return when there is something; tcp(7): TCP_NODELAY.",
    needs="tcp/2",
)
def soon(bench: Bench) -> None:
    wire, chance = bench.connect(), random.Random(bench.seed)
    bench.greet(wire)
    slower, distance = max(1.0, bench.patience / 3), 3 * wire.distance_s()
    asked = {"an answer to a hello": partial(bench.greet, wire)}
    if bench.subject.profile == "tcp-echo":
        asked = {
            f"an answer to {length:,} bytes": partial(wire.exchange, chance.randbytes(length))
            for length in (1, 100, 1461, 4096, 5000, 20_000, 65_536)
        }
    for what, ask in asked.items():
        tries = [[_trip_s(ask) for _ in range(TRIPS)] for _ in range(TRIES)]
        must_be_soon(tries, what, SOON_S * slower, distance)
    wire.close()  # who serves one at a time may do so
    took = min(_first_trip_s(bench) for _ in range(TRIES))
    if took > (limit := FIRST_S * slower + distance):
        raise Failed(
            f"the first answer of a connection within {limit * 1000:.0f} ms",
            f"each took {took * 1000:.0f} ms or more",
            likely=ASKS_WHO,
        )


def _first_trip_s(bench: Bench) -> float:
    """From before the connection on."""
    began = time.perf_counter()
    wire = bench.connect()
    bench.greet(wire)
    took = time.perf_counter() - began
    wire.close()
    return took


def _trip_s(ask: Callable[[], None]) -> float:
    began = time.perf_counter()
    try:
        ask()
    except Failed as failure:
        failure.likely = failure.likely or symptoms.CHANGED
        raise
    return time.perf_counter() - began
