"""Who is in the chat room: names, comings and goings, and who is told of them.

As in `compare/check/chat.py`, only what the public statement asks.
"""

from __future__ import annotations

import contextlib
import string
import time

from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.failure import Failed
from compare.check.room import (
    ALPHANUMERIC,
    CLIENTS,
    NAME,
    QUIET_S,
    Words,
    company,
    enter,
    join,
    lines_until_heard,
    must_be_heard,
    must_be_sent_away,
    must_hear,
    must_hear_nothing,
    must_list,
    must_tell_of,
    of_own_words,
    roster,
    shown,
    visit,
)
from compare.check.wire import ENDLESS, Wire

ROUNDS = 20  # of comings and goings
COMING = 4  # at the same time, so that no more than ten are there
NAMES_LIKE_WORDS = ("quit", "exit", "admin", "root", "null", "None", "0", "true", "all", "server")
NAMES_OF_OBJECTS = ("constructor", "toString")
OF_OBJECTS = (
    "It keeps its members in an object, which has names of its own in JavaScript: take a Map, or "
    "Object.create(null)."
)
OF_ZERO = (
    "It takes the name 0 for none: it is false in Perl, PHP and JavaScript. Ask for its length."
)
OF_A_PART = (
    "It looks for a name in a text, where 'ann' is in 'joanna', too: keep the members in a dict or "
    "a set, and compare whole names."
)


@check(
    "chat/6",
    "chat",
    what="Closes or resets while joined, closes right after a line, and leaves before giving a "
    "name; the others must each hear the line, and be told exactly once that a member left, and of "
    "those without a name nothing.",
    why="A room that shows ghosts, or names of people who never came, is not trusted.",
    mistake="Saying goodbye both where reading and where writing fails, or never; announcing a "
    "connection and not a member; taking POLLRDHUP for the end, before what came was read.",
    calls="recv(2): ECONNRESET; send(2): EPIPE; poll(2): POLLRDHUP.",
    together=True,
    needs="chat/10",
)
def goodbyes(bench: Bench) -> None:
    words = Words(bench, "chat/6")
    present = company(bench, words)
    gone = []
    for leave in ("close", "reset", "close unread", "a line") * 5:
        name = words.name()
        member = enter(bench, words, name, present)
        if leave == "close unread":  # close() is then a reset, too
            for speaker, other in (tuple(present), tuple(present)[::-1]):
                text = words.plain(20)
                present[speaker].say(text)
                must_hear(present[other], speaker, text)
        last = words.plain(20)
        if leave == "a line":
            member.say(last)
        (member.reset if leave == "reset" else member.close)()
        for wire in present.values():
            if leave == "a line":
                must_hear(wire, name, last)
            must_tell_of(wire, name, "has left")
        gone.append(name)
        for number in range(2):
            visitor = visit(bench)
            (visitor.reset if number else visitor.close)()
        _must_hear_each_other(words, present)
    last = words.name()
    visitor = visit(bench)
    visitor.say(last)
    must_list(roster(visitor, last), last, present, gone)


def _must_hear_each_other(words: Words, present: dict[str, Wire]) -> None:
    """What each says is the next that all the others hear: they were told nothing before."""
    for speaker, wire in present.items():
        text = words.plain(20)
        wire.say(text)
        for name, hearer in present.items():
            if name != speaker and (told := lines_until_heard(hearer, speaker, text)):
                what, likely = "not a word more to those in the room", of_own_words(hearer, told[0])
                raise Failed(what, f"{shown(told[0])} came", likely=likely)


@check(
    "chat/7",
    "chat",
    what="Gives names of letters and digits, of each length from 1 to 16 and in upper case, too, "
    "which must be let in as they are, also where they are a part of another's; and names with any "
    "other character, or none, after which the end must come, and nothing be told to others.",
    why="What one server takes for a name another must take, too; and a name with a bracket or an "
    "escape in it can pretend to be somebody else.",
    mistake="str.isalnum(), which takes letters of every alphabet; a check of the first character "
    "or with re.match() alone; cleaning a name in place of refusing it; a limit below 16; lower().",
    calls="close(2), after a word of explanation or without.",
    together=True,
)
def names(bench: Bench) -> None:
    words = Words(bench, "chat/7")
    watcher = words.name()
    present = {watcher: join(bench, watcher)}
    likely = dict.fromkeys(NAMES_OF_OBJECTS, OF_OBJECTS) | {"0": OF_ZERO}
    likely |= dict.fromkeys(_parts_of(watcher), OF_A_PART)
    for name in dict.fromkeys((*_legal_names(words), *likely)):
        try:
            member = enter(bench, words, name, present)
            member.close()
            must_tell_of(present[watcher], name, "has left")
        except Failed as failure:
            failure.likely = failure.likely or likely.get(name, "")
            raise
    for bad in _illegal_names(words):
        visitor = visit(bench)
        visitor.send(bad + b"\n")
        must_be_sent_away(visitor, f"the end for who gives {bad!r} as a name")
        visitor.close()
    name = words.name()
    member = visit(bench)
    member.say(name)
    must_list(roster(member, name), name, present)
    line = present[watcher].line(f"that {name!r} has come")
    if line is None or not line.startswith("*") or name not in line:
        raise Failed("nothing said of those who were sent away", f"{line!r} came")


