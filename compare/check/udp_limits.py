"""Limits of UDP echo, only where the server declares them, as `--limit rate=1000`."""

from __future__ import annotations

import contextlib
import os
import socket
import time

from compare.check.bench import Bench, Skipped, free_port
from compare.check.catalogue import check
from compare.check.failure import Failed
from compare.check.udp import LARGEST, ask, must_still_serve
from compare.check.wire import wait_until
from compare.host.place import Place


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
        must_still_serve(bench, "others to be served")
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
            must_still_serve(bench, "who asks it directly to be served")
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
