"""The chat room: what members do to it and to each other, and what must happen.

Nothing arriving is shown by a marker: what somebody says last, with everything before it.
"""

from __future__ import annotations

import contextlib
import select
import time
import unicodedata

from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.wire import PIECE, Failed, Wire

MEMBERS, MESSAGES = 40, 200
NAMES, RACES = 10, 100
JUNK = [
    b"nul \x00 nul",
    b"not utf-8 \xff\xfe\x80",
    b"half a character \xe2\x82",
    b"an overlong slash \xc0\xaf",
    b"a surrogate \xed\xa0\x80",
    b"clear the screen \x1b[2J\x07",
    b"a lone CR \r fakes a line",
    b"and one at the end \r\r",
    b"a C1 control \xc2\x9b2J",
    b"\x00\xff\r\x1b",
]


def visit(bench: Bench) -> Wire:
    """A client that has read the greeting and given no name."""
    wire = bench.connect()
    if wire.line("a greeting") is None:
        raise Failed("a greeting", "the end came")
    return wire


def join(bench: Bench, name: str, receive_buffer: int | None = None) -> Wire:
    """A member that has read its roster."""
    wire = bench.connect(receive_buffer=receive_buffer)
    if wire.line("a greeting") is None:
        raise Failed("a greeting", "the end came")
    wire.say(name)
    _roster(wire, name)
    return wire


def _roster(wire: Wire, name: str) -> list[str]:
    what = f"'* The room contains: ...' for {name}"
    line = wire.line(what)
    if line is None or not line.startswith("* The room contains:"):
        raise Failed(what, f"{line!r} came" if line else "the end came")
    return sorted(line.partition(":")[2].replace(",", " ").split())


def _leave(wire: Wire) -> None:
    wire.half_close()
    wire.receive_rest()
    wire.close()


def _must_contain(bench: Bench, expected: list[str]) -> None:
    """Who is in the room, as a newcomer is told; it leaves again."""
    wanted = sorted(expected)
    seen: list[str] = []

    def agrees() -> bool:
        nonlocal seen
        wire = visit(bench)
        wire.say("last")
        seen = _roster(wire, "last")
        _leave(wire)
        return seen == wanted

    if not bench.wait_until(agrees):
        raise Failed(f"a room that contains {', '.join(wanted) or 'nobody'}", f"it has {seen}")


def must_be_refused(wire: Wire, what: str) -> None:
    """An error line, and then the end."""
    if (line := wire.line(what)) is None:
        raise Failed(what, "the end came without a word")
    if line.startswith("* The room contains:"):
        raise Failed(what, "it was let in")
    if (more := wire.line(what)) is not None:
        raise Failed(what, f"{more!r} came instead of the end")


@check(
    "chat/3",
    "chat",
    what="Says NUL, invalid UTF-8, control characters, CRLF, a lone CR; nothing may crash, and "
    "nothing malformed may reach others.",
    why="One member must not be able to end the others' programs, or to write on their screens.",
    mistake="decode() that raises; passing bytes on as they came; splitting lines at CR. Split at "
    "LF, drop one CR before it, decode with errors='replace', drop control characters.",
    calls="none: it is what is done with the bytes.",
    together=True,
)
def junk(bench: Bench) -> None:
    member, other = join(bench, "member"), join(bench, "other")
    for each in JUNK:
        member.send(each + b"\n")
        line = other.line("what the member said, made clean")
        if line is None or not line.startswith("[member] "):
            raise Failed("[member] and what it said, made clean", f"{line!r} came")
        if any(unicodedata.category(char) == "Cc" for char in line) or "\\x" in line:
            raise Failed("no control character or broken UTF-8", f"{line!r} came")
        for word in each.split():
            if word.isalnum() and word.decode() not in line:
                raise Failed(f"{word.decode()!r}, which is clean, to be kept", f"{line!r} came")
    member.send(b"a line\r\nan empty one\r\n\r\nthe end\r\n")
    for text in ("a line", "an empty one", "", "the end"):
        other.must_say(f"[member] {text}")


