"""What our own rooms promise beyond the statement of "Budget Chat", asked by --strict.

Their exact words, error lines that begin with `! `, each name once and of at most 32 characters,
nothing on a member's terminal that moves its cursor, and one order of all lines for all.
"""

from __future__ import annotations

import contextlib
import unicodedata

from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.chat import JUNK
from compare.check.failure import Failed
from compare.check.room import Words, company, join, lines_until_heard, roster, visit
from compare.check.talk import must_agree, talk
from compare.check.wire import Wire

MEMBERS, MESSAGES = 40, 200
NAMES, RACES = 10, 100
ENDLESS, ENDLESS_TIMES = 1024 * 1024, 16
STUCK_S = 0.5  # in which nothing more is taken
GROWTH_KB = 4096  # that a server may keep of two of them
ROSTER = "* The room contains:"


def _names_in(line: str) -> list[str]:
    if not line.startswith(ROSTER):
        raise Failed(f"{ROSTER!r} and the names", f"{line!r} came")
    return sorted(line.removeprefix(ROSTER).replace(",", " ").split())


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
        seen = _names_in(roster(wire, "last"))
        _leave(wire)
        return seen == wanted

    if not bench.wait_until(agrees):
        raise Failed(f"a room that contains {', '.join(wanted) or 'nobody'}", f"it has {seen}")


@check(
    "chat/2-endless",
    "chat",
    what="Two say 16 MiB without the end of a line, one of them in the place of a name; the server "
    "must not keep that, and may send them away, and the others must go on hearing each other.",
    why="Else one stranger takes all of the memory.",
    mistake="readline() without a bound; a buffer of a line that grows as long as no LF comes.",
    calls="recv(2) into a buffer of one size: when it is full and has no LF, the line is too long.",
    strict=True,
    together=True,
    inside=True,
    needs="chat/10",
)
def endless_lines(bench: Bench) -> None:
    words = Words(bench, "chat/2-endless")
    present = company(bench, words)
    before = bench.memory_kb()
    named, name = visit(bench), words.name()
    named.say(name)
    roster(named, name)
    for wire in (visit(bench), named):
        with contextlib.suppress(Failed):  # it is sent away while it still speaks
            wire.send_until_stuck(b"x" * ENDLESS, STUCK_S, ENDLESS_TIMES)
    if (grown := bench.memory_kb() - before) > GROWTH_KB:
        what = "what is said without the end of a line not to be kept"
        raise Failed(what, f"the server grew by {grown / 1024:.1f} MiB")
    for wire in present.values():  # what they were told of who came and left is before it
        wire.say(text := words.plain(20))
        for other in present.values():
            if other is not wire:
                lines_until_heard(other, wire.member, text)


def _must_be_refused(wire: Wire, what: str) -> None:
    """An error line, and then the end."""
    if (line := wire.line(what)) is None:
        raise Failed(what, "the end came without a word")
    if not line.startswith("! "):
        raise Failed(f"{what}, by a line that begins with '! '", f"{line!r} came")
    if (more := wire.line(what)) is not None:
        raise Failed(what, f"{more!r} came instead of the end")


@check(
    "chat/3-clean",
    "chat",
    what="Says NUL, invalid UTF-8, control characters, CRLF, a lone CR; nothing may crash, and "
    "nothing malformed may reach others.",
    why="One member must not be able to end the others' programs, or to write on their screens.",
    mistake="decode() that raises; passing bytes on as they came; splitting lines at CR. Split at "
    "LF, drop one CR before it, decode with errors='replace', drop control characters.",
    calls="none: it is what is done with the bytes.",
    together=True,
    strict=True,
    needs="chat/10",
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
    "chat/6-words",
    "chat",
    what="Comes, looks who is there, and leaves by a reset or a half-close; all must be told in "
    "our words: '* The room contains: ann, bob', '* ann has entered the room', '* ann has left "
    "the room'.",
    why="A client that knows the words can tell a coming from a going; `compare run` is one.",
    mistake="Other words, which are as right for everybody else.",
    calls="recv(2): 0 where the member has finished sending.",
    together=True,
    strict=True,
    needs="chat/6",
)
def our_words(bench: Bench) -> None:
    words = Words(bench, "chat/6-words")
    first, second = words.name(), words.name()
    other = join(bench, first)
    for leave in ("reset", "half_close", "close"):
        wire = visit(bench)
        wire.say(second)
        if (line := roster(wire, second)) != f"{ROSTER} {first}":
            raise Failed(f"{ROSTER} {first}", f"{line!r} came")
        other.must_say(f"* {second} has entered the room")
        getattr(wire, leave)()
        other.must_say(f"* {second} has left the room")


