"""What is left of each connection, message, datagram and member, if something is."""

from __future__ import annotations

import errno
import random
import socket
import time
from collections.abc import Callable

from compare.check import diagnosis, symptoms
from compare.check.bench import Bench
from compare.check.blame import Skipped, of_this_machine
from compare.check.catalogue import check
from compare.check.failure import Failed
from compare.check.growth import must_level_off
from compare.check.hello import STREAMS, hello
from compare.check.room import (
    Words,
    enter,
    join,
    must_hear,
    must_tell_of,
    roster,
    visit,
)
from compare.check.udp import ask_of_many
from compare.check.wire import RESET
from compare.host import process

KIB = 1024
LOT = 2500  # connections
AT_ONCE = 4  # of them: fewer than the shortest usual backlog, which is another check's business
SAID = 4 * KIB  # by a client, where that is echoed
UNREAD = 8  # times that, by one that reads nothing
MESSAGES = 7000  # in a lot
LONGEST = 16 * KIB
DATAGRAMS = 8000
MEMBERS = 1000  # of a room, who come and go in a lot
LINES = 5000  # that are said in a lot
BURST = 25  # lines at a time: they fit into every buffer
LINE = 250  # characters of one at the most: what becomes of longer ones is asked by chat/10


@check(
    "tcp/13",
    *STREAMS,
    what="Thousands of clients connect and leave, some after an answer, some before anything or "
    "with their answers unread, half by close() and half by a reset; descriptors, threads, "
    "processes and memory must come to grow no more. A server that still grows is asked for up to "
    "60,000.",
    why="What leaks a little with each connection ends the server in a week.",
    mistake="A connection, or what it has said, that is forgotten in a dict or list; a thread that "
    "is never joined, a child that nobody waits for; a socket that is not closed when it said "
    "nothing; a place that is given back where recv() has returned 0, and not where it failed.",
    calls="close(2); waitpid(2), or SIGCHLD ignored, after fork(2).",
    inside=True,
    needs="tcp/4",
)
def comings_and_goings(bench: Bench) -> None:
    said = heard = random.Random(bench.seed).randbytes(SAID)
    if bench.subject.profile != "tcp-echo":
        said, heard = hello(bench.subject.profile, 0, bench.subject.variant)
    unread = said * UNREAD

    def a_few(number: int) -> None:
        come_and_go(bench, b"", b"")
        come_and_go(bench, said, heard)
        come_and_go(bench, b"", b"", reset=True)
        stalled = bench.connect(receive_buffer=4 * KIB)
        stalled.send_until_stuck(unread, 0)
        stalled.reset()
        bench.must_serve("the server to go on")  # so all before it have been accepted

    bench.must_serve("to be served before thousands are")
    must_stay_level(bench, a_few, AT_ONCE + 1, LOT, "connections", symptoms.COUNTED)


def must_stay_level(
    bench: Bench, do: Callable[[int], None], at_once: int, lot: int, what: str, symptom: str = ""
) -> None:
    """Have lots of `what` done, so many at once, the first of which has that number in its lot.

    symptom: what it is likely to be if one fails; nothing is known then of what is kept.
    """

    done = 0

    def some(until: float) -> int:
        nonlocal done
        for number in range(0, lot, at_once):
            try:
                do(number)
            except Failed as failure:
                failure.likely = failure.likely or symptom
                raise
            done += at_once
            if time.monotonic() > until:
                return number + at_once
        return lot

    try:
        must_level_off(bench, some, what)
    except Failed as failure:
        if likely := _of_thousands(bench, done):
            failure.likely, failure.sure = likely, True
        raise


def _of_thousands(bench: Bench, clients: int) -> str:
    """What a server that was started here shows to have been left of so many."""
    if not bench.inside or bench.ending():
        return ""
    return diagnosis.of_thousands(bench.look(), clients, process.areas(bench.server.pid))


def come_and_go(bench: Bench, data: bytes, answer: bytes, *, reset: bool = False) -> None:
    """One client, which says `data` and waits until as much as `answer` has come back.

    reset: it leaves by that.
    """
    changed, left = symptoms.UNHEEDED.get(bench.subject.profile, symptoms.CHANGED), len(answer)
    try:
        with socket.create_connection(bench.place[1:], bench.patience) as sock:
            sock.sendall(data)
            while left and (piece := sock.recv(left)):
                left -= len(piece)
            if reset:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    except OSError as error:
        if error.errno == errno.EADDRNOTAVAIL:
            raise Skipped(
                "this machine has no port left for a client (net.ipv4.ip_local_port_range): those "
                "of connections that have ended are kept for a minute; try again then"
            ) from None
        if of_this_machine(error):
            raise
        silent = isinstance(error, TimeoutError)
        likely = changed if data and silent and left < len(answer) else ""
        if isinstance(error, ConnectionResetError) and (left < len(answer) or not answer):
            likely = symptoms.RESET
        what = "connections one after the other"
        actual = f"one said {error}"
        if data and silent:
            actual = f"of one {len(answer) - left:,} of {len(answer):,} bytes came back, then "
            actual += f"nothing for {bench.patience:.1f} s"
        raise Failed(what, actual, likely=likely) from None
    if left:
        actual = f"the end came {left:,} bytes before"
        likely = changed if left < len(answer) else ""
        raise Failed(f"{len(answer):,} bytes back", actual, likely=likely)


