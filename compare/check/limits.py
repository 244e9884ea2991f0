"""Limits, of echo and of chat: only where the server declares them, as `--limit idle=2`."""

from __future__ import annotations

import contextlib
import random
import resource
import select
import time

from compare.check import symptoms
from compare.check.bench import Bench
from compare.check.blame import Skipped
from compare.check.catalogue import check
from compare.check.failure import Differs, Failed
from compare.check.postmortem import SENDING
from compare.check.room import (
    Words,
    enter,
    join,
    lines_until_heard,
    must_be_heard,
    must_be_sent_away,
    must_tell_of,
    visit,
)
from compare.check.wire import Wire, wait_until
from compare.host import process

MIB = 1024 * 1024
LATE = 1.5  # times a limit, beside the patience
ROOM = 600  # descriptors that it has left
CPU_S = 0.05  # in a second of waiting for descriptors
SETTLING = 3  # seconds of which the quietest counts: it may still be busy with who came before
STALLED = 200  # readers that read nothing
STUCK_S = 0.5  # nothing more is taken


def _is_answered(wire: Wire, message: bytes, within: float) -> bool:
    """Whether an echo comes within that time; Failed if something else does."""
    wire.send(message)
    if not wire.poll(within, write=False)[0]:
        return False
    try:
        wire.must_receive(message, "an echo")
    except Differs:  # such as the end
        return False
    return True


@check(
    "tcp/5-idle",
    "tcp-echo",
    what="Connects and stays silent; it must be closed at the declared idle limit, and not before.",
    why="Clients that vanish without a word leave their connection behind for ever.",
    mistake="No timeout on recv(), or one that ends the server.",
    calls="recv(2) with SO_RCVTIMEO; epoll_wait(2) with a timeout; loop.call_later().",
    limit="idle",
)
def idle(bench: Bench) -> None:
    wire, began = bench.connect(), time.monotonic()
    wire.exchange(b"hello")
    within = LATE * bench.limit + bench.patience
    wire.must_end(within, f"the end after {bench.limit:g} s of silence")
    if (lasted := time.monotonic() - began) < 0.9 * bench.limit:
        raise Failed(f"{bench.limit:g} s of silence allowed", f"it ended after {lasted:.1f} s")
    bench.must_serve()


@check(
    "tcp/10",
    "tcp-echo",
    what="Stops reading with its window at zero; it must be reset at the declared write limit, and "
    "nothing may be left of it in the kernel.",
    why="A stalled reader holds megabytes of kernel memory, closed or not.",
    mistake="close() alone: the kernel goes on trying to send for many minutes, in FIN_WAIT1.",
    calls="setsockopt(2): TCP_USER_TIMEOUT, SO_LINGER 0 before close(2).",
    limit="write",
    inside=True,
    needs="tcp/1",
)
def stalled_reader(bench: Bench) -> None:
    wire = bench.connect(receive_buffer=4096)
    with contextlib.suppress(Failed):  # the reset may come while we still send
        wire.send_until_stuck(random.Random(bench.seed).randbytes(MIB), 0.5, times=48)
    port = wire.sock.getsockname()[1]
    within = LATE * bench.limit + 2 * bench.patience
    if not wait_until(lambda: not bench.place.remembers(port), within):
        waits = any(each.call in SENDING for each in bench.look().doing)
        raise Failed(
            f"a reset after {bench.limit:g} s in which nothing is read",
            f"the kernel still has the server's end, after {within:.0f} s",
            likely=symptoms.NO_DEADLINE if waits else "",
        )
    bench.must_serve()


@check(
    "tcp/11",
    "tcp-echo",
    what="Two hundred clients send up to 1 MiB each and read nothing; the server must grow by no "
    "more than the declared bytes for each.",
    why="What is small for one client ends the server when all of a network stall at once.",
    mistake="A buffer for each connection that grows to whatever is sent; see tcp/8.",
    calls="recv(2), which one does not call while much is unsent; send(2): EAGAIN.",
    limit="stalled",
    together=True,
    inside=True,
    needs="tcp/8",
)
def stalled_readers(bench: Bench) -> None:
    bench.must_have_room_for(STALLED)
    bench.must_serve()
    before = bench.memory_kb()
    wires = [bench.connect(receive_buffer=4096, max_segment=1000) for _ in range(STALLED)]
    _send_without_reading(wires, random.Random(bench.seed).randbytes(MIB))
    bench.must_serve("others to be served meanwhile")
    allowed = bench.limit * STALLED
    if (grown := (bench.memory_kb() - before) * 1024) > allowed:
        raise Failed(
            f"at most {bench.limit / 1024:,.0f} KiB for each of {STALLED} that do not read",
            f"it grew by {grown / MIB:.1f} MiB, {grown / STALLED / 1024:,.0f} KiB for each",
        )


