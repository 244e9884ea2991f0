"""Echo: the same bytes, to the same peer; for some services only so many of them."""

from __future__ import annotations

import itertools

from answers import deliveries
from hypothesis import given
from hypothesis import strategies as st

from aionet.protocol import CLOSE, Echo, EchoAndClose
from aionet.protocol.service import Close

PEER = object()


def test_who_connects_is_told_nothing() -> None:
    assert Echo().connect(PEER) is None


@given(st.binary())
def test_what_a_peer_sends_goes_back_to_it_unchanged(data: bytes) -> None:
    assert Echo().receive_data(PEER, data) == data


def test_the_bytes_are_handed_on_without_a_copy() -> None:
    data = b"x" * 1000
    assert Echo().receive_data(PEER, data) is data


def test_an_empty_datagram_is_answered_with_an_empty_one() -> None:
    assert Echo().receive_data(PEER, b"") == b""


def test_who_has_finished_is_closed() -> None:
    assert Echo().receive_eof(PEER) is CLOSE


# Echo and close


sizes = st.integers(1, 40)
streams = st.lists(st.binary(min_size=1, max_size=10), max_size=12)  # in pieces


def said_to(peer: object, service: EchoAndClose, pieces: list[bytes]) -> list[bytes | Close]:
    """What `peer` is sent for these pieces; everything is for it."""
    said: list[bytes | Close] = []
    for piece in pieces:
        for receiver, what in deliveries(peer, service.receive_data(peer, piece)):
            assert receiver is peer
            said.append(what)
    return said


def stream_of(said: list[bytes | Close]) -> bytes:
    return b"".join(what for what in said if isinstance(what, bytes))


@given(sizes, streams)
def test_so_many_bytes_go_back_and_then_the_peer_is_closed(size: int, pieces: list[bytes]) -> None:
    """However the stream was cut, and once only."""
    service = EchoAndClose(size)
    assert service.connect(PEER) is None
    said = said_to(PEER, service, pieces)
    stream = b"".join(pieces)
    assert stream_of(said) == stream[:size]
    assert said.count(CLOSE) == (len(stream) >= size)
    assert said[-1:] == [CLOSE] or len(stream) < size


@given(
    sizes, st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=9)), max_size=30)
)
def test_every_peer_is_counted_by_itself(size: int, events: list[tuple[int, bytes]]) -> None:
    service = EchoAndClose(size)
    for peer in range(3):
        service.connect(peer)
    said: dict[int, list[bytes | Close]] = {0: [], 1: [], 2: []}
    for peer, piece in events:
        for receiver, what in deliveries(peer, service.receive_data(peer, piece)):
            said[receiver].append(what)
    for peer, out in said.items():
        stream = b"".join(piece for each, piece in events if each == peer)
        assert stream_of(out) == stream[:size]
        assert out.count(CLOSE) == (len(stream) >= size)


@given(sizes, streams)
def test_who_has_finished_is_closed_and_comes_back_as_somebody_new(
    size: int, pieces: list[bytes]
) -> None:
    service = EchoAndClose(size)
    for _ in range(2):
        service.connect(PEER)
        said = said_to(PEER, service, pieces)
        assert stream_of(said) == b"".join(pieces)[:size]
        assert service.receive_eof(PEER) is CLOSE


@given(sizes, streams)
def test_what_a_peer_sends_at_once_is_handed_on_without_a_copy(
    size: int, pieces: list[bytes]
) -> None:
    service = EchoAndClose(size)
    service.connect(PEER)
    for sent, piece in zip(itertools.accumulate(map(len, pieces)), pieces, strict=True):
        said = said_to(PEER, service, [piece])
        if sent <= size:
            assert said[0] is piece
