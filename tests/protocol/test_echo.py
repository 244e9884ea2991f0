"""Echo: the same bytes, to the same peer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from aionet.protocol import Echo

PEER = object()


def test_who_connects_is_told_nothing() -> None:
    assert list(Echo().connect(PEER)) == []


@given(st.binary())
def test_what_a_peer_sends_goes_back_to_it_unchanged(data: bytes) -> None:
    assert list(Echo().receive_data(PEER, data)) == [(PEER, data)]


def test_the_bytes_are_handed_on_without_a_copy() -> None:
    data = b"x" * 1000
    ((_, out),) = Echo().receive_data(PEER, data)
    assert out is data


def test_an_empty_datagram_is_answered_with_an_empty_one() -> None:
    assert list(Echo().receive_data(PEER, b"")) == [(PEER, b"")]


def test_who_has_finished_is_closed() -> None:
    assert list(Echo().receive_eof(PEER)) == [(PEER, b"")]