def _send_without_reading(wires: list[Wire], data: bytes) -> None:
    """`data` on each, or less if no more is taken of anybody."""
    unsent = {wire.sock.fileno(): (wire, memoryview(data)) for wire in wires}
    with select.epoll() as epoll:
        for descriptor in unsent:
            epoll.register(descriptor, select.EPOLLOUT)
        while unsent and (events := epoll.poll(STUCK_S)):
            for descriptor, _ in events:
                wire, rest = unsent[descriptor]
                rest = rest[wire.send_some(rest) :]
                unsent[descriptor] = wire, rest
                if not rest:
                    epoll.unregister(descriptor)
                    del unsent[descriptor]


@check(
    "tcp/14",
    "tcp-echo",
    what="Connects once more than the declared connections; it must wait and be served when one "
    "leaves, or be closed at once. The others must be served all the while.",
    why="Without a cap, memory and descriptors are the cap, and there it ends badly.",
    mistake="A cap that counts accepted and not present connections, or forgets who was refused.",
    calls="accept(2), which one stops calling; or close(2) right after it.",
    limit="connections",
    together=True,
    needs="tcp/5",
)
def cap(bench: Bench) -> None:
    bench.must_have_room_for(bench.limit + 1)
    wires = _take_places(bench)
    extra = _refused_or_waits(bench)
    if extra and _is_answered(extra, b"me too", 0.3):
        raise Failed(f"at most {bench.limit:g} connections served", "one more was served")
    wires[0].exchange(b"still there")
    wires[-1].close()
    if not extra:
        if not bench.wait_until(lambda: _newcomer(bench)):
            raise Failed("a newcomer to be served after one has left", "nobody was")
    elif not extra.poll(bench.patience, write=False)[0]:
        raise Failed("who waited to be served when one leaves", "it was not")


def _newcomer(bench: Bench) -> Wire | None:
    """A new client that is served, or None if it was refused instead."""
    try:
        wire = bench.connect()  # the refusal may come before this returns
        wire.exchange(b"hello")
    except Failed:
        return None
    return wire


def _take_places(bench: Bench) -> list[Wire]:
    """As many clients as the limit allows, served; a place may not be free yet."""
    wires: list[Wire] = []

    def are_taken() -> bool:
        wires.extend(filter(None, [_newcomer(bench)]))
        return len(wires) == int(bench.limit)

    if not bench.wait_until(are_taken):
        raise Failed(f"{bench.limit:g} connections served", f"{len(wires)} were")
    return wires


def _refused_or_waits(bench: Bench) -> Wire | None:
    """One client more than the limit; None if it is closed or reset."""
    try:
        extra = bench.connect()
    except Failed:
        return None
    if not extra.poll(0.3, write=False)[0]:
        return extra
    extra.must_end(0, "nothing but an end for one too many")
    return None


@check(
    "tcp/15",
    "tcp-echo",
    what="Passes the declared connections of one address; 127.0.0.2 must still be served.",
    why="One client must not be able to take all places.",
    mistake="Counting all together, or never counting down.",
    calls="accept(2) gives the address; ::ffff:127.0.0.1 is 127.0.0.1.",
    limit="per-peer",
    together=True,
    needs="tcp/5",
)
def per_peer(bench: Bench) -> None:
    other = bench.second_source()
    bench.must_have_room_for(bench.limit + 1)
    _take_places(bench)
    extra = _refused_or_waits(bench)
    if extra and _is_answered(extra, b"me too", bench.patience / 3):
        raise Failed(f"at most {bench.limit:g} connections of an address served", "one more was")
    bench.connect(source=(other, 0)).exchange(b"from another address")


