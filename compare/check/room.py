"""The chat room as its members know it: what "Budget Chat" lets a client rely on, and no more.

The statement (Protohackers, problem 3) fixes `[name] text`, that all else which the server says
begins with `*` and has the names in it, and who hears what. Every wording is the server's own,
and so are trailing blanks, how a name is refused, whether two may have the same, and what becomes
of names over 16 characters, of messages over 1,000, and of what is not ASCII text. It serves at
least ten clients.
"""

from __future__ import annotations

import random
import re
import string
import time
from collections.abc import Collection, Iterable, Mapping

from compare.check import symptoms
from compare.check.bench import Bench
from compare.check.failure import Failed
from compare.check.wire import ENDLESS, Wire

ALPHANUMERIC = string.ascii_letters + string.digits
PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "
CLIENTS = 10  # that every server must serve at the same time
NAME = 16  # characters that every server must allow
MESSAGE = 1000
QUIET_S = 0.1  # in which nothing is said to somebody who should hear nothing
SHOWN = 60  # characters of a line, for a person


class Words:
    """Names and texts, drawn by the seed of a run; the same ones each time."""

    def __init__(self, bench: Bench, check: str) -> None:
        self.random = random.Random(f"{bench.seed} {check}")

    def name(self) -> str:
        """One that no server refuses or changes, as if by accident; and it is in no wording."""
        return self.plain(8)

    def any_name(self, size: int) -> str:
        """Letters and digits of all kinds."""
        return "".join(self.random.choices(ALPHANUMERIC, k=size))

    def plain(self, size: int) -> str:
        """A text that stays what it is in all servers, but for those that say nothing of it."""
        return "".join(self.random.choices(string.ascii_lowercase, k=size))

    def text(self, size: int) -> str:
        """Printable ASCII, and no blank at its end, which a server may strip."""
        head = "".join(self.random.choices(PRINTABLE, k=size - 1))
        return head + self.random.choice(PRINTABLE[:-1])


def visit(bench: Bench) -> Wire:
    """A client that has read the greeting and given no name."""
    wire = bench.connect()
    must_be_greeted(wire)
    return wire


def must_be_greeted(wire: Wire) -> None:
    """The first line is the server's, whatever the others do."""
    what = "a greeting, one line that asks for a name"
    try:
        greeting = wire.line(what)
    except Failed as failure:
        failure.likely = failure.likely or symptoms.UNGREETED
        raise
    if greeting is None:
        raise Failed(what, "the end came", likely=symptoms.REFUSED)


def join(bench: Bench, name: str, receive_buffer: int | None = None) -> Wire:
    """A member that has read its roster."""
    wire = bench.connect(receive_buffer=receive_buffer)
    must_be_greeted(wire)
    wire.say(name)
    roster(wire, name)
    wire.member = name
    return wire


def roster(wire: Wire, name: str) -> str:
    """Who is in the room already, as the newcomer `name` is told."""
    what = f"{name!r} to be let in and told who is in the room, on a line that begins with '*'"
    line = wire.line(what)
    if line is None or not line.startswith("*"):
        raise Failed(what, "the end came" if line is None else f"{shown(line)} came")
    return line


def enter(bench: Bench, words: Words, name: str, present: Mapping[str, Wire]) -> Wire:
    """A member that the others have been told of and heard: from then on it is one of them."""
    wire = visit(bench)
    wire.say(name)
    must_list(roster(wire, name), name, present)
    wire.member = name
    for other in present.values():
        must_tell_of(other, name, "has come")
    if present:  # else nobody's hearing it would say that it has been said
        must_be_heard(wire, name, words.plain(20), present.values())
    return wire


def company(bench: Bench, words: Words, many: int = 2) -> dict[str, Wire]:
    """So many members, by name, each of whom the others have been told of and have heard."""
    present: dict[str, Wire] = {}
    for _ in range(many):
        name = words.name()
        present[name] = enter(bench, words, name, present)
    return present


def must_list(line: str, name: str, present: Collection[str], gone: Iterable[str] = ()) -> None:
    """The roster `line` for `name` has all who are present, nobody who has left, and not itself."""
    what = f"a roster with all of {', '.join(present)}" if present else "a roster of nobody"
    if missing := [each for each in present if each not in line]:
        raise Failed(what, f"{missing[0]!r} is not in {line!r}", likely=symptoms.ROSTER)
    if ghosts := [each for each in gone if each in line]:
        raise Failed("a roster without those who have left", f"{ghosts[0]!r} is in {line!r}")
    if _is_one_of(name, present, line):
        raise Failed("a roster of the others only", f"{name!r} itself is in {line!r}")


