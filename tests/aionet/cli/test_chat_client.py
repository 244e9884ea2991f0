"""ChatClient: what is sent of what is typed, what is shown of what is said."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aionet.cli.chat_client import ChatClient
from aionet.protocol import Room


def a_client(*, terminal: bool = True) -> ChatClient:
    return ChatClient("ann", terminal=terminal)


def show(client: ChatClient, *pieces: bytes) -> bytes:
    return b"".join(client.receive_data(piece) for piece in (*pieces, b""))


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cs"]))
    | st.from_regex(r"[A-Za-z0-9]{1,40}", fullmatch=True)
)
@example("\u0663")  # a digit, but not one of the ten
def test_a_name_is_accepted_exactly_when_the_room_accepts_it(name: str) -> None:
    room = Room()
    room.connect("peer")
    room.receive_data("peer", name.encode() + b"\n")
    if room.names:
        assert ChatClient(name, terminal=False).first_line == name.encode() + b"\n"
    else:
        with pytest.raises(ValueError, match="1 to 32 letters and digits"):
            ChatClient(name, terminal=False)


@pytest.mark.parametrize("name", ["ann\n", "ann\nhello", "ann\r", "\udcff", ""])
def test_a_name_that_is_not_one_line_of_text_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        ChatClient(name, terminal=False)


def test_what_is_typed_is_sent_unchanged() -> None:
    client = a_client()
    assert client.send_data(b"hello\n") == b"hello\n"
    assert client.send_data(b"") == b""


def test_the_end_of_typing_ends_an_unfinished_line() -> None:
    client = a_client()
    client.send_data(b"one\ntwo")
    assert client.send_data(b"") == b"\n"


def test_a_terminal_is_shown_no_control_characters() -> None:
    said = "\x1b[31mred\x07 \x7f\x9b5m tab\tstays\r\n".encode()
    assert show(a_client(), said) == b"[31mred 5m tab\tstays\n"


def test_a_character_cut_in_two_is_shown_whole() -> None:
    assert show(a_client(), b"\xe2\x82", b"\xac\n") == "€\n".encode()


def test_a_control_character_cut_in_two_is_not_shown() -> None:
    assert show(a_client(), b"a\xc2", b"\x9bb\n") == b"ab\n"


def test_bytes_that_are_not_utf_8_are_shown_as_replaced() -> None:
    assert show(a_client(), b"a\xffb\n\xc3") == "a\ufffdb\n\ufffd".encode()


@given(st.lists(st.binary()))
def test_whatever_a_server_sends_a_terminal_is_shown_plain_text(pieces: list[bytes]) -> None:
    shown = show(a_client(), *pieces).decode()
    assert all(unicodedata.category(char) != "Cc" or char in "\t\n" for char in shown)


@given(st.lists(st.binary()))
def test_a_pipe_is_given_the_bytes_as_they_are(pieces: list[bytes]) -> None:
    assert show(a_client(terminal=False), *pieces) == b"".join(pieces)


@pytest.mark.parametrize(
    ("pieces", "refused"),
    [
        ((b"* Welcome\n! no\n",), True),
        ((b"* Welcome\n", b"!", b" no\n"), True),
        ((b"* Welcome\n!", b" no\n"), True),
        ((b"[bob] look! here\n",), False),
        ((b"[bob] look", b"! here\n"), False),
        ((b"!important\n",), False),
    ],
)
def test_an_error_line_is_a_refusal_however_it_is_cut(
    pieces: tuple[bytes, ...], refused: bool
) -> None:
    client = a_client()
    show(client, *pieces)
    assert client.refused is refused