def _legal_names(words: Words) -> list[str]:
    """One of each length, and with each of the characters; and such as look like something."""
    sets = (string.ascii_uppercase, string.ascii_lowercase, string.digits)
    every = words.random.sample(ALPHANUMERIC, len(ALPHANUMERIC))
    return [
        *("".join(words.random.choices(each, k=NAME)) for each in sets),
        *(words.any_name(size) for size in range(NAME, 0, -1)),
        *("".join(every[at : at + NAME]) for at in range(0, len(every), NAME)),
        *NAMES_LIKE_WORDS,
    ]


def _parts_of(name: str) -> list[str]:
    """Names that one who is there begins with, has in it, and is the beginning of."""
    return [name[:4], name[2:6], name + name[0]]


def _illegal_names(words: Words) -> list[bytes]:
    """Each other character of ASCII at some place, letters and digits that are not ASCII, none."""
    others = [chr(code) for code in range(128) if chr(code) not in ALPHANUMERIC + "\n"]
    others += ["é", "ß", "Ж", "名", "٣", "²", "\uff21", "\u0301", "\u200b", "\ud800", "\x9b"]
    bad = [b"", b"\r", b" "]
    for char in others:
        name = words.any_name(words.random.randint(4, NAME - 2))
        places = [0, words.random.randint(1, len(name) - 1)]
        if char > " ":  # a server may strip the end, and some take controls for blanks there
            places.append(len(name))
        at = words.random.choice(places)
        bad.append((name[:at] + char + name[at:]).encode(errors="surrogatepass"))
    return [*bad, b"ab\xff", b"\x80cd"]


@check(
    "chat/8",
    "chat",
    what="Many come and go at the same time; who is there must be told of each exactly once, "
    "those who come together must know of each other, and the roster must be the truth.",
    why="Comings and goings race with each other all day.",
    mistake="Taking the roster, telling the others and entering the room in three steps, without a "
    "lock around all of them; or entering it before a name was given.",
    calls="none: it is the order in which threads do them.",
    together=True,
    needs="chat/6 chat/11",
)
def races(bench: Bench) -> None:
    words = Words(bench, "chat/8")
    watching = words.name()
    watcher, present, gone = join(bench, watching), dict[str, Wire](), list[str]()
    heard: list[str] = []
    for turn in range(ROUNDS):
        newcomers = {words.name(): visit(bench) for _ in range(COMING)}
        leaving, present = present, {}
        for number, (name, newcomer) in enumerate(newcomers.items()):
            newcomer.say(name)
            for owner in [*leaving.values()][number : number + 1]:
                (owner.reset if (number + turn) % 2 else owner.close)()
        told = {name: [roster(newcomer, name)] for name, newcomer in newcomers.items()}
        gone += leaving
        heard += [
            watcher.line("that everybody's coming and going is told") or ""
            for _ in range(len(newcomers) + len(leaving))
        ]
        for name, newcomer in newcomers.items():
            must_list(told[name][0], name, [watching])
            _must_know(name, newcomer, told[name], {*newcomers} - {name})
        present = newcomers
    for name in [*gone, *present]:
        times = 1 + (name in gone)
        if (seen := sum(name in line for line in heard)) != times:
            raise Failed(
                f"{'its coming and going' if times == 2 else 'its coming'} told once each",
                f"of {name!r} the others were told {seen} times",
            )
    if strange := [line for line in heard if not line.startswith("*")]:
        raise Failed("nothing but comings and goings", f"{shown(strange[0])} came")
    last = words.name()
    visitor = visit(bench)
    visitor.say(last)
    must_list(roster(visitor, last), last, [watching, *present], gone)
    must_tell_of(watcher, last, "has come")


def _must_know(name: str, wire: Wire, told: list[str], others: set[str]) -> None:
    """It is told of each of those who came at the same time, by the roster or by a line."""
    what = f"{name!r} to know, once, of each that came at the same time"
    deadline = time.monotonic() + ENDLESS * wire.patience
    while unknown := [each for each in others if not any(each in line for line in told)]:
        if time.monotonic() > deadline:
            raise Failed(what, f"of {unknown[0]!r} it was not told, in {len(told):,} lines")
        try:
            line = wire.line(what)
        except Failed as failure:
            raise Failed(what, f"of {unknown[0]!r} it was not told; {failure.actual}") from None
        if line is None:
            raise Failed(what, f"of {unknown[0]!r} it was not told, but the end came")
        told.append(line)
    for each in others:
        if (times := sum(each in line for line in told)) > 1:
            raise Failed(what, f"of {each!r} it was told {times} times")


