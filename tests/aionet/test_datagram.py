"""UDP: every datagram is answered, as far as the limits and the kernel allow."""

from __future__ import annotations

import logging
import socket
from typing import Any

import pytest
from datagram_clients import ANY, client_of
from loop_runs import Run
from machine import over_ipv6

from aionet import datagram, throttle
from aionet.address import Address
from aionet.limits import Limits
from aionet.listen import listen
from aionet.protocol import CLOSE, Answer, Echo, Service
from aionet.server import serve


@pytest.mark.parametrize("at", [ANY, over_ipv6("udp://[::1]:0")])
def test_every_datagram_is_echoed_whole_the_empty_one_too(run: Run[Any], at: str) -> None:
    async def main() -> None:
        async with serve(Echo(), at) as server:
            with client_of(server) as client:
                for data in (b"hello", b"", bytes(60_000), b"", b"world"):
                    assert await client.exchange(data) == data
        assert server.stats.datagrams == server.stats.replies == 5
        assert server.stats.unanswered == 0

    run(main())


def test_a_service_may_answer_others_and_more_than_once(run: Run[Any]) -> None:
    class Gossip(Service):
        def __init__(self) -> None:
            self.known: list[Any] = []

        def connect(self, peer: Any) -> Answer:
            raise AssertionError("there are no connections")

        receive_eof = connect

        def receive_data(self, peer: Any, data: bytes) -> Answer:
            if peer not in self.known:
                self.known.append(peer)
            return [(self.known, data), *((each, data) for each in self.known), (peer, CLOSE)]

    async def main() -> None:
        async with serve(Gossip(), ANY) as server:
            with client_of(server) as ann, client_of(server) as bob:
                assert await ann.exchange(b"one") == await ann.receive() == b"one"
                assert await bob.exchange(b"two") == await ann.receive() == b"two"

    run(main())


def test_the_rate_limit_holds_on_a_real_socket(
    run: Run[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(datagram, "WINDOW_S", 1000.0)

    async def main() -> None:
        async with serve(Echo(), ANY, limits=Limits(udp_rate_loopback=2)) as server:
            with client_of(server) as client, client_of(server) as same_host:
                for number in range(4):
                    client.send(b"%d" % number)
                same_host.send(b"me, too?")
                await server.drain()
                assert client.answers() == [b"0", b"1"]
                assert same_host.answers() == []
        stats = server.stats
        assert (stats.datagrams, stats.replies, stats.unanswered) == (5, 2, 3)

    run(main())


@pytest.mark.parametrize("answer", [None, CLOSE, bytearray(b"yes"), memoryview(b"yes")])
def test_what_a_service_may_say_over_tcp_it_may_say_here(run: Run[Any], answer: Answer) -> None:
    class Fixed(Service):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            return answer if data == b"well?" else data

    async def main() -> None:
        async with serve(Fixed(), ANY) as server:
            with client_of(server) as client:
                client.send(b"well?")
                if answer is not None and answer is not CLOSE:
                    assert await client.receive() == b"yes"
                assert await client.exchange(b"and?") == b"and?"

    run(main())


def test_a_service_that_fails_costs_one_answer(
    run: Run[Any], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(throttle, "_kinds", {})

    class Picky(Echo):
        def receive_data(self, peer: Any, data: bytes) -> Answer:
            if data == b"fail":
                raise LookupError("as told")
            return super().receive_data(peer, data)

    async def main() -> None:
        async with serve(Picky(), ANY) as server:
            with client_of(server) as client:
                for _ in range(200):
                    client.send(b"fail")
                assert await client.exchange(b"hello") == b"hello"
                assert f"datagram of {client.address}" in caplog.messages[0]

    run(main())
    records = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert 1 <= len(records) < 50
    first, *others = records
    assert first.exc_info is not None
    assert first.exc_info[0] is LookupError
    assert all(each.exc_info is None for each in others)
    assert all("LookupError, whose traceback is above" in each.getMessage() for each in others)


def test_a_peer_that_has_gone_is_no_failure(
    run: Run[Any], caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server:
            for _ in range(3):
                with client_of(server) as gone:
                    gone.send(b"hello")
                with client_of(server) as client:
                    assert await client.exchange(b"hello") == b"hello"

    run(main())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_the_kernel_drops_is_counted_beyond_the_end(run: Run[Any]) -> None:
    sent = 500

    async def main() -> None:
        sock = listen(Address.parse(ANY))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        async with serve(Echo(), sock) as server:
            with client_of(server) as client:
                for _ in range(sent):  # while nobody reads
                    client.send(bytes(100))
                await server.drain()
            assert server.stats.dropped > 0
        stats = server.stats
        assert stats.dropped + stats.datagrams == sent

    run(main())


def test_what_keeps_coming_does_not_keep_a_drain_from_ending(run: Run[Any]) -> None:
    async def main() -> None:
        class Endless(Echo):
            def receive_data(self, peer: Any, data: bytes) -> Answer:
                client.send(data)
                return data

        async with serve(Endless(), ANY) as server:
            with client_of(server) as client:
                for _ in range(10):
                    client.send(b"and on")
                await server.drain()
        assert 10 <= server.stats.datagrams < 2000

    run(main())


def test_draining_answers_what_has_arrived(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server:
            with client_of(server) as client:
                for number in range(20):
                    client.send(b"%d" % number)
                await server.drain()
                assert client.answers() == [b"%d" % number for number in range(20)]

    run(main())