@check(
    "chat/4",
    "chat",
    what="Says a hundred lines in one segment, and one line in a hundred; it must be the same.",
    why="Where TCP cuts the stream has nothing to do with lines.",
    mistake="Taking each recv() for a line. Keep what came after the last LF for the next time.",
    calls="recv(2).",
    together=True,
)
def cut_anywhere(bench: Bench) -> None:
    member, other = join(bench, "member"), join(bench, "other")
    lines = [f"line {number}" for number in range(100)]
    member.send("".join(f"{line}\n" for line in lines).encode())
    for line in lines:
        other.must_say(f"[member] {line}")
    line = "".join(str(number % 10) for number in range(99))
    for char in f"{line}\n":
        member.send(char.encode())
    other.must_say(f"[member] {line}")


@check(
    "chat/6",
    "chat",
    what="Resets while joined, and leaves before giving a name; others must hear exactly once that "
    "it left, and of those without a name nothing.",
    why="A room that shows ghosts, or names of people who never came, is not trusted.",
    mistake="Saying goodbye both where reading and where writing fails, or never; announcing a "
    "connection and not a member.",
    calls="recv(2): ECONNRESET; send(2): EPIPE.",
    together=True,
)
def goodbyes(bench: Bench) -> None:
    other = join(bench, "other")
    for _ in range(20):
        member = join(bench, "member")
        member.say("hello")
        other.must_say("* member has entered the room")
        other.must_say("[member] hello")
        member.reset()
        other.must_say("* member has left the room")
    for attempt in range(20):
        visitor = visit(bench)
        visitor.send(b"half a nam")
        if attempt % 2:
            visitor.reset()
        else:
            _leave(visitor)
    last = join(bench, "last")
    last.say("end")
    told = other.lines_until("[last] end")
    if told != ["* last has entered the room"]:
        raise Failed("no word of those without a name", f"it heard {told}")


@check(
    "chat/7",
    "chat",
    what="Gives names that are taken, empty, too long, or no names; they must be refused. A name "
    "must be free again when its owner has left.",
    why="Two of the same name cannot be told apart, and a lost connection must not lock one out.",
    mistake="No check at all; a name that is kept when its owner is gone.",
    calls="none: it is what is done with the line.",
    together=True,
)
def names(bench: Bench) -> None:
    for name in (b"\n", b"\r\n", b" \n", b"two words\n", b"a" * 33 + b"\n", b"a" * 1024**2):
        visitor = visit(bench)
        with contextlib.suppress(Failed):  # the server may have heard enough before the end
            visitor.send(name)
        try:
            must_be_refused(visitor, f"{name[:20]!r} refused as a name")
        except Failed as failure:
            if len(name) < 1000 or "ECONNRESET" not in failure.actual:
                raise
        visitor.close()
    owner, other = join(bench, "same"), join(bench, "other")
    for _ in range(3):
        visitor = visit(bench)
        visitor.say("same")
        must_be_refused(visitor, "a name in use refused")
    owner.half_close()
    other.must_say("* same has left the room")
    successor = join(bench, "same")
    successor.say("hello")
    other.must_say("* same has entered the room")
    other.must_say("[same] hello")


@check(
    "chat/8",
    "chat",
    what="A thousand times a member leaves while a newcomer claims its name; the roster must be "
    "the truth at the end.",
    why="Comings and goings race with each other all day.",
    mistake="Looking whether a name is free and taking it in two steps, without a lock around "
    "both.",
    calls="none: it is the order in which threads do them.",
    together=True,
)
def races(bench: Bench) -> None:
    watcher, owners, entered = join(bench, "watcher"), dict[str, Wire](), 0
    everybody = [f"name{number}" for number in range(NAMES)]
    for race in range(RACES):
        newcomers = {name: visit(bench) for name in everybody}
        for number, (name, newcomer) in enumerate(newcomers.items()):
            owner = owners.pop(name, None)
            first = (number + race) % 3
            if first:
                newcomer.say(name)
            if owner:
                (owner.reset if number % 2 else owner.close)()
            if not first:
                newcomer.say(name)
        for name, newcomer in newcomers.items():
            answer = newcomer.line("to be let in, or refused")
            if answer and answer.startswith("* The room contains:"):
                owners[name] = newcomer
                entered += 1
            else:
                newcomer.close()
    told: list[str] = []
    for _ in range(entered + entered - len(owners)):
        line = watcher.line("that everybody's coming and going is told") or ""
        name, _, what = line.removeprefix("* ").partition(" ")
        if what == "has entered the room":
            told.append(name)
        elif what == "has left the room" and name in told:
            told.remove(name)
        else:
            raise Failed("'has entered', 'has left' in turn for each name", f"{line!r} came")
    if sorted(told) != sorted(owners):
        raise Failed(f"those who are there: {sorted(owners)}", f"told were {sorted(told)}")
    _must_contain(bench, [*owners, "watcher"])


