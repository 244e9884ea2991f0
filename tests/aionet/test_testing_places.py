"""Servers in memory: datagrams, TLS, programs, and the fixture of pytest."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from aionet import Datagram, Echo, Limits, Room, Service, Stream
from aionet.limits import CloseReason
from aionet.testing import MemoryServer, clock


def test_datagrams_of_a_service_and_their_limits() -> None:
    with MemoryServer(Echo(), limits=Limits(udp_rate=2)) as server:
        assert server.datagram(b"one") == [b"one"]
        assert server.datagram(b"") == [b""]
        assert server.datagram(b"three") == []
        assert server.datagram(b"other", ("192.0.2.2", 5000)) == [b"other"]
        assert server.datagram(b"low", ("192.0.2.3", 53)) == []
        server.advance(1.5)
        assert server.datagram(b"four") == [b"four"]
        assert server.stats.datagrams == 6
        assert server.stats.unanswered == 2


def test_datagrams_of_a_handler_that_takes_its_time() -> None:
    async def handler(datagram: Datagram) -> None:
        await asyncio.sleep(2)
        datagram.reply(b"late " + datagram.data)

    with MemoryServer(handler) as server:
        assert server.datagram(b"x", ("192.0.2.9", 9999)) == []
        server.advance(2)
        assert server.sent == [(b"late x", ("192.0.2.9", 9999))]
        assert server.send_to(b"unasked", ("192.0.2.9", 9999))
        assert server.sent[-1] == (b"unasked", ("192.0.2.9", 9999))


def test_tls_is_spoken_by_both_ends(tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    async def handler(stream: Stream) -> None:
        async for data in stream:
            await stream.send_all(data.upper())

    with MemoryServer(handler, tls=tls) as server:
        peer = server.connect(tls=trusting, server_hostname="127.0.0.1")
        peer.send(b"hello" * 10_000)
        assert peer.received == b"HELLO" * 10_000
        peer.finish()
        assert peer.at_eof
        assert peer.closed is CloseReason.EOF
        stranger = server.connect(tls=trusting, server_hostname="elsewhere.example")
        assert isinstance(stranger.error, ssl.SSLCertVerificationError)
        server.advance(2)  # it is given Timeouts.linger to close
        assert stranger.closed is CloseReason.HANDSHAKE
        plain = server.connect()
        plain.send(b"GET / HTTP/1.1\r\n\r\n")
        assert plain.at_eof


def test_bytes_are_counted() -> None:
    with MemoryServer(Echo()) as server:
        peer = server.connect()
        peer.send(bytes(1000))
        peer.send(bytes(500))
        assert (server.stats.received_bytes, server.stats.sent_bytes) == (1500, 1500)


def test_coroutine_of_the_test_runs_on_the_loop_of_the_server(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Clock(Service):
        tick_every = 60.0

        def tick(self, now: float) -> Any:
            minutes.append(now)
            return ()

    minutes: list[float] = []

    async def work() -> str:
        await asyncio.sleep(200)
        return "done"

    with MemoryServer(Clock()) as server:
        assert server.run(work()) == "done"
        assert len(minutes) == 3
        monkeypatch.setattr(clock, "REST_S", 0.2)  # it ticks as long as one waits
        with pytest.raises(RuntimeError, match="never happens"):
            server.run(asyncio.Event().wait())


def test_fixture_closes_what_it_made(memory_server: Any) -> None:
    ann, bob = (memory_server(Room()).connect() for _ in range(2))
    ann.send(b"ann\n")
    bob.send(b"ann\n")  # another room
    assert ann.received.startswith(b"* Welcome")
    assert b"in use" not in bob.received


def test_text_is_no_bytes() -> None:
    with MemoryServer(Echo()) as server, pytest.raises(TypeError, match="must be bytes"):
        server.connect().send("text")  # type: ignore[arg-type]
