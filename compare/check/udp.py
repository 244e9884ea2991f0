"""UDP echo: what clients do to it, and what must happen."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import random
import socket
import struct
import time
from collections.abc import Callable

from compare.check import content, symptoms
from compare.check.bench import Bench, Skipped, free_port
from compare.check.catalogue import check
from compare.check.failure import Failed, must_equal
from compare.check.soon import SOON_S, must_be_soon
from compare.check.wire import wait_until
from compare.host.place import Place

LARGEST = 65507  # what fits into an IPv4 packet
SIZES = (0, 1, 1472, LARGEST)
EDGES = (1472, 1473, 8972, 8973, 9000, 9001, LARGEST - 1, LARGEST)  # of frames, of IP
DRAWN = 1000
TRIPS = 15
TRIES = 3
FEW = 3  # bytes, which may be equal by chance


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


def _still_serves(bench: Bench, why: str, *, after: bool = False) -> None:
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
        _still_serves(bench, f"the server to go on after {size} bytes")

    return run


@check(
    "udp/1",
    "udp-echo",
    what="Sends datagrams of 0, 1, 1,472 and 65,507 bytes, then fifty at once; each must come back "
    "as it was, and by itself.",
    why="A datagram is a message: what UDP keeps is where it begins and ends, and an empty one is "
    "one, too.",
    mistake="A receive buffer that is too small cuts; `if not data` drops the empty one, as "
    "asyncio up to 3.12 does in sendto(): send that on the raw socket. Sending an answer again.",
    calls="recvfrom(2) cuts what does not fit, without a word; sendto(2).",
    content=True,
)
def whole_datagrams(bench: Bench) -> None:
    for size in SIZES:
        _comes_back_whole(size)(bench)
    for data in (bytes(10), b"a line\r\n", b" "):
        ask(bench, bench.datagrams(), data, f"{data!r} back")
    sock = bench.datagrams()
    sent = [b"%d" % number * number for number in range(50)]
    for datagram in sent:
        sock.send(datagram)
    bench.timeline.note("client", f"{len(sent)} times send()")
    echoes: list[bytes] = []
    try:
        while len(echoes) < len(sent):
            echoes.append(sock.recv(2 * LARGEST))
    except OSError:
        raise Failed(
            "fifty datagrams back, sent at once", f"{len(echoes)} came, then nothing"
        ) from None
    if sorted(echoes) != sorted(sent):
        strange = next(each for each in echoes if each not in sent or echoes.count(each) > 1)
        how = "which was not sent so" if strange not in sent else "more often than it was sent"
        raise Failed("each datagram back by itself, and once", f"{strange[:40]!r} came, {how}")


@check(
    "udp/7",
    "udp-echo",
    what="Two clients in turn send a thousand datagrams of drawn sizes from 0 to 65,507 bytes, and "
    "some hundred texts; each must get its own back as it was.",
    why="A datagram may have any size: most of them are none that a network has.",
    mistake="A buffer of what fits into an Ethernet frame, 1,472 or 9,000 bytes; strip() or "
    "lower(); a word such as `quit` taken for a command; a buffer that all clients share.",
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
    clients = bench.datagrams(), bench.datagrams()
    by_each = datagrams[::2], datagrams[1::2]
    for pair in zip(*by_each, strict=False):
        for sock, datagram in zip(clients, pair, strict=True):
            sock.send(datagram)
        for sock, datagram, others in zip(clients, pair, reversed(by_each), strict=True):
            _must_be_answered(bench, sock, datagram, others)


def _must_be_answered(
    bench: Bench, sock: socket.socket, sent: bytes, by_others: list[bytes]
) -> None:
    words = f"{len(sent):,} bytes" if len(sent) > 40 else f"{sent!r}"
    what = f"a datagram of {words} back"
    call = f"send({len(sent)}), recv()"
    try:
        answer = sock.recv(2 * LARGEST)
    except OSError as error:
        why = "nothing came" if isinstance(error, TimeoutError) else f"recv() said {error.strerror}"
        bench.timeline.note("client", call, why)
        raise Failed(what, why) from None
    if answer != sent:
        bench.timeline.note("client", call, str(len(answer)))
        if len(answer) > FEW and answer in by_others:
            raise Failed(what, "what another client had sent came", likely=symptoms.OTHERS)
        must_equal(answer, sent, what)


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
    _still_serves(bench, "to be served before that")
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
    _still_serves(bench, "the server to go on after datagrams from port 0", after=True)


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
    _still_serves(bench, "to be served before that")
    # While it stands still, so that all are gone when it answers; else most of them are.
    with bench.stopped() if bench.inside else contextlib.nullcontext():
        for _ in range(20):
            gone = bench.datagrams()
            gone.send(b"hello")
            gone.close()
        bench.timeline.note("clients", "20 times send(), close()")
    _still_serves(bench, "the server to go on after answers that were refused", after=True)


@check(
    "udp/3",
    "udp-echo",
    what="Sends from ports 7, 19 and 1023; there must be no answer.",
    why="Two services that answer anything, told of each other by a forged sender, talk for ever "
    "(CVE-2024-2169).",
    mistake="Answering whoever asks. Answer nobody below port 1024.",
    calls="recvfrom(2): the address has the port.",
    limit="no-privileged",
)
def privileged_ports(bench: Bench) -> None:
    pid = os.getpid()  # whoever makes this check at the same time comes from elsewhere
    source = f"127.7.{pid >> 8 & 255}.{pid & 255}"
    if ":" in bench.place.host:
        source = bench.place.host  # where loopback has one address only
    for port in (7, 19, 1023):
        try:
            sock = bench.datagrams(source=(source, port))
        except PermissionError:
            raise Skipped("a source port below 1024 takes CAP_NET_BIND_SERVICE") from None
        sock.send(b"are you an echo server, too?")
        _still_serves(bench, "others to be served")
        sock.settimeout(0.05)
        try:
            answer = sock.recv(LARGEST)
        except TimeoutError:
            continue
        raise Failed(f"no answer to port {port}", f"{len(answer)} bytes came")


@check(
    "udp/4",
    "udp-echo",
    what="One source sends for a second, as fast as it can; it must be answered no more than twice "
    "the declared rate, and again when it is quiet. Another source must be served meanwhile.",
    why="Two echo servers told of each other by a forged datagram would else fill the network.",
    mistake="No count per source; or one that all share, so that one loud source silences all.",
    calls="recvfrom(2): the address; clock_gettime(2).",
    limit="rate",
)
def loud_source(bench: Bench) -> None:
    loud, other = bench.datagrams(), bench.datagrams(source=(bench.second_source(), 0))
    ask(bench, other, b"hello", "the first datagram back")
    loud.setblocking(False)
    sent = answered = 0
    began = time.monotonic()
    while (elapsed := time.monotonic() - began) < 1:
        with contextlib.suppress(BlockingIOError):
            loud.send(b"and now?")
            sent += 1
        answered += _heard(loud)
    bench.timeline.note("client", f"{sent:,} times send() in a second", f"{answered:,} answers")
    if sent < 4 * bench.limit:
        raise Skipped(f"this machine sends {sent:,} a second: too few for {bench.limit:g}")
    allowed = bench.limit * (1 + elapsed)  # it may have begun to count anew in between
    if answered > allowed:
        raise Failed(
            f"at most {allowed:,.0f} answers in {elapsed:.2f} s",
            f"{answered:,} of {sent:,} were answered",
        )
    if not answered:
        raise Failed(f"{bench.limit:g} answers a second", "none came")
    _ask_until_served(bench, other)

    def is_answered() -> bool:
        loud.send(b"and now?")
        return _heard(loud) > 0

    if not wait_until(is_answered, 2 + bench.patience):
        raise Failed("the source to be answered when it is quiet again", "it was not")


def _ask_until_served(bench: Bench, sock: socket.socket) -> None:
    """Ask again and again: what comes while the server's buffer is full is lost."""
    sock.settimeout(bench.patience / 10)
    for _ in range(10):
        try:
            ask(bench, sock, b"hello", "another source to be served")
            return
        except Failed as failure:
            last = failure
    raise last


