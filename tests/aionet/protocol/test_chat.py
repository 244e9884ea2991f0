"""Room: who is in, and who gets what."""

from __future__ import annotations

import itertools
import unicodedata
from collections import defaultdict
from typing import Any

import pytest
from answers import deliveries
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from aionet.protocol import Room
from aionet.protocol.service import Answer, Close

GREETING = b"* Welcome to the room. What is your name?\n"
LIMIT = 12


class Shell:
    """Carries out a room's deliveries in memory, by the rules of the contract."""

    def __init__(self, **settings: int) -> None:
        self.room = Room(**settings)
        self.inbox: dict[Any, bytes] = defaultdict(bytes)
        self.closed: set[Any] = set()

    def connect(self, *peers: Any) -> None:
        for peer in peers:
            self._deliver(peer, self.room.connect(peer))

    def receive_data(self, peer: Any, data: bytes) -> None:
        self._deliver(peer, self.room.receive_data(peer, data))

    def receive_eof(self, peer: Any) -> None:
        self._deliver(peer, self.room.receive_eof(peer))
        self.closed.add(peer)

    def join(self, *peers: str) -> None:
        """Everybody connects and is called as they are; what they were told is forgotten."""
        for peer in peers:
            self.connect(peer)
            self.receive_data(peer, peer.encode() + b"\n")
        self.inbox.clear()

    def take(self, peer: str) -> list[str]:
        """The lines that `peer` was sent since the last time."""
        return self.inbox.pop(peer, b"").decode().splitlines()

    def _deliver(self, speaker: Any, answer: Answer) -> None:
        for peer, what in deliveries(speaker, answer):
            if peer in self.closed:
                continue
            if isinstance(what, Close):
                self.closed.add(peer)
            else:
                self.inbox[peer] += what


@pytest.fixture
def shell() -> Shell:
    return Shell()


# Coming.


def test_who_connects_is_greeted_with_one_line(shell: Shell) -> None:
    shell.connect("ann")
    assert shell.inbox == {"ann": GREETING}


def test_the_first_line_is_the_name(shell: Shell) -> None:
    shell.connect("peer")
    shell.receive_data("peer", b"ann\r\n")
    assert shell.room.names == ["ann"]


def test_a_newcomer_is_told_who_is_in_and_the_others_of_it(shell: Shell) -> None:
    shell.join("ann", "bob")
    shell.connect("cid")
    shell.take("cid")
    shell.receive_data("cid", b"cid\n")
    assert shell.take("cid") == ["* The room contains: ann, bob"]
    assert shell.take("ann") == shell.take("bob") == ["* cid has entered the room"]


def test_a_name_and_lines_in_one_read_are_a_name_and_lines(shell: Shell) -> None:
    shell.join("bob")
    shell.connect("ann")
    shell.receive_data("ann", b"ann\none\ntwo\n")
    assert shell.take("bob") == ["* ann has entered the room", "[ann] one", "[ann] two"]


@pytest.mark.parametrize(
    "name",
    [b"", b" ", b"a b", b"a-b", b"a\0b", b"\xff", "ä".encode(), "\u0663".encode(), b"a" * 33],
)
def test_a_name_of_anything_but_1_to_32_letters_and_digits_is_refused(
    shell: Shell, name: bytes
) -> None:
    shell.join("bob")
    shell.connect("peer")
    shell.take("peer")
    shell.receive_data("peer", name + b"\n")
    assert shell.take("peer") == ["! a name is 1 to 32 letters and digits"]
    assert "peer" in shell.closed
    assert shell.room.names == ["bob"]
    assert shell.take("bob") == []


@pytest.mark.parametrize("name", ["a", "Z9", "7", "a" * 32])
def test_a_name_of_1_to_32_letters_and_digits_is_accepted(shell: Shell, name: str) -> None:
    shell.join(name)
    assert shell.room.names == [name]


def test_a_name_in_use_is_refused(shell: Shell) -> None:
    shell.join("ann")
    shell.connect("other")
    shell.take("other")
    shell.receive_data("other", b"ann\nI am ann\n")
    assert shell.take("other") == ["! the name ann is in use; choose another"]
    assert "other" in shell.closed
    assert shell.take("ann") == []


def test_a_name_is_free_again_after_its_owner_left(shell: Shell) -> None:
    shell.join("ann")
    shell.receive_eof("ann")
    shell.connect("other")
    shell.receive_data("other", b"ann\n")
    assert shell.room.names == ["ann"]
    assert "other" not in shell.closed


# Talking.