@check(
    "chat/7-refusal",
    "chat",
    what="Gives names that are taken, empty, over 32 characters, or no names; they must be refused "
    "by a line that begins with '! '. A name must be free again when its owner has left.",
    why="Two of the same name cannot be told apart, and a lost connection must not lock one out.",
    mistake="No check at all; a name that is kept when its owner is gone.",
    calls="none: it is what is done with the line.",
    together=True,
    strict=True,
    needs="chat/7",
)
def names(bench: Bench) -> None:
    for name in (b"\n", b"\r\n", b" \n", b"two words\n", b"a" * 33 + b"\n", b"a" * 1024**2):
        visitor = visit(bench)
        with contextlib.suppress(Failed):  # the server may have heard enough before the end
            visitor.send(name)
        try:
            _must_be_refused(visitor, f"{name[:20]!r} refused as a name")
        except Failed as failure:
            if len(name) < 1000 or "ECONNRESET" not in failure.actual:
                raise
        visitor.close()
    owner, other = join(bench, "same"), join(bench, "other")
    for _ in range(3):
        visitor = visit(bench)
        visitor.say("same")
        _must_be_refused(visitor, "a name in use refused")
    owner.half_close()
    other.must_say("* same has left the room")
    successor = join(bench, "same")
    successor.say("hello")
    other.must_say("* same has entered the room")
    other.must_say("[same] hello")


@check(
    "chat/8-names",
    "chat",
    what="A thousand times a member leaves while a newcomer claims its name; the roster must be "
    "the truth at the end.",
    why="Comings and goings race with each other all day.",
    mistake="Looking whether a name is free and taking it in two steps, without a lock around "
    "both.",
    calls="none: it is the order in which threads do them.",
    together=True,
    strict=True,
    needs="chat/6",
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
            if answer and answer.startswith(ROSTER):
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
    "chat/9-order",
    "chat",
    what="Forty members say 200 lines each, all at once; each must hear every line of the others "
    "exactly once, in its sender's order, all in the same order, and never its own.",
    why="A conversation in which people hear different orders is none.",
    mistake="Threads that send outside any lock, so that two lines cross; a send() that takes only "
    "part of a line; telling the sender, too. Put lines into each member's outbox under one lock, "
    "and send from there.",
    calls="send(2) returns fewer than asked for; pthread_mutex_lock(3).",
    together=True,
    strict=True,
    needs="chat/9",
)
def one_order(bench: Bench) -> None:
    members = {name: join(bench, name) for name in (f"member{n:02}" for n in range(MEMBERS))}
    members["listener"] = join(bench, "listener")
    said = {name: [str(n) for n in range(MESSAGES)] for name in members if name != "listener"}
    heard = talk(bench, members, said)
    order = heard.pop("listener")
    for name, lines in said.items():
        own = [line for line in order if line.startswith(f"[{name}]")]
        must_agree(own, [f"[{name}] {line}" for line in lines], "in its order")
        others = [line for line in order if not line.startswith(f"[{name}]")]
        must_agree(heard[name], others, f"one order, also for {name}")


@check(
    "chat/13-said",
    "chat",
    what="A member ends within a line, before the newline; the others must be told that it left, "
    "and not what it had begun to say.",
    why="Half a sentence may say the opposite of the whole one.",
    mistake="A reader of lines that also returns what comes last without a newline.",
    calls="recv(2): 0.",
    together=True,
    strict=True,
    needs="chat/6",
)
def ends_within_a_line(bench: Bench) -> None:
    words = Words(bench, "chat/13-said")
    other, name = join(bench, words.name()), words.name()
    for _ in range(3):
        member = join(bench, name)
        other.must_say(f"* {name} has entered the room")
        member.send(words.plain(20).encode())
        member.half_close()
        other.must_say(f"* {name} has left the room")