@check(
    "tcp/13-kept",
    "tcp-echo",
    what="One client sends thousands of messages of up to 16 KiB, each when the last has come "
    "back; memory must come to grow no more. A server that still grows is asked for up to 170,000.",
    why="Connections of real clients live for days, and what is kept of each message adds up.",
    mistake="A history, a log or a list of all that was read, kept while the connection lasts; a "
    "string that is only ever added to.",
    calls="none: it is what is done with the bytes.",
    inside=True,
    needs="tcp/1",
)
def messages_kept(bench: Bench) -> None:
    chance = random.Random(bench.seed)
    data, wire = chance.randbytes(LONGEST), bench.connect()

    def say(number: int) -> None:
        wire.exchange(data[: chance.randint(1, LONGEST)])

    must_stay_level(bench, say, 1, MESSAGES, "messages", symptoms.CHANGED)


@check(
    "udp/9",
    "udp-echo",
    what="One client sends thousands of datagrams, and thousands send one; descriptors, threads "
    "and memory must come to grow no more. A server that still grows is asked for up to 190,000.",
    why="There is no end of a client with UDP: what is kept of each is kept for ever.",
    mistake="A table of all who have ever asked, which grows for ever or is full one day; a count "
    "of what each has asked, with an end; a socket or thread for each.",
    calls="recvfrom(2): the address; whoever is silent for long must be forgotten.",
    inside=True,
    needs="udp/1",
)
def datagrams_kept(bench: Bench) -> None:
    data, old = random.Random(bench.seed).randbytes(LONGEST), bench.datagrams()

    def ask(number: int) -> None:
        if number < DATAGRAMS // 2:
            ask_of_many(bench, old, data[: 20 + number % KIB])
            return
        with bench.datagrams() as new:
            ask_of_many(bench, new, data[: 20 + number % KIB])

    must_stay_level(bench, ask, 1, DATAGRAMS, "datagrams")


@check(
    "chat/14",
    "chat",
    what="Thousands enter the room, say a line, and leave, half of them by a reset, beside as many "
    "who leave before they give a name; descriptors, threads, processes and memory must come to "
    "grow no more. A server that still grows is asked for up to 25,000.",
    why="People come and go all day, for months; what is kept of each ends the server.",
    mistake="A set of names, or a table of connections, from which nobody is ever taken; a queue "
    "or a thread that writes to a member, and waits on when it has left; a socket that is closed "
    "only where recv() has returned 0.",
    calls="close(2); what waits for a member must be told that it has left.",
    together=True,
    inside=True,
    needs="chat/6 chat/10",
)
def members_who_left(bench: Bench) -> None:
    words = Words(bench, "chat/14")
    watcher = join(bench, words.name())

    def come_and_go(number: int) -> None:
        visitor, member, name = visit(bench), visit(bench), words.name()
        member.say(name)
        roster(member, name)
        must_tell_of(watcher, name, "has come")
        text = words.plain(20)
        member.say(text)
        must_hear(watcher, name, text)
        for each in (visitor, member):
            (each.reset if number % 2 else each.close)()
        must_tell_of(watcher, name, "has left")

    must_stay_level(bench, come_and_go, 1, MEMBERS, "members", symptoms.UNHEARD)


@check(
    "chat/14-said",
    "chat",
    what="One member says thousands of lines of up to 250 characters, and another one hears "
    "them; memory must come to grow no more. A server that still grows is asked for up to 125,000.",
    why="A room is open for months, and what is kept of each line adds up.",
    mistake="A history or a log in memory without an end; an outbox from which what has been sent "
    "is not taken; a string that is only ever added to.",
    calls="none: it is what is done with the lines.",
    together=True,
    inside=True,
    needs="chat/10",
)
def lines_kept(bench: Bench) -> None:
    words = Words(bench, "chat/14-said")
    name, text = words.name(), words.plain(LINE)
    listener = words.name()
    present = {listener: join(bench, listener)}
    speaker = enter(bench, words, name, present)

    def say(number: int) -> None:
        sizes = [words.random.randint(1, LINE) for _ in range(BURST)]
        speaker.send("".join(f"{text[:size]}\n" for size in sizes).encode())
        for size in sizes:
            must_hear(present[listener], name, text[:size])

    must_stay_level(bench, say, BURST, LINES, "lines", symptoms.UNHEARD)
