"""UDP echo: what clients do to it, and what must happen."""

from __future__ import annotations

import contextlib
import ipaddress
import random
import socket
import struct
import time
from collections.abc import Callable, Iterable

from compare.check import content, symptoms
from compare.check.bench import Bench, Skipped
from compare.check.catalogue import check
from compare.check.failure import FEW, Failed, must_equal
from compare.check.soon import SOON_S, must_be_soon

LARGEST = 65507  # what fits into an IPv4 packet
SIZES = (0, 1, 1472, LARGEST)
EDGES = (1472, 1473, 8972, 8973, 9000, 9001, LARGEST - 1, LARGEST)  # of frames, of IP
DRAWN = 1000
CROWD, CROWDS = 8, 400
TRIPS = 15
TRIES = 3


def ask(bench: Bench, sock: socket.socket, data: bytes, what: str, *, note: bool = True) -> None:
    """`data` is sent, and comes back as it was. note: it belongs to the lesson of a failure."""
    if note:
        bench.timeline.note("client", f"send({len(data)})")
    sock.send(data)
    try:
        answer = sock.recv(2 * LARGEST)
    except OSError as error:
        silent = isinstance(error, TimeoutError)
        said = f"nothing came within {bench.patience:.1f} s" if silent else f"recv() said {error}"
        # An empty one, or one too large for a frame, may be what is not answered.
        likely = symptoms.UNANSWERED if 0 < len(data) <= SIZES[2] else ""
        raise Failed(what, said, likely=likely) from None
    if note:
        bench.timeline.note("client", "recv()", str(len(answer)))
    must_equal(answer, data, what)


def ask_of_many(bench: Bench, sock: socket.socket, data: bytes) -> None:
    """The same of one among thousands, where what comes back is not what is asked."""
    try:
        ask(bench, sock, data, "a datagram of many back", note=False)
    except Failed as failure:
        bench.timeline.note("client", f"send({len(data)}), recv()", failure.actual)
        failure.likely = failure.likely or symptoms.CHANGED
        raise


def must_still_serve(bench: Bench, why: str, *, after: bool = False) -> None:
    """A new client is answered. after: what came before is why it may not be."""
    sock = bench.datagrams()
    for _ in range(3):
        try:
            ask(bench, sock, b"still there?", why)
            return
        except Failed as failure:
            if ending := bench.ending():
                raise Failed(why, f"it has ended: {ending}") from None
            last = failure
    if after:
        last.likely = ""
    raise last


def _comes_back_whole(size: int) -> Callable[[Bench], None]:
    def run(bench: Bench) -> None:
        data = random.Random(bench.seed).randbytes(size)
        ask(bench, bench.datagrams(), data, f"a datagram of {size} bytes back")
        must_still_serve(bench, f"the server to go on after {size} bytes")

    return run


@check(
    "udp/1",
    "udp-echo",
    what="Sends datagrams of 0, 1, 1,472 and 65,507 bytes, one twice, then fifty at once; each "
    "must come back as it was, and by itself.",
    why="A datagram is a message: what UDP keeps is where it begins and ends, and an empty one is "
    "one, too.",
    mistake="A receive buffer that is too small cuts; `if not data` drops the empty one, as "
    "asyncio up to 3.12 does in sendto(): send that on the raw socket. Sending an answer again, or "
    "dropping a question that has come before.",
    calls="recvfrom(2) cuts what does not fit, without a word; sendto(2).",
    content=True,
)
def whole_datagrams(bench: Bench) -> None:
    for size in SIZES:
        _comes_back_whole(size)(bench)
    for data in (bytes(10), b"a line\r\n", b" "):
        ask(bench, bench.datagrams(), data, f"{data!r} back")
    sock = bench.datagrams()
    for times in ("back", "back, sent again"):
        ask(bench, sock, b"the same", f"{b'the same'!r} {times}")
    sock = bench.datagrams()
    chance = random.Random(bench.seed)
    sent = [chance.randbytes(20 + number) for number in range(50)]
    for datagram in sent:
        sock.send(datagram)
    bench.timeline.note("client", f"{len(sent)} times send()")
    echoes: list[bytes] = []
    try:
        while len(echoes) < len(sent):
            echoes.append(sock.recv(2 * LARGEST))
    except OSError:
        actual = f"{len(echoes)} came, then nothing"
        raise Failed(
            "fifty datagrams back, sent at once", actual, likely=symptoms.NOT_ALL
        ) from None
    if sorted(echoes) != sorted(sent):
        strange = next(each for each in echoes if each not in sent or echoes.count(each) > 1)
        how = "which was not sent so" if strange not in sent else "more often than it was sent"
        likely = symptoms.MORE_THAN_ONCE if strange in sent else ""
        actual = f"{strange[:40]!r} came, {how}"
        raise Failed("each datagram back by itself, and once", actual, likely=likely)


