"""What was given to a peer, or heard of it, is let go though more of it has to wait."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from aionet.protocol import Answer, LengthPrefixed, Service
from aionet.testing import MemoryServer

F4 = LengthPrefixed(4, limit=1 << 20)
LARGE = 300_000

pytestmark = pytest.mark.timeout(30)


class Noted(bytes):
    """Bytes that are counted until they are let go."""

    there = 0

    def __new__(cls, data: bytes) -> Noted:
        Noted.there += 1
        return super().__new__(cls, data)

    def __del__(self) -> None:
        Noted.there -= 1


def test_pieces_of_a_list_are_let_go_as_they_are_taken() -> None:
    class Listing(Service):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            return [(peer, Noted(b"%d" % number * 40_000)) for number in range(5)]

    with MemoryServer(Listing()) as server:
        peer = server.connect(reads=False)
        peer.send(b"x")
        assert server.peers[0].pending == 2 * 40_000  # which has a copy
        assert Noted.there == 3
        read = peer.read

        def read_once(data: bytes, *, at_eof: bool) -> None:
            read(data, at_eof=at_eof)
            peer.stop_reading()

        peer.read = read_once  # type: ignore[method-assign]
        peer.start_reading()
        assert len(peer.received) == 2 * 40_000
        assert Noted.there == 1
        peer.start_reading()
        peer.start_reading()
        assert peer.received == b"".join(b"%d" % number * 40_000 for number in range(5))
        assert Noted.there == 0


def test_messages_that_came_together_are_let_go_as_they_are_heard() -> None:
    class Measuring(Service):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            return b"." if len(data) == LARGE else bytes(100_000)

    large = F4.encode(bytes(LARGE))
    sent = large * 2 + F4.encode(b"?") * 3
    with MemoryServer(Measuring(), framing=F4) as server:
        peer = server.connect(reads=False)
        tracemalloc.start()
        try:
            peer.send(sent)
            kept, _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        assert server.peers[0].pending == 100_002
        assert kept < LARGE
        peer.start_reading()
        assert len(peer.received) == 2 + 3 * 100_000
