"""What is said in the chat room, and what the others hear of it.

Only what the public statement asks, see `compare/check/room.py`; who is in the room is in
`compare/check/chat_members.py`, and what our own rooms promise beyond it in
`compare/check/chat_strict.py`. Nothing arriving is shown by a marker: what somebody says last,
with everything before it.
"""

from __future__ import annotations

import string
import time
from collections.abc import Mapping

from compare.check import symptoms
from compare.check.bench import Bench
from compare.check.catalogue import check
from compare.check.failure import Failed
from compare.check.room import (
    ALPHANUMERIC,
    CLIENTS,
    MESSAGE,
    NAME,
    Words,
    company,
    enter,
    join,
    lines_until_heard,
    must_be_greeted,
    must_hear,
    must_tell_of,
    roster,
    shown,
    visit,
)
from compare.check.soon import SOON_S, must_be_soon
from compare.check.talk import must_agree, talk
from compare.check.wire import Wire

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
BURST = 25  # lines at a time: fewer wait for each other, and they fit into every buffer
MESSAGES = 200  # of each of those who talk at once
TURNS, TRIES = 16, 3
OF_NOTHING = (
    "An empty line is taken for the end. recv() returning 0 is one, and an LF alone is none."
)
AHEAD = 5  # of them under way, so that a short outbox is no reason to drop who does read
# Words that some programs take for commands, markup, formats or the end.
TRICKY = (
    *("quit", "exit", "QUIT", "bye", "help", "who", "list", "/quit", "/nick x", ":q", "EOF", "END"),
    *("@all hello", "<b>bold</b>", "&amp; &lt;", "a & b < c > d", "%s%d%n%%", "{0} {} ${x}", "\\n"),
    *("\\", "\\x41\\0", "'", '"', "'; --", "`id` $(id)", "null", "None", "nan", "0", "-1", "00"),
    *("a=b&c=d", "a,b;c|d", "a  b   c", "[", "]", "[]", "* ", "*", "! no", "#", "//", "--", "..."),
    *("  two blanks first", "        eight", "UPPER lower MiXeD", "GET / HTTP/1.1", "~", ":", "?"),
)


@check(
    "chat/3",
    "chat",
    what="Says NUL, invalid UTF-8, control characters, a lone CR; whatever becomes of that and of "
    "who said it, the others must go on hearing each other, and nobody who has left may stay on "
    "the roster.",
    why="One member must not be able to end the conversation of the others.",
    mistake="decode() that raises, in the thread or loop of all; passing it on to who cannot take "
    "it. Decode with errors='replace', or do not decode at all. Or it raises in the thread of who "
    "said it, past what says good-bye for him.",
    calls="none: it is what is done with the bytes.",
    together=True,
    needs="chat/10",
)
def junk(bench: Bench) -> None:
    words = Words(bench, "chat/3")
    names = words.name(), words.name()
    members = {name: join(bench, name) for name in names}
    strangers = [words.name() for _ in JUNK]
    for number, each in enumerate(JUNK):
        stranger = join(bench, strangers[number])
        stranger.send(each + b"\n")
        speaker, other = names[number % 2], names[1 - number % 2]
        text = words.plain(40)
        try:
            members[speaker].say(text)
            lines_until_heard(members[other], speaker, text)
        except Failed as failure:
            what = f"the others to hear each other after {each!r}"
            raise Failed(what, failure.actual) from None
        stranger.close()
    _must_have_left(bench, words, dict(zip(strangers, JUNK, strict=True)))


def _must_have_left(bench: Bench, words: Words, gone: Mapping[str, bytes]) -> None:
    """None of them is on the roster, which newcomers read. gone: what each had said, by name."""
    left = list[str]()

    def is_empty() -> bool:
        name, wire = words.name(), visit(bench)
        wire.say(name)
        line = roster(wire, name)
        wire.close()
        left[:] = [each for each in gone if each in line]
        return not left

    if not bench.wait_until(is_empty):
        what = "a roster without those who have left"
        raise Failed(what, f"{left[0]!r} is on it, who had said {gone[left[0]]!r}")


@check(
    "chat/4",
    "chat",
    what="Says a name and many lines in one segment, a name a byte at a time, and a line cut at "
    "every place, each half when the server has read what was before; it must be the same.",
    why="Where TCP cuts the stream has nothing to do with lines.",
    mistake="Taking each recv() for a line. Keep what came after the last LF for the next time.",
    calls="recv(2).",
    together=True,
    needs="chat/10",
)
def cut_anywhere(bench: Bench) -> None:
    words = Words(bench, "chat/4")
    other = join(bench, words.name())
    name = words.name()
    texts = [words.plain(words.random.randint(1, 60)) for _ in range(100)]
    member = bench.connect()
    member.send("".join(f"{line}\n" for line in [name, *texts]).encode())
    must_be_greeted(member)
    roster(member, name)
    must_tell_of(other, name, "has come")
    for text in texts:
        must_hear(other, name, text)
    line = words.plain(60)
    before = words.plain(8)
    for at in range(1, len(line)):
        member.send(f"{before}\n{line[:at]}".encode())
        must_hear(other, name, before)
        member.send(f"{line[at:]}\n".encode())
        must_hear(other, name, line)
    slow, trickled = words.name(), visit(bench)
    for char in f"{slow}\n":
        trickled.send(char.encode())
        trickled.wait_until_delivered()
    roster(trickled, slow)
    must_tell_of(other, slow, "has come")