@check(
    "udp/7",
    "udp-echo",
    what="Two clients in turn, of the same port at two addresses where there are two, send a "
    "thousand datagrams of drawn sizes from 0 to 65,507 bytes, and some hundred texts, then eight "
    "at the same time; each must get its own back as it was.",
    why="A datagram may have any size: most of them are none that a network has.",
    mistake="A buffer of what fits into an Ethernet frame, 1,472 or 9,000 bytes; strip() or "
    "lower(); a word such as `quit` taken for a command; a buffer that all clients share; a table "
    "of clients by their port alone.",
    calls="recvfrom(2) cuts what does not fit, without a word; sendto(2): the client's address.",
    content=True,
    needs="udp/1",
)
def any_size(bench: Bench) -> None:
    chance = random.Random(bench.seed)
    data = chance.randbytes(2 * LARGEST)
    sizes = [0, *content.lengths(bench.seed, most=LARGEST, number=DRAWN), *EDGES]
    starts = [chance.randint(0, LARGEST) for _ in sizes]
    datagrams = [data[at : at + size] for at, size in zip(starts, sizes, strict=True)]
    datagrams += content.texts(bench.seed)
    first = bench.datagrams()
    clients = first, bench.datagrams(source=bench.namesake_of(first))
    by_each = datagrams[::2], datagrams[1::2]
    for pair in zip(*by_each, strict=False):
        for sock, datagram in zip(clients, pair, strict=True):
            sock.send(datagram)
        for sock, datagram, others in zip(clients, pair, reversed(by_each), strict=True):
            _must_be_answered(bench, sock, datagram, others, clients)
    _all_at_once(bench)


def _all_at_once(bench: Bench) -> None:
    """Several ask at the same time, again and again, and each hears its own."""
    clients = [bench.datagrams() for _ in range(CROWD)]
    for number in range(CROWDS):
        sent = [b"client %d, question %d" % (each, number) for each in range(CROWD)]
        for sock, datagram in zip(clients, sent, strict=True):
            sock.send(datagram)
        for sock, datagram in zip(clients, sent, strict=True):
            _must_be_answered(bench, sock, datagram, sent, clients)


def _must_be_answered(
    bench: Bench,
    sock: socket.socket,
    sent: bytes,
    by_others: list[bytes],
    clients: Iterable[socket.socket],
) -> None:
    words = f"{len(sent):,} bytes" if len(sent) > 40 else f"{sent!r}"
    what = f"a datagram of {words} back"
    call = f"send({len(sent)}), recv()"
    try:
        answer = sock.recv(2 * LARGEST)
    except OSError as error:
        why = "nothing came" if isinstance(error, TimeoutError) else f"recv() said {error.strerror}"
        bench.timeline.note("client", call, why)
        likely = symptoms.MISDIRECTED if any(_has_come(each, sent) for each in clients) else ""
        raise Failed(what, why, likely=likely) from None
    if answer != sent:
        bench.timeline.note("client", call, str(len(answer)))
        if len(answer) > FEW and answer in by_others:
            raise Failed(what, "what another client had sent came", likely=symptoms.OTHERS)
        must_equal(answer, sent, what)


