"""What is left of each connection, message and datagram, if something is."""

from __future__ import annotations

import errno
import random
import socket
import time

from compare.check import symptoms
from compare.check.bench import Bench
from compare.check.blame import Skipped, of_this_machine
from compare.check.catalogue import check
from compare.check.growth import must_level_off
from compare.check.udp import ask_of_many
from compare.check.wire import Failed

KIB = 1024
LOT = 2500  # connections
AT_ONCE = 4  # of them: fewer than the shortest usual backlog, which is another check's business
SAID = 4 * KIB  # by every second client
MESSAGES = 5000  # in a lot
LONGEST = 16 * KIB
DATAGRAMS = 5000
SOURCES = 50  # datagrams from each socket


@check(
    "tcp/13",
    "tcp-echo",
    what="Thousands of clients connect and close, every second one after 4 KiB there and back; "
    "descriptors, threads, processes and memory must come to grow no more. A server that still "
    "grows is asked for up to 60,000.",
    why="What leaks a little with each connection ends the server in a week.",
    mistake="A connection, or what it has said, that is forgotten in a dict or list; a thread that "
    "is never joined, a child that nobody waits for; a socket that is not closed when it said "
    "nothing.",
    calls="close(2); waitpid(2), or SIGCHLD ignored, after fork(2).",
    inside=True,
)
def comings_and_goings(bench: Bench) -> None:
    data = random.Random(bench.seed).randbytes(SAID)

    def some(until: float) -> int:
        for number in range(0, LOT, AT_ONCE + 1):
            for each in range(AT_ONCE):
                come_and_go(bench, data if each % 2 else b"")
            bench.must_serve("the server to go on")  # so all before it have been accepted
            if time.monotonic() > until:
                return number + AT_ONCE + 1
        return LOT

    must_level_off(bench, some, "connections")


def come_and_go(bench: Bench, data: bytes) -> None:
    """One client, which says `data` and waits until it has come back."""
    try:
        with socket.create_connection(bench.place[1:], bench.patience) as sock:
            sock.sendall(data)
            left = len(data)
            while left and (piece := sock.recv(left)):
                left -= len(piece)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise Skipped(
                "this machine has no port left for a client (net.ipv4.ip_local_port_range): those "
                "of connections that have ended are kept for a minute; try again then"
            ) from None
        if of_this_machine(error):
            raise
        likely = symptoms.CHANGED if data and isinstance(error, TimeoutError) else ""
        if isinstance(error, ConnectionResetError):
            likely = symptoms.RESET
        what = "connections one after the other"
        raise Failed(what, f"one said {error}", likely=likely) from None
    if left:
        actual = f"the end came {left:,} bytes before"
        raise Failed(f"{len(data):,} bytes back", actual, likely=symptoms.CHANGED)


@check(
    "tcp/13-kept",
    "tcp-echo",
    what="One client sends thousands of messages of up to 16 KiB, each when the last has come "
    "back; memory must come to grow no more. A server that still grows is asked for up to 120,000.",
    why="Connections of real clients live for days, and what is kept of each message adds up.",
    mistake="A history, a log or a list of all that was read, kept while the connection lasts; a "
    "string that is only ever added to.",
    calls="none: it is what is done with the bytes.",
    inside=True,
)
def messages_kept(bench: Bench) -> None:
    chance = random.Random(bench.seed)
    data, wire = chance.randbytes(LONGEST), bench.connect()

    def say(until: float) -> int:
        for number in range(MESSAGES):
            try:
                wire.exchange(data[: chance.randint(1, LONGEST)])
            except Failed as failure:  # by which nothing is known of what is kept
                failure.likely = failure.likely or symptoms.CHANGED
                raise
            if time.monotonic() > until:
                return number + 1
        return MESSAGES

    must_level_off(bench, say, "messages")


@check(
    "udp/9",
    "udp-echo",
    what="Clients send thousands of datagrams, a new one after every fifty; descriptors, threads "
    "and memory must come to grow no more. A server that still grows is asked for up to 120,000.",
    why="There is no end of a client with UDP: what is kept of each is kept for ever.",
    mistake="A table of all who have ever asked, or a socket or thread for each.",
    calls="recvfrom(2): the address; whoever is silent for long must be forgotten.",
    inside=True,
)
def datagrams_kept(bench: Bench) -> None:
    data = random.Random(bench.seed).randbytes(LONGEST)

    def say(until: float) -> int:
        for number in range(0, DATAGRAMS, SOURCES):
            with bench.datagrams() as sock:
                for length in range(1, SOURCES + 1):
                    ask_of_many(bench, sock, data[: length * 20])
            if time.monotonic() > until:
                return number + SOURCES
        return DATAGRAMS

    must_level_off(bench, say, "datagrams")