def test_a_line_reaches_everybody_else_and_never_its_sender(shell: Shell) -> None:
    shell.join("ann", "bob", "cid")
    shell.receive_data("ann", b"hello\n")
    assert shell.take("bob") == shell.take("cid") == ["[ann] hello"]
    assert shell.take("ann") == []


def test_the_unnamed_are_told_nothing(shell: Shell) -> None:
    shell.join("ann", "bob")
    shell.connect("nobody")
    shell.take("nobody")
    shell.receive_data("ann", b"hello\n")
    shell.receive_eof("ann")
    assert shell.take("nobody") == []


def test_all_members_are_handed_the_same_bytes_object(shell: Shell) -> None:
    shell.join("ann", "bob", "cid")
    (_, first), (_, second) = deliveries("ann", shell.room.receive_data("ann", b"hello\n"))
    assert first is second


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (b"", ""),
        (b"tab\there", "tab\there"),
        ("grüß €".encode(), "grüß €"),
        (b"nul\0", "nul?"),
        (b"\x1b[2J\x07", "?[2J?"),
        (b"a\rb", "a?b"),
        (b"bad \xff\xfe", "bad ??"),
        (b"cut \xe2\x82", "cut ?"),
        ("\x9b31m \x7f".encode(), "?31m ?"),
        ("\ufffd".encode(), "?"),
    ],
)
def test_what_a_terminal_cannot_take_becomes_a_question_mark(
    shell: Shell, line: bytes, text: str
) -> None:
    shell.join("ann", "bob")
    shell.receive_data("ann", line + b"\n")
    assert shell.inbox["bob"].decode() == f"[ann] {text}\n"


def test_a_line_over_the_limit_is_refused_after_the_lines_before_it() -> None:
    shell = Shell(line_limit=LIMIT)
    shell.join("ann", "bob")
    shell.receive_data("ann", b"before\n" + b"x" * (LIMIT + 1) + b"\nafter\n")
    assert shell.take("bob") == ["[ann] before", "* ann has left the room"]
    assert shell.take("ann") == [f"! line is over {LIMIT} bytes"]
    assert "ann" in shell.closed


def test_a_line_of_exactly_the_limit_is_passed_on() -> None:
    shell = Shell(line_limit=LIMIT)
    shell.join("ann", "bob")
    shell.receive_data("ann", b"x" * LIMIT + b"\r\n")
    assert shell.take("bob") == ["[ann] " + "x" * LIMIT]


# Going.


def test_the_others_are_told_once_that_a_member_has_left(shell: Shell) -> None:
    shell.join("ann", "bob")
    shell.receive_eof("ann")
    assert "ann" in shell.closed
    assert shell.take("bob") == ["* ann has left the room"]
    assert shell.room.names == ["bob"]


def test_nobody_is_told_that_an_unnamed_peer_has_left(shell: Shell) -> None:
    shell.join("bob")
    shell.connect("nobody")
    shell.receive_eof("nobody")
    assert shell.take("bob") == []


def test_who_was_refused_leaves_without_a_further_word(shell: Shell) -> None:
    shell.join("ann", "bob")
    shell.receive_data("ann", b"x" * 5000)
    shell.take("bob")
    shell.receive_data("ann", b"anybody there?\n")
    shell.receive_eof("ann")
    assert shell.take("bob") == []


# Whatever is sent.

streams = st.lists(
    st.sampled_from([b"ann", b"bob", b"hello", b"\n", b"\r", b"\0", b"\xe2\x82", b"\xac", b"\t"])
    | st.binary(max_size=3)
).map(b"".join)


@given(streams, st.data())
def test_everybody_gets_the_same_however_the_stream_is_cut(
    stream: bytes, data: st.DataObject
) -> None:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    outcomes = []
    for bounds in ([0, None], [0, *cuts, None]):
        shell = Shell(line_limit=LIMIT)
        shell.join("bob", "cid")
        shell.connect("peer")
        for start, end in itertools.pairwise(bounds):
            if piece := stream[start:end]:
                shell.receive_data("peer", piece)
        outcomes.append((shell.inbox, shell.closed, shell.room.names))
    assert outcomes[0] == outcomes[1]


NAMES = ["ann", "bob", "cid", "a" * LIMIT]
lines = st.sampled_from(
    [b"hi", b"\ttab", b"a\0b", b"\xff", "€".encode(), b"x" * LIMIT, b"\x1b[m\r"]
)
pieces = lines | st.binary(max_size=LIMIT).map(lambda data: data.replace(b"\n", b" "))