def _has_come(sock: socket.socket, datagram: bytes) -> bool:
    """Whether it is among what there is to read now."""
    with contextlib.suppress(OSError):
        while (came := sock.recv(2 * LARGEST, socket.MSG_DONTWAIT)) != datagram:
            pass
        return came == datagram
    return False


@check(
    "udp/10",
    "udp-echo",
    what="Sends datagrams of a few sizes, each when the last has come back; as a rule that must "
    "take less than 10 ms.",
    why="A client that waits for each answer does 50 in a second where each takes 20 ms.",
    mistake="sleep() in the loop, or a look at the socket every few milliseconds instead of "
    "waiting for it.",
    calls="recvfrom(2), poll(2), which return when there is something.",
    needs="udp/1",
)
def soon(bench: Bench) -> None:
    sock, data = bench.datagrams(), random.Random(bench.seed).randbytes(LARGEST)
    ask(bench, sock, b"hello", "a datagram back")

    def trip_s(size: int) -> float:
        began = time.perf_counter()
        ask_of_many(bench, sock, data[:size])
        return time.perf_counter() - began

    limit, way = SOON_S * max(1.0, bench.patience / 3), 0.0
    if not ipaddress.ip_address(sock.getpeername()[0]).is_loopback:  # the way there takes time, too
        way = 3 * min(trip_s(1) for _ in range(TRIPS))
    for size in (1, 100, 1472, 9000):
        must_be_soon(
            [[trip_s(size) for _ in range(TRIPS)] for _ in range(TRIES)],
            f"an answer to {size:,} bytes",
            limit,
            way,
        )


@check(
    "udp/2",
    "udp-echo",
    what="Sends from source port 0, which nobody can answer (raw socket); the server must go on.",
    why="Anybody can write that into a header.",
    mistake="sendto() fails with EINVAL, and nobody catches it.",
    calls="sendto(2): EINVAL.",
)
def from_port_0(bench: Bench) -> None:
    must_still_serve(bench, "to be served before that")
    family = socket.AF_INET6 if ":" in bench.place.host else socket.AF_INET
    try:
        raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_UDP)
    except PermissionError:
        raise Skipped("forging a source port takes a raw socket: run as root") from None
    if family == socket.AF_INET6:  # where a checksum there must be, at this offset: ipv6(7)
        raw.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_CHECKSUM, 6)
    payload = b"nobody can answer this"
    header = struct.pack("!4H", 0, bench.place.port, 8 + len(payload), 0)  # RFC 768; no checksum
    with raw:
        for _ in range(10):
            raw.sendto(header + payload, (bench.place.host, 0))
    bench.timeline.note("client", "10 times sendto() from port 0")
    must_still_serve(bench, "the server to go on after datagrams from port 0", after=True)


@check(
    "udp/6",
    "udp-echo",
    what="Clients send and close before the answer, which is then refused by ICMP; others must be "
    "served.",
    why="The kernel tells that to whoever sent, in the next call on that socket.",
    mistake="recvfrom() or sendto() fails with ECONNREFUSED, and nobody catches it.",
    calls="recvfrom(2), sendto(2): ECONNREFUSED; udp(7).",
)
def refused_answers(bench: Bench) -> None:
    must_still_serve(bench, "to be served before that")
    # While it stands still, so that all are gone when it answers; else most of them are.
    with bench.stopped() if bench.inside else contextlib.nullcontext():
        for _ in range(20):
            gone = bench.datagrams()
            gone.send(b"hello")
            gone.close()
        bench.timeline.note("clients", "20 times send(), close()")
    must_still_serve(bench, "the server to go on after answers that were refused", after=True)
