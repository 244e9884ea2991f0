"""Clients that say nothing for a while: they are served when they speak again, and so are others.

Only as long as no declared limit, as `--limit idle=2`, ends them before.
"""

from __future__ import annotations

import math
import random
import time

from compare.check import symptoms
from compare.check.bench import Bench, Skipped
from compare.check.catalogue import check
from compare.check.failure import Failed
from compare.check.hello import STREAMS, hello
from compare.check.leaks import come_and_go
from compare.check.room import Words, company, must_be_heard, must_list, must_tell_of, roster, visit
from compare.check.udp import ask
from compare.check.wire import Wire

MIB = 1024 * 1024
SILENT_S = 3.5  # longer than most deadlines that are set to try something, and forgotten
STALLED_S = 5.0  # of who does not read: a deadline of send() begins anew when it has taken some
OTHERS = 4200  # more than the places of a large table
UNREAD = 16 * MIB  # more than the kernel keeps
SLOWLY, SLOW_S = 8 * MIB, 0.005  # of who reads slowly, in pieces
STUCK_S = 0.3
SENT_AWAY = (
    "It ends clients that are there and say or read nothing: a timeout of seconds on recv() or "
    "send(), or a place in a table that is given to the next one. If they are to go, declare it: "
    "--limit idle=3, --limit write=2."
)


def _allows(bench: Bench, limit: str) -> bool:
    """Whether that one, if it is declared, lets a client be so for as long as these are, twice."""
    return bench.subject.limits.get(limit, math.inf) > 2 * SILENT_S


def _must_be_allowed(bench: Bench, *limits: str) -> None:
    """Raises Skipped where those limits let nobody be silent for so long."""
    for name in limits:
        if not _allows(bench, name):
            declared = bench.subject.limits[name]
            raise Skipped(f"{SILENT_S:g} s of silence are too near {name}={declared:g}")


def _must_still_serve(bench: Bench, wire: Wire, whom: str) -> None:
    what = f"{whom} to be served"
    try:
        bench.greet(wire)
    except Failed as failure:
        likely = "" if "nothing for" in failure.actual else SENT_AWAY
        raise Failed(what, failure.actual, likely=likely) from None


@check(
    "tcp/27",
    *STREAMS,
    what="Three clients are silent for 3 s, one of which has said nothing yet, and one does not "
    "read and has closed its side; another has, too, and reads slowly. Then each must be served, "
    "those two with all that the server took of them, and so must a newcomer; and the first again "
    "when 4,200 others have come and gone.",
    why="Most clients are silent most of the time, and come back.",
    mistake="A timeout of a few seconds on the listener, on recv() or on send(), left from trying "
    "something; what is unsent dropped some time after recv() has returned 0; a table whose places "
    "are taken again while their owners are still there. If the silent ones are to go, declare it: "
    "--limit idle=3, --limit write=2.",
    calls="setsockopt(2): SO_RCVTIMEO, SO_SNDTIMEO; settimeout() of a listener: accept(2) then "
    "says EAGAIN.",
    together=True,
    needs="tcp/3 tcp/5",
)
def silent_for_long(bench: Bench) -> None:
    _must_be_allowed(bench, "idle", "connect", "message-time")
    old, new = bench.connect(), bench.connect()
    bench.greet(old)
    silent_since = time.monotonic()
    unread = None
    if bench.subject.profile == "tcp-echo" and _allows(bench, "write"):
        unread, (slow, taken) = _unread(bench, UNREAD), _unread(bench, SLOWLY)
        slow.must_receive_rest(taken, "all that was taken of who reads slowly", slowly=SLOW_S)
    time.sleep(max(0.0, silent_since + SILENT_S - time.monotonic()))
    bench.must_serve(f"newcomers to be served after {SILENT_S:g} s of silence")
    _must_still_serve(bench, old, f"a client that was silent for {SILENT_S:g} s")
    _must_still_serve(bench, new, f"a client that says its first word after {SILENT_S:g} s")
    began = time.monotonic()
    for number in range(OTHERS):
        words = hello(bench.subject.profile, number, bench.subject.variant)
        try:
            come_and_go(bench, *words, reset=True)
        except Failed as failure:
            failure.likely = failure.likely or symptoms.COUNTED
            raise
        if time.monotonic() - began > SILENT_S:  # who is slow is asked less
            break
    _must_still_serve(bench, old, f"a client beside which {number + 1:,} others came and went")
    if unread:
        time.sleep(max(0.0, silent_since + STALLED_S - time.monotonic()))
        _must_have_all(*unread)


def _must_have_all(wire: Wire, taken: bytes) -> None:
    try:
        wire.must_receive_rest(taken, f"all that was taken of who read nothing for {STALLED_S:g} s")
    except Failed as failure:
        if failure.likely in (symptoms.RESET, symptoms.CLOSED, symptoms.CUT_SHORT):
            failure.likely = SENT_AWAY
        raise


def _unread(bench: Bench, size: int) -> tuple[Wire, bytes]:
    """A client that has said at most so much and reads nothing, and what was taken."""
    wire = bench.connect(receive_buffer=64 * 1024)
    data = random.Random(bench.seed).randbytes(size)
    taken = wire.send_until_stuck(data, STUCK_S)
    wire.half_close()
    return wire, data[:taken]


@check(
    "udp/12",
    "udp-echo",
    what="Nobody asks anything for 3 s; then who has asked before must be answered, and so must a "
    "newcomer.",
    why="At night nobody asks, and in the morning all do.",
    mistake="A timeout on recvfrom() that ends the loop; a client that is forgotten and not known "
    "again.",
    calls="recvfrom(2) with SO_RCVTIMEO: EAGAIN.",
    needs="udp/1",
)
def nobody_for_long(bench: Bench) -> None:
    old = bench.datagrams()
    ask(bench, old, b"hello", "a datagram back")
    time.sleep(SILENT_S)
    for sock, whom in ((old, "who asked before"), (bench.datagrams(), "a newcomer")):
        try:
            ask(bench, sock, b"good morning", f"{whom} to be answered after {SILENT_S:g} s")
        except Failed as failure:
            failure.likely = ""  # but what this check is for
            raise


@check(
    "chat/16",
    "chat",
    what="Two members and a client that has given no name say nothing for 3 s; then it must be let "
    "in, and each hear what the others say.",
    why="People think before they speak, and most of them listen.",
    mistake="A timeout of a few seconds for a name, or from one line to the next. If the silent "
    "ones are to go, declare it: --limit idle=3.",
    calls="setsockopt(2): SO_RCVTIMEO; loop.call_later().",
    together=True,
    needs="chat/10",
)
def a_silent_room(bench: Bench) -> None:
    _must_be_allowed(bench, "idle", "message-time")
    words = Words(bench, "chat/16")
    present = company(bench, words)
    visitor, name = visit(bench), words.name()
    time.sleep(SILENT_S)
    visitor.say(name)
    must_list(roster(visitor, name), name, present)
    for wire in present.values():
        must_tell_of(wire, name, "has come")
    present[name] = visitor
    for speaker, wire in present.items():
        others = [other for each, other in present.items() if each != speaker]
        must_be_heard(wire, speaker, words.plain(20), others)