def assert_plain(line: str) -> None:
    assert all(char == "\t" or unicodedata.category(char) != "Cc" for char in line)


class AnyConversation(RuleBasedStateMachine):
    """People come, talk and go in any order; the room is compared with a model of it."""

    peers: Bundle[int] = Bundle("peers")

    def __init__(self) -> None:
        super().__init__()
        self.shell = Shell(line_limit=LIMIT)
        self.arrivals = 0
        # The model. What a peer is expected to have been told is a list of lines, the text
        # of a message being the input line, and None where the error's wording is not ours.
        self.unfinished: dict[int, bytes] = {}  # of the peers that are connected
        self.members: dict[int, str] = {}
        self.expected: dict[int, list[tuple[str, bytes | None]]] = {}

    @rule(target=peers)
    def connect(self) -> int:
        peer = self.arrivals = self.arrivals + 1
        self.shell.connect(peer)
        self.unfinished[peer] = b""
        self.expected[peer] = [(GREETING.decode().rstrip(), b"")]
        return peer

    @rule(peer=peers, name=st.sampled_from(NAMES))
    def say_a_name(self, peer: int, name: str) -> None:
        self.send(peer, name.encode() + b"\n")

    @rule(peer=peers, line=pieces)
    def say_a_line(self, peer: int, line: bytes) -> None:
        self.send(peer, line + b"\n")

    @rule(peer=peers, piece=pieces.filter(bool))
    def say_part_of_a_line(self, peer: int, piece: bytes) -> None:
        self.send(peer, piece)

    @rule(peer=peers, said=st.lists(pieces, min_size=2, max_size=4))
    def say_lines_at_once(self, peer: int, said: list[bytes]) -> None:
        self.send(peer, b"\n".join(said) + b"\n")

    @rule(peer=consumes(peers))
    def leave(self, peer: int) -> None:
        self.shell.receive_eof(peer)
        if self.unfinished.pop(peer, None) is not None:
            self.model_leaves(peer)

    def send(self, peer: int, data: bytes) -> None:
        self.shell.receive_data(peer, data)
        if peer not in self.unfinished:
            return
        *ended, tail = (self.unfinished[peer] + data).split(b"\n")
        for line in ended:
            self.model_line(peer, line.removesuffix(b"\r"))
            if peer not in self.unfinished:
                return
        self.unfinished[peer] = tail
        if len(tail.removesuffix(b"\r")) > LIMIT:
            self.model_refuses(peer)

    def model_line(self, peer: int, line: bytes) -> None:
        if len(line) > LIMIT:
            self.model_refuses(peer)
        elif peer in self.members:
            self.model_tells_others(peer, f"[{self.members[peer]}] ", line)
        elif not line.isalnum() or line.decode() in self.members.values():
            self.model_refuses(peer)
        else:
            roster = ", ".join(self.members.values())
            self.expected[peer].append((f"* The room contains: {roster}", b""))
            self.model_tells_others(peer, f"* {line.decode()} has entered the room", b"")
            self.members[peer] = line.decode()

    def model_refuses(self, peer: int) -> None:
        self.expected[peer].append(("! ", None))
        del self.unfinished[peer]
        self.model_leaves(peer)

    def model_leaves(self, peer: int) -> None:
        if name := self.members.pop(peer, None):
            self.model_tells_others(peer, f"* {name} has left the room", b"")

    def model_tells_others(self, peer: int, prefix: str, line: bytes) -> None:
        for member in self.members:
            if member != peer:
                self.expected[member].append((prefix, line))

    @invariant()
    def the_roster_equals_reality(self) -> None:
        assert self.shell.room.names == list(self.members.values())

    @invariant()
    def who_is_refused_or_gone_is_closed_and_nobody_else(self) -> None:
        assert self.shell.closed == self.expected.keys() - self.unfinished.keys()

    @invariant()
    def everybody_was_told_what_they_should_be_in_one_order(self) -> None:
        for peer, expected in self.expected.items():
            *told, rest = self.shell.inbox[peer].split(b"\n")
            assert rest == b""
            assert len(told) == len(expected)
            for line, (prefix, said) in zip(told, expected, strict=True):
                assert line.startswith(prefix.encode())
                text = line.removeprefix(prefix.encode())
                assert_plain(line.decode())
                if said is not None:
                    assert len(text) <= len(said)
                    plain = said.decode("utf-8", "replace").replace("\ufffd", "?")
                    assert text.decode() == plain or not plain.isprintable()


TestAnyConversation = AnyConversation.TestCase
TestAnyConversation.settings = settings(max_examples=60, stateful_step_count=30)
