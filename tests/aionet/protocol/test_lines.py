"""LineReader: the same lines, however the stream is cut."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aionet.protocol import LineReader

LIMIT = 8

# Short lines, long lines, and every mixture of CR and LF.
streams = st.lists(st.sampled_from([b"a", b"\r", b"\n", b"\xff", b"12345678"])).map(b"".join)


@st.composite
def cut_streams(draw: st.DrawFn) -> list[bytes]:
    stream = draw(streams)
    cuts = sorted(draw(st.lists(st.integers(0, len(stream)))))
    return [stream[start:end] for start, end in zip([0, *cuts], [*cuts, None], strict=True)]


def lines_by_hand(stream: bytes) -> tuple[list[bytes], bool]:
    """The lines of a whole stream, and whether one is too long: the definition."""
    *ended, tail = stream.split(b"\n")
    lines = [line.removesuffix(b"\r") for line in ended]
    for index, line in enumerate(lines):
        if len(line) > LIMIT:
            return lines[:index], True
    return lines, len(tail.removesuffix(b"\r")) > LIMIT


@given(cut_streams())
@example([b"12345678\r", b"\n"])
@example([b"12345678\r", b"\r\n"])
@example([b"12345678", b"\r", b"a"])
def test_lines_are_the_same_however_the_stream_is_cut(pieces: list[bytes]) -> None:
    reader = LineReader(LIMIT)
    lines = [line for piece in pieces for line in reader.receive_data(piece)]
    assert (lines, reader.too_long) == lines_by_hand(b"".join(pieces))


def test_line_split_across_reads_arrives_once() -> None:
    reader = LineReader(LIMIT)
    assert reader.receive_data(b"he") == []
    assert reader.receive_data(b"llo\n") == [b"hello"]
    assert reader.receive_data(b"\n") == [b""]


def test_a_hundred_lines_in_one_read_arrive_in_order() -> None:
    lines = [b"%d" % number for number in range(100)]
    assert LineReader(LIMIT).receive_data(b"\n".join([*lines, b""])) == lines


def test_only_the_cr_right_before_the_lf_is_dropped() -> None:
    assert LineReader(LIMIT).receive_data(b"a\rb\r\r\n") == [b"a\rb\r"]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_the_line_end_does_not_count_towards_the_limit(end: bytes) -> None:
    reader = LineReader(LIMIT)
    assert reader.receive_data(b"12345678" + end) == [b"12345678"]
    assert not reader.too_long


@pytest.mark.parametrize("line", [b"123456789", b"123456789\n", b"12345678\r\r\n"])
def test_a_line_over_the_limit_ends_the_reading(line: bytes) -> None:
    reader = LineReader(LIMIT)
    assert reader.receive_data(b"before\n" + line) == [b"before"]
    assert reader.too_long
    assert reader.receive_data(b"\nafter\n") == []


def test_an_unfinished_line_is_kept_and_not_handed_out() -> None:
    reader = LineReader(LIMIT)
    assert reader.receive_data(b"12345678") == []
    assert not reader.too_long