@check(
    "chat/11",
    "chat",
    what="Connects while others talk, come and go, and gives its name later; until then it must "
    "hear nothing but one greeting, then who is there without itself and who has left, and then "
    "only what is said from now on. Up to ten at a time.",
    why="Who has not said its name is nobody; and what was said before was said to others.",
    mistake="A list of connections in place of one of members, so that those are told who have "
    "given no name; a history; a roster that is taken "
    "after the newcomer is in it, or is not sent where the room is empty.",
    calls="none: it is who is told what.",
    together=True,
    needs="chat/6",
)
def newcomers(bench: Bench) -> None:
    words = Words(bench, "chat/11")
    early, name = visit(bench), words.name()
    present = {name: enter(bench, words, name, {})}
    gone: list[str] = []
    while len(present) + 4 <= CLIENTS:  # with those whom it meets for a moment
        visitor, name = visit(bench), words.name()
        present[name] = enter(bench, words, name, present)
        passing = words.name()
        enter(bench, words, passing, present).close()
        for wire in present.values():
            must_tell_of(wire, passing, "has left")
        gone.append(passing)
        _must_hear_each_other(words, present)
        must_hear_nothing(visitor, "a client that has given no name")
        name = words.name()
        visitor.say(name)
        must_list(roster(visitor, name), name, present, gone)
        for wire in present.values():
            must_tell_of(wire, name, "has come")
        present[name] = visitor
        _must_hear_each_other(words, present)
    must_hear_nothing(early, "a client that has given no name")


@check(
    "chat/12",
    "chat",
    what="Gives a name that is in use, also in upper case; whether it is let in is the server's "
    "choice, but then the others must be told and both be heard, and else nothing be said of it. "
    "The first of that name must stay, and when it has left, by close() or a reset, the name must "
    "be free.",
    why="A lost connection must not lock one out of one's name, and nobody must be able to push "
    "another one out.",
    mistake="A table by name, in which the second one replaces the first, or its end removes it; "
    "one by the name in lower case; the name in place of the connection to leave the sender out; a "
    "name that is kept when its owner is gone.",
    calls="none: it is what the table of members is kept by.",
    together=True,
    needs="chat/6",
)
def the_same_name(bench: Bench) -> None:
    words = Words(bench, "chat/12")
    other = words.name()
    watcher = join(bench, other)
    for again in (str, str.upper):
        name = words.name()
        owner = enter(bench, words, name, {other: watcher})
        _beside_another(bench, words, (name, owner), again(name), (other, watcher))
        (owner.close if again is str else owner.reset)()
        must_tell_of(watcher, name, "has left")
        enter(bench, words, name, {other: watcher}).close()
        must_tell_of(watcher, name, "has left")


def _beside_another(
    bench: Bench, words: Words, first: tuple[str, Wire], same: str, other: tuple[str, Wire]
) -> None:
    """A second one gives the same name, and is let in or not; the first one stays."""
    (name, owner), (others, watcher) = first, other
    second = visit(bench)
    second.say(same)
    if let_in := _is_announced(second, watcher):
        for wire in (watcher, owner):
            must_tell_of(wire, same, "has come")
        must_be_heard(second, same, words.plain(20), [watcher, owner])
        must_be_heard(owner, name, words.plain(20), [watcher, second])
    must_be_heard(watcher, others, words.plain(20), [owner, second] if let_in else [owner])
    second.close()
    if let_in:
        for wire in (watcher, owner):
            must_tell_of(wire, same, "has left")
    must_be_heard(owner, name, words.plain(20), [watcher])
    must_be_heard(watcher, others, words.plain(20), [owner])


def _is_announced(newcomer: Wire, other: Wire) -> bool:
    """Whether the other one is told of it; else it is sent away, or asked again."""
    deadline = time.monotonic() + ENDLESS * newcomer.patience
    with contextlib.suppress(Failed):  # a reset, or no word at all
        while newcomer.line("an answer") is not None and time.monotonic() < deadline:
            if other.poll(QUIET_S, write=False)[0]:
                return True
    return other.poll(QUIET_S, write=False)[0]


@check(
    "chat/13",
    "chat",
    what="Ends within a name, before the newline, by close() and by shutdown(); it has not given a "
    "name, so it must not be let in, nor others be told of it.",
    why="A connection that breaks would else show up under half a name, and be gone again.",
    mistake="A reader of lines that also returns what comes last without a newline, as readline() "
    "and most of its like do at the end. Look whether the newline is there.",
    calls="recv(2): 0.",
    together=True,
    needs="chat/6",
)
def ends_within_a_name(bench: Bench) -> None:
    words = Words(bench, "chat/13")
    present = company(bench, words)
    for attempt in range(6):
        visitor, half = visit(bench), words.name()
        visitor.send(half.encode())
        if attempt % 2:
            visitor.close()
        else:
            visitor.half_close()
            visitor.poll(QUIET_S, write=False)  # the end, or a word on what is missing
        _must_hear_each_other(words, present)
    for wire in present.values():
        must_hear_nothing(wire, "the others about who gave half a name")
