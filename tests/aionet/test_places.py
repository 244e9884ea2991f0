"""Places: who waits for one, who counts as one host, and when one is free again."""

from __future__ import annotations

from typing import Any

import pytest
from services import Commands
from witnesses import Witness

from aionet.core.source import source_of
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import Echo, Room
from aionet.testing import MemoryServer


def test_who_waits_is_served_in_order_once_there_is_a_place() -> None:
    with MemoryServer(Room(), limits=Limits(connections=1)) as server:
        first, second, third = (server.connect() for _ in range(3))
        second.send(b"bob\n")
        assert second.received == third.received == b""
        assert (server.stats.open, server.stats.waiting) == (3, 2)
        assert not server.stats.accepting
        first.reset()
        assert b"The room contains" in second.received
        assert third.received == b""
        assert (server.stats.open, server.stats.waiting) == (2, 1)


def test_who_left_while_waiting_does_not_take_a_place() -> None:
    witness = Witness()
    with MemoryServer(Echo(), limits=Limits(connections=1), hooks=witness.hooks) as server:
        first, second, third = (
            server.connect(("192.0.2.1", 40000 + number)) for number in range(3)
        )
        second.reset()
        first.finish()
        assert second.closed is CloseReason.RESET
        third.send(b"hello")
        assert third.received == b"hello"
        assert witness.opened == [("192.0.2.1", 40000), ("192.0.2.1", 40002)]
        third.finish()
        assert server.stats.accepting


def test_one_free_place_of_many_is_taken_after_a_moment() -> None:
    with MemoryServer(Echo(), limits=Limits(connections=100)) as server:
        peers = [server.connect() for _ in range(100)]
        assert not server.stats.accepting
        peers[0].finish()
        assert not server.stats.accepting
        server.advance(0.5)
        assert server.stats.accepting
        server.connect()
        assert not server.stats.accepting
        for peer in peers[1:10]:  # a sixteenth: at once
            peer.finish()
        assert server.stats.accepting


def test_a_place_of_a_host_is_free_again_after_any_end() -> None:
    with MemoryServer(Commands(), limits=Limits(per_peer=1), timeouts=Timeouts(idle=5)) as server:
        for end in ("finish", "reset", "advance", "fail"):
            peer = server.connect()
            assert server.connect().closed is CloseReason.REJECTED
            if end == "advance":
                server.advance(7)
            elif end == "fail":
                peer.send(b"fail")
            else:
                getattr(peer, end)()
            assert peer.closed is not None, end
        assert server.connect().closed is None


def test_a_host_that_gives_one_place_back_gets_one() -> None:
    with MemoryServer(Echo(), limits=Limits(per_peer=2)) as server:
        first, _ = server.connect(), server.connect()
        first.finish()
        assert server.connect().closed is None
        assert server.connect().closed is CloseReason.REJECTED
        assert server.connect(("192.0.2.2", 40000)).closed is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (("192.0.2.1", 1), ("192.0.2.1", 2), True),
        (("192.0.2.1", 1), ("192.0.2.2", 1), False),
        (("192.0.2.1", 1), ("::ffff:192.0.2.1", 1, 0, 0), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8::ffff:1", 2, 0, 0), True),
        (("2001:db8::1", 1, 0, 0), ("2001:db8:0:1::1", 1, 0, 0), False),
        (("fe80::1%lo", 1, 0, 1), ("fe80::2%lo", 1, 0, 1), True),
    ],
)
def test_a_source_is_an_ipv4_address_or_an_ipv6_64(one: Any, other: Any, same: bool) -> None:
    assert (source_of(one) == source_of(other)) is same


@pytest.mark.parametrize("address", ["", "/run/socket", None, b"\0name"])
def test_peers_on_unix_sockets_have_no_source(address: Any) -> None:
    assert source_of(address) is None