def _is_one_of(name: str, present: Collection[str], line: str) -> bool:
    """Whether it stands among the others; it may well be greeted by its name before them."""
    pieces = re.split(f"({'|'.join(map(re.escape, [*present, name]))})", line)[1:-1]
    gaps: dict[bool, set[str]] = {True: set(), False: set()}
    for before, gap, after in zip(pieces[::2], pieces[1::2], pieces[2::2], strict=False):
        gaps[name in (before, after)].add(gap)
    return bool(gaps[True] & gaps[False])


def must_tell_of(wire: Wire, name: str, what: str) -> None:
    """The next line is the server's, and has that name in it."""
    expected = f"a line that begins with '*' and says that {name!r} {what}"
    line = wire.line(expected)
    if line is None or not line.startswith("*") or name not in line:
        seen = "the end came" if line is None else f"{shown(line)} came"
        raise Failed(expected, seen, likely=of_own_words(wire, line))


def of_own_words(wire: Wire, line: str | None) -> str:
    """What it is a sign of if it hears what it has said itself."""
    own = line is not None and wire.member and line.startswith(f"[{wire.member}] ")
    return symptoms.OWN_WORDS if own else ""


def must_hear(wire: Wire, name: str, text: str) -> None:
    """The next line is what `name` said, but for blanks at its end."""
    expected = f"[{name}] {text}"
    line = wire.line(f"what [{name}] said")
    if line is not None and line.rstrip() == expected.rstrip():
        return
    what = f"{shown(expected)}, {len(text):,} characters as {name!r} said them"
    if line is None:
        raise Failed(what, "the end came")
    at = next(
        (i for i, (a, b) in enumerate(zip(line, expected, strict=False)) if a != b),
        min(len(line), len(expected)),
    )
    seen = f"{shown(line)} came"
    if at >= SHOWN:
        seen += f", which from character {at + 1 - len(f'[{name}] '):,} on is {shown(line[at:])}"
        what += f", there {shown(expected[at:])}"
    likely = symptoms.SAID if text in line and not line.startswith("*") else ""
    likely = of_own_words(wire, line) or likely
    raise Failed(what, seen, likely=likely)


def must_be_heard(wire: Wire, name: str, text: str, others: Iterable[Wire]) -> None:
    """It says something, which is the next that each of the others hears."""
    wire.say(text)
    for other in others:
        must_hear(other, name, text)


def must_hear_nothing(wire: Wire, why: str) -> None:
    """It has not been told anything until now; `why` is whom that concerns."""
    if not wire.poll(QUIET_S, write=False)[0]:
        return
    line = wire.line(why)
    seen = "the end came" if line is None else f"{shown(line)} came"
    raise Failed(f"nothing said to {why}", seen, likely=of_own_words(wire, line))


def must_be_sent_away(wire: Wire, what: str) -> None:
    """The end, or a reset, comes; with a word of explanation before it or not."""
    said, deadline = b"", time.monotonic() + wire.patience
    try:
        while (left := deadline - time.monotonic()) > 0:
            if not (data := wire.receive_some(within=left)):
                return
            said += data
    except Failed as failure:
        if "ECONNRESET" in failure.actual:  # it was left unread what we had said
            return
    seen = f"it was told {shown(said.decode(errors='backslashreplace'))} and then not closed"
    raise Failed(what, seen if said else "it was neither told anything nor closed")


def lines_until_heard(wire: Wire, name: str, text: str) -> list[str]:
    """The lines that come before what `name` says, which must come."""
    lines, deadline = list[str](), time.monotonic() + ENDLESS * wire.patience
    what = f"what [{name}] said, {shown(text)}"
    while (line := wire.line(what)) is not None:
        if line.rstrip() == f"[{name}] {text}".rstrip():
            return lines
        lines.append(line)
        if time.monotonic() > deadline:
            raise Failed(what, f"{len(lines):,} other lines came, the last {lines[-1]!r}")
    raise Failed(what, f"the end came, after {lines[-5:]}")


def shown(text: str) -> str:
    """The beginning of a line, for a person."""
    return f"{text[:SHOWN]!r}{f' ... ({len(text):,})' if len(text) > SHOWN else ''}"