@check(
    "chat/9",
    "chat",
    what=f"{CLIENTS} members say {MESSAGES} lines each, all at once; each must hear every line of "
    "the others exactly once, in its sender's order, and never its own.",
    why="A conversation in which words get lost is none.",
    mistake="Threads that send outside any lock, so that two lines cross; a send() that takes only "
    "part of a line; telling the sender, too. Put lines into each member's outbox under one lock, "
    "and send from there.",
    calls="send(2) returns fewer than asked for; pthread_mutex_lock(3).",
    together=True,
    needs="chat/10",
)
def all_at_once(bench: Bench) -> None:
    words = Words(bench, "chat/9")
    members: dict[str, Wire] = {}
    for name in [words.name() for _ in range(CLIENTS)]:
        members[name] = enter(bench, words, name, members)
    said = {
        name: [f"{number} {words.plain(words.random.randint(1, 80))}" for number in range(MESSAGES)]
        for name in members
    }
    heard = talk(bench, members, said, AHEAD)
    for hearer, lines in heard.items():
        for name in members:
            own = [line for line in lines if line.startswith(f"[{name}]")]
            if name == hearer and own:
                what = "its own words not said to who said them"
                raise Failed(what, f"{own[0]!r} came", likely=symptoms.OWN_WORDS)
            expected = [f"[{name}] {text}" for text in said[name] if name != hearer]
            must_agree(own, expected, "in its sender's order")
        must_agree(
            sorted(lines),
            sorted(f"[{name}] {text}" for name in members if name != hearer for text in said[name]),
            f"for {hearer}",
        )


@check(
    "chat/10",
    "chat",
    what="Says lines of every length from 1 to 1,000 characters of printable ASCII, each such "
    "character first, alone and in between, blanks first, and words that look like commands or "
    "markup; the others must hear them as they are, but for blanks at the end. Who says an empty "
    "line must be heard on.",
    why="It is what people type, and none of it concerns the server.",
    mistake="strip() where only the end may go; a buffer or a limit below 1,000; commands, "
    "mentions, escapes of HTML or of a shell; printf() with what came as the format.",
    calls="none: it is what is done with the bytes.",
    together=True,
)
def any_text(bench: Bench) -> None:
    words = Words(bench, "chat/10")
    name, listening = words.plain(NAME), words.name()  # that and the longest line must have room
    present = {listening: join(bench, listening)}
    member = enter(bench, words, name, present)
    _must_hear_both(words, member, present[listening], name)
    _must_stay_after_nothing(words, member, present[listening], name)
    texts = [words.text(size) for size in range(1, MESSAGE + 1)]
    texts += [char + words.text(12) for char in string.punctuation + " " + ALPHANUMERIC]
    texts += [*string.punctuation, *TRICKY, *("a" * MESSAGE, f"{'a ' * (MESSAGE // 2 - 1)}aa")]
    texts += [f"[{listening}] not me", f"* {name} has left the room", f"{words.text(10)} \r"]
    words.random.shuffle(texts)
    for at in range(0, len(texts), BURST):
        burst = texts[at : at + BURST]
        member.send("".join(f"{text}\n" for text in burst).encode())
        for text in burst:
            must_hear(present[listening], name, text)


def _must_hear_both(words: Words, member: Wire, other: Wire, name: str) -> None:
    """Two lines in one segment are two; that one alone is heard is known."""
    texts = words.plain(20), words.plain(20)
    member.send("".join(f"{text}\n" for text in texts).encode())
    try:
        for text in texts:
            must_hear(other, name, text)
    except Failed as failure:
        failure.likely = symptoms.LINE_PER_RECV
        raise


def _must_stay_after_nothing(words: Words, member: Wire, other: Wire, name: str) -> None:
    """An empty line is one, or none; whether the others hear it, its sender stays."""
    text = words.plain(20)
    try:
        member.send(b"\n")
        member.say(text)
        told = lines_until_heard(other, name, text)
    except Failed as failure:
        failure.likely = OF_NOTHING
        raise
    if strange := [line for line in told if line.rstrip() != f"[{name}]"]:
        raise Failed("nothing but an empty line heard", f"{shown(strange[0])} came")


@check(
    "chat/15",
    "chat",
    what="Two members answer each other; as a rule a line must be heard within 10 ms.",
    why="People notice when a conversation is slow, and programs wait for each line.",
    mistake="sleep() in the loop, or a look at the sockets every few milliseconds instead of "
    "waiting for them; a queue that is emptied by a clock.",
    calls="poll(2), epoll_wait(2), which return when there is something; tcp(7): TCP_NODELAY.",
    together=True,
    needs="chat/10",
)
def soon(bench: Bench) -> None:
    words = Words(bench, "chat/15")
    present = company(bench, words)
    names = list(present)

    def turn_s(number: int) -> float:
        """From a line to its being heard; who has heard it says the next one, which tells that."""
        name, other = names[number % 2], names[1 - number % 2]
        text = words.plain(20)
        began = time.perf_counter()
        present[name].say(text)
        must_hear(present[other], name, text)
        return time.perf_counter() - began

    limit = SOON_S * max(1.0, bench.patience / 3)
    distance = 3 * present[names[0]].distance_s()
    must_be_soon(
        [[turn_s(number) for number in range(TURNS)] for _ in range(TRIES)],
        "a line heard",
        limit,
        distance,
    )