def _heard(sock: socket.socket) -> int:
    """How many datagrams there are to read now."""
    number = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.recv(LARGEST)
            number += 1
    return number


@check(
    "udp/5",
    "udp-echo",
    what="The server listens at all addresses, and is sent to by broadcast and multicast; there "
    "must be no answer.",
    why="One forged datagram to a whole network would be answered by all of it, at the victim.",
    mistake="Not looking at where a datagram was sent to.",
    calls="recvmsg(2) with IP_PKTINFO; setsockopt(2) SO_ATTACH_FILTER.",
    limit="no-broadcast",
)
def broadcast(bench: Bench) -> None:
    _must_listen_anywhere(bench)
    with socket.socket(type=socket.SOCK_DGRAM) as asker:  # hears whoever answers
        asker.bind(("127.0.0.1", 0))
        asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        asker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
        for group in ("127.255.255.255", "224.0.0.1"):
            bench.timeline.note("client", f"sendto({group})")
            with contextlib.suppress(OSError):  # the loopback interface may know no groups
                asker.sendto(b"anybody there?", (group, bench.place.port))
            _still_serves(bench, "who asks it directly to be served")
            asker.setblocking(False)
            if _heard(asker):
                raise Failed(f"no answer to what was sent to {group}", "an answer came")


def _must_listen_anywhere(bench: Bench) -> None:
    """It is started at all addresses, where that can be; raises Skipped where it is not there."""
    if bench.inside and bench.subject.takes_a_port:
        bench.start(Place("udp", "0.0.0.0", free_port("udp")))
    if not any(each.host == "0.0.0.0" for each in bench.place.bound()):
        raise Skipped("it does not listen at all addresses: let {host} say where, in the command")


@check(
    "udp/11",
    "udp-echo",
    what="The server listens at all addresses, and is asked at 127.0.0.2; the answer must come "
    "from there.",
    why="A client takes an answer from whom it asked; a host with two addresses is else mute.",
    mistake="sendto() from a socket that is bound to all addresses: the kernel takes the one that "
    "is nearest to the client.",
    calls="recvmsg(2) with IP_PKTINFO, and sendmsg(2) with what it gave: ip(7).",
    limit="asked-address",
)
def from_the_address_that_was_asked(bench: Bench) -> None:
    _must_listen_anywhere(bench)
    for host in ("127.0.0.1", "127.0.0.2"):
        what = f"an answer from {host}, which was asked"
        with socket.socket(type=socket.SOCK_DGRAM) as asker:
            asker.settimeout(bench.patience)
            asker.bind(("127.0.0.1", 0))
            asker.sendto(b"where are you?", (host, bench.place.port))
            try:
                _, source = asker.recvfrom(LARGEST)
            except OSError as error:
                raise Failed(what, f"none came: {error}") from None
            bench.timeline.note("client", f"sendto({host}), recvfrom()", source[0])
        if source[0] != host:
            raise Failed(what, f"it came from {source[0]}")
