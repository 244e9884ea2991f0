"""Echo: the same bytes, to the same peer; for some services only so many of them."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from aionet.protocol import Echo, EchoAndClose

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


# Echo and close


sizes = st.integers(1, 40)
streams = st.lists(st.binary(min_size=1, max_size=10), max_size=12)  # in pieces


def said_to(peer: object, service: EchoAndClose, pieces: list[bytes]) -> list[bytes]:
    """What `peer` is sent for these pieces; everything is for it."""
    deliveries = [each for piece in pieces for each in service.receive_data(peer, piece)]
    assert all(receiver is peer for receiver, _ in deliveries)
    return [data for _, data in deliveries]


@given(sizes, streams)
def test_so_many_bytes_go_back_and_then_the_peer_is_closed(size: int, pieces: list[bytes]) -> None:
    """However the stream was cut, and once only."""
    service = EchoAndClose(size)
    assert list(service.connect(PEER)) == []
    said = said_to(PEER, service, pieces)
    stream = b"".join(pieces)
    assert b"".join(said) == stream[:size]
    assert said.count(b"") == (len(stream) >= size)
    assert said[-1:] == [b""] or len(stream) < size


@given(
    sizes, st.lists(st.tuples(st.integers(0, 2), st.binary(min_size=1, max_size=9)), max_size=30)
)
def test_every_peer_is_counted_by_itself(size: int, events: list[tuple[int, bytes]]) -> None:
    service = EchoAndClose(size)
    for peer in range(3):
        service.connect(peer)
    said: dict[int, list[bytes]] = {0: [], 1: [], 2: []}
    for peer, piece in events:
        for receiver, data in service.receive_data(peer, piece):
            said[receiver].append(data)
    for peer, out in said.items():
        stream = b"".join(piece for each, piece in events if each == peer)
        assert b"".join(out) == stream[:size]
        assert out.count(b"") == (len(stream) >= size)


@given(sizes, streams)
def test_who_has_finished_is_closed_and_comes_back_as_somebody_new(
    size: int, pieces: list[bytes]
) -> None:
    service = EchoAndClose(size)
    for _ in range(2):
        service.connect(PEER)
        said = said_to(PEER, service, pieces)
        assert b"".join(said) == b"".join(pieces)[:size]
        assert list(service.receive_eof(PEER)) == [(PEER, b"")]


@given(sizes, streams)
def test_what_a_peer_sends_at_once_is_handed_on_without_a_copy(
    size: int, pieces: list[bytes]
) -> None:
    service = EchoAndClose(size)
    service.connect(PEER)
    for sent, piece in zip(itertools.accumulate(map(len, pieces)), pieces, strict=True):
        deliveries = list(service.receive_data(PEER, piece))
        if sent <= size:
            assert deliveries[0][1] is piece