@check(
    "tcp/16",
    "tcp-echo",
    what="The server runs out of descriptors; who is connected must be served on, it must not "
    "spin, and newcomers must be served within 2 s of there being descriptors again.",
    why="It happens, and a server that then takes a whole core and fills the log makes it worse.",
    mistake="accept() fails with EMFILE, and is tried again at once, for ever; or that ends the "
    "server. Stop waiting for newcomers for a while.",
    calls="accept(2): EMFILE; epoll_wait(2) says at once that one can accept.",
    limit="descriptors",
    together=True,
    inside=True,
    needs="tcp/5",
)
def out_of_descriptors(bench: Bench) -> None:
    established = bench.connect()
    established.exchange(b"hello")
    pids = process.tree(bench.server.pid)
    room = min(_make_room(pid) for pid in pids)
    many = (room + 40) * len(pids)
    bench.must_have_room_for(many)
    wires = [bench.connect() for _ in range(many)]
    spent = min(_spent(bench, established) for _ in range(SETTLING))
    if spent > CPU_S:
        raise Failed("under 5 % of a core while it waits", f"it used {spent:.0%}")
    for wire in wires[: -(room // 2)]:
        wire.close()
    if not _is_answered(wires[-1], b"at last", 2 + bench.patience):
        raise Failed("newcomers served within 2 s of there being descriptors", "they were not")


def _make_room(pid: int) -> int:
    """For ROOM descriptors more, or as many as its own limit has; how many those are."""
    had, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    used = process.count_descriptors(pid)
    limit = min(had, used + ROOM)
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (limit, hard))
    if limit - used < 2:
        raise Skipped(f"it has {used} of the {had} descriptors that it may: a higher ulimit -n")
    return limit - used


def _spent(bench: Bench, established: Wire) -> float:
    """Of a core, in a second in which somebody is served."""
    before = process.usage(bench.server.pid).cpu_ns
    for _ in range(5):
        time.sleep(0.2)
        established.exchange(b"still there?", "who is connected served on")
    return (process.usage(bench.server.pid).cpu_ns - before) / 1e9


@check(
    "chat/1",
    "chat",
    what="Trickles a byte at a time and no newline; it must be closed at the declared time for a "
    "message, which trickling does not extend.",
    why="A few thousand such clients (slowloris) hold every place of a server.",
    mistake="A timeout that begins anew with each byte.",
    calls="a deadline for the whole message beside that for silence.",
    limit="message-time",
)
def trickles(bench: Bench) -> None:
    limit = bench.limit
    visitor, began = visit(bench), time.monotonic()
    while time.monotonic() - began < 3 * limit + bench.patience:
        try:
            visitor.send(b"n")
        except Failed:
            break
        if visitor.poll(limit / 10, write=False)[0]:
            visitor.must_end(0, "the end")
            break
    else:
        raise Failed(f"the end after {limit:g} s", "trickling kept it open")
    if time.monotonic() - began < 0.9 * limit:
        raise Failed(
            f"{limit:g} s for a message", f"it ended after {time.monotonic() - began:.1f} s"
        )


@check(
    "chat/2",
    "chat",
    what="Says lines one byte under the declared limit, at it, and one over it; the first two must "
    "reach others, the third ends its sender.",
    why="A line without an end would else fill the memory.",
    mistake="No limit, or one that counts the line's end or ends the whole server.",
    calls="none: it is what is done with the bytes.",
    limit="message",
    together=True,
    needs="chat/10",
)
def long_lines(bench: Bench) -> None:
    limit = int(bench.limit)
    words = Words(bench, "chat/2")
    name, listening = words.name(), words.name()
    member = join(bench, name)
    other = enter(bench, words, listening, {name: member})
    for size in (limit - 1, limit):
        must_be_heard(member, name, words.plain(size), [other])
    member.say(words.plain(limit + 1))
    must_be_sent_away(member, "the end for who says a line over the limit")
    must_tell_of(other, name, "has left")
    enter(bench, words, words.name(), {listening: other})


@check(
    "chat/5",
    "chat",
    what="One member stops reading while others talk; it must be dropped at the declared outbox, "
    "and the others' latency stays.",
    why="A frozen terminal must not freeze the room, nor fill the server's memory.",
    mistake="A send() that blocks for all; an outbox without bound.",
    calls="send(2): EAGAIN.",
    limit="outbox",
    together=True,
    needs="chat/10",
)
def stalled_member(bench: Bench) -> None:
    words = Words(bench, "chat/5")
    talking, listening, stalled = words.name(), words.name(), words.name()
    talker = join(bench, talking)
    listener = enter(bench, words, listening, {talking: talker})
    join(bench, stalled, receive_buffer=4096)
    must_tell_of(listener, stalled, "has come")
    said = 0
    deadline = time.monotonic() + 10 * bench.patience
    while time.monotonic() < deadline:
        text = words.plain(1000)
        talker.say(text)
        said += len(text)
        if told := lines_until_heard(listener, talking, text):
            if not (told[0].startswith("*") and stalled in told[0]):
                raise Failed("nothing but that it was dropped", f"{told[0]!r} came")
            return
    raise Failed(
        f"it to be dropped at {bench.limit:,.0f} bytes", f"{said:,} were said, and it was not"
    )