@check(
    "chat/9",
    "chat",
    what="Forty members say 200 lines each, all at once; each must hear every line of the others "
    "exactly once, in its sender's order, all in the same order, and never its own.",
    why="A conversation in which people hear different orders is none.",
    mistake="Threads that send outside any lock, so that two lines cross; a send() that takes only "
    "part of a line; telling the sender, too. Put lines into each member's outbox under one lock, "
    "and send from there.",
    calls="send(2) returns fewer than asked for; pthread_mutex_lock(3).",
    together=True,
)
def one_order(bench: Bench) -> None:
    listener = join(bench, "listener")
    everybody = [f"member{number:02}" for number in range(MEMBERS)]
    members = {name: join(bench, name) for name in everybody}
    wires = {wire.sock.fileno(): wire for wire in (listener, *members.values())}
    heard = {fd: bytearray() for fd in wires}
    patience = 5 * bench.patience
    with select.epoll() as epoll:
        for fd in wires:
            epoll.register(fd, select.EPOLLIN)

        def hear(timeout: float) -> bool:
            events = epoll.poll(timeout)
            for fd, _ in events:
                data = wires[fd].sock.recv(PIECE)
                if not data:
                    raise Failed("nobody to be dropped, as all do read", "a member was")
                heard[fd] += data
            return bool(events)

        for number in range(MESSAGES):
            for member in members.values():
                member.send(b"%d\n" % number)
            hear(0)
        last = time.monotonic()
        while heard[listener.sock.fileno()].count(b"\n[") < MEMBERS * MESSAGES:
            if hear(0.2):
                last = time.monotonic()
            elif time.monotonic() - last > patience:
                came = heard[listener.sock.fileno()].count(b"\n[")
                raise Failed(f"{MEMBERS * MESSAGES:,} lines", f"{came:,} came, then nothing")
        listener.say("end")
        unfinished = set(wires) - {listener.sock.fileno()}
        while unfinished := {fd for fd in unfinished if not heard[fd].endswith(b"] end\n")}:
            if not hear(patience):
                raise Failed("the last line for all", f"{len(unfinished)} did not hear it")

    def lines(wire: Wire) -> list[str]:
        text = heard[wire.sock.fileno()].decode(errors="backslashreplace")
        return [line for line in text.splitlines() if line.startswith("[")]

    order = lines(listener)
    for name in everybody:
        own = [line for line in order if line.startswith(f"[{name}]")]
        _must_agree(own, [f"[{name}] {number}" for number in range(MESSAGES)], "in its order")
    for name, member in members.items():
        others = [line for line in order if not line.startswith(f"[{name}]")]
        _must_agree(lines(member), [*others, "[listener] end"], f"one order, also for {name}")


def _must_agree(actual: list[str], expected: list[str], what: str) -> None:
    if actual == expected:
        return
    missing = len([line for line in expected if line not in set(actual)])
    extra = len(actual) - len(expected) + missing
    if missing or extra:
        raise Failed(f"every line exactly once, {what}", f"{missing} missing, {extra} too many")
    at = next(i for i, (a, b) in enumerate(zip(actual, expected, strict=True)) if a != b)
    raise Failed(f"every line, {what}", f"line {at} was {actual[at]!r} and not {expected[at]!r}")
