"""Messages in a stream, however it is cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet.protocol import Echo, Exactly, Framed, LengthPrefixed, LineReader, Lines, Until
from aionet.protocol.framing import PREFIXES, FrameReader, OversizeError

ORDERS = ("big", "little")


def read(reader: Any, data: bytes, cuts: list[int]) -> list[bytes]:
    messages = []
    start = 0
    for cut in [*sorted(cut % (len(data) + 1) for cut in cuts), len(data)]:
        messages += reader.receive_data(data[start:cut])
        start = cut
    return messages


@given(
    prefix=st.sampled_from(PREFIXES),
    byteorder=st.sampled_from(ORDERS),
    messages=st.lists(st.binary(max_size=200), max_size=8),
    cuts=st.lists(st.integers(0, 2000), max_size=20),
)
def test_length_prefixed_messages_arrive_whole_however_they_are_cut(
    prefix: Any, byteorder: Any, messages: list[bytes], cuts: list[int]
) -> None:
    framing = LengthPrefixed(prefix, byteorder=byteorder, limit=200)
    reader = framing.reader()
    sent = b"".join(map(framing.encode, messages))
    assert read(reader, sent, cuts) == messages
    assert reader.unfinished is None
    assert not reader.too_long


@given(
    separator=st.sampled_from([b"\r\n", b"\n\n", b"aa", b"aba", b"\0"]),
    messages=st.lists(st.text("ab\r\n", max_size=9).map(str.encode), max_size=8),
    cuts=st.lists(st.integers(0, 200), max_size=20),
)
def test_separated_messages_arrive_whole_however_they_are_cut(
    separator: bytes, messages: list[bytes], cuts: list[int]
) -> None:
    framing = Until(separator, 16)
    sent = []
    for message in messages:
        try:
            sent.append(framing.encode(message))
        except ValueError:
            assert (message + separator).find(separator) != len(message)
        else:
            assert sent[-1] == message + separator
    whole = [each[: -len(separator)] for each in sent]
    assert read(framing.reader(), b"".join(sent), cuts) == whole


@given(data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300), max_size=20))
def test_lines_are_the_same_by_either_reader(data: bytes, cuts: list[int]) -> None:
    fast, plain = LineReader(40), FrameReader(Lines(40))
    assert read(fast, data, cuts) == read(plain, data, cuts)
    assert (fast.too_long, fast.unfinished) == (plain.too_long, plain.unfinished)


@given(size=st.integers(1, 50), data=st.binary(max_size=300), cuts=st.lists(st.integers(0, 300)))
def test_messages_of_one_size(size: int, data: bytes, cuts: list[int]) -> None:
    reader = Exactly(size).reader()
    whole = len(data) // size * size
    assert read(reader, data, cuts) == [data[at : at + size] for at in range(0, whole, size)]
    assert reader.unfinished == (None if whole == len(data) else whole // size)


@given(
    make=st.sampled_from(
        [
            lambda: LengthPrefixed(4, limit=100),
            lambda: LengthPrefixed(8, byteorder="little", limit=100),
            lambda: Until(b"\r\n", 100),
            lambda: Lines(100),
        ]
    ),
    pieces=st.lists(st.binary(max_size=150), max_size=30),
)
def test_memory_is_bounded_whatever_comes(make: Callable[[], Any], pieces: list[bytes]) -> None:
    reader = FrameReader(make())
    for piece in pieces:
        for message in reader.receive_data(piece):
            assert len(message) <= 100
        assert len(reader._buffer) <= 100 + 8
        if reader.too_long:
            assert reader.receive_data(b"anything\r\n") == []


@pytest.mark.parametrize("prefix", PREFIXES[1:])
@pytest.mark.parametrize("byteorder", ORDERS)
def test_length_over_the_limit_is_refused_as_soon_as_it_is_known(
    prefix: Any, byteorder: Any
) -> None:
    framing = LengthPrefixed(prefix, byteorder=byteorder)
    with pytest.raises(OversizeError, match="4,097 bytes is over 4,096"):
        framing.find((4097).to_bytes(prefix, byteorder), 0)


def test_byte_order_is_what_it_is_called() -> None:
    assert LengthPrefixed(4).encode(b"ab") == b"\0\0\0\2ab"
    assert LengthPrefixed(4, byteorder="little").encode(b"ab") == b"\2\0\0\0ab"
    assert LengthPrefixed(1).limit == 255  # more it cannot say


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: LengthPrefixed(3), "prefix is 3; it must be 1, 2, 4 or 8"),
        (lambda: LengthPrefixed(4, byteorder="network"), "'big' or 'little'"),
        (lambda: LengthPrefixed(4, limit=0), "limit is 0"),
        (lambda: LengthPrefixed(1, limit=256), "limit is 256; a length of 1 byte says at most 255"),
        (lambda: LengthPrefixed(2, limit=70_000), "of 2 bytes says at most 65535"),
        (lambda: LengthPrefixed(True), "prefix is True"),
        (lambda: LineReader(-1), "limit is -1"),
        (lambda: Framed(Echo(), LengthPrefixed), "framing is <class"),
        (lambda: Framed(Echo(), "lines"), "framing is 'lines'; it must be such as Length"),
        (lambda: Framed(print, Lines()), "is no aionet.Service"),
        (lambda: Lines(0), "limit is 0"),
        (lambda: Until(b""), "separator is empty"),
        (lambda: Exactly(0), "size is 0"),
        (lambda: LengthPrefixed(1).encode(bytes(256)), "256 bytes is over 255"),
        (lambda: Lines.encode(b"a\nb"), "has a line end in it"),
        (lambda: Until(b"aa").encode(b"ba"), "in it"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Callable[[], Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()


@pytest.mark.parametrize("framing", [LengthPrefixed(4), Until(b";"), Exactly(4), Lines()])
@pytest.mark.parametrize("text", ["text", None, 4])
def test_what_is_not_bytes_cannot_be_encoded(framing: Any, text: Any) -> None:
    hint = r": text\.encode\(\)" if text == "text" else ""
    said = f"^encode\\(\\) was given {type(text).__name__}; it must be bytes{hint}$"
    with pytest.raises(TypeError, match=said):
        framing.encode(text)
