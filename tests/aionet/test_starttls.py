"""TLS from the middle of a connection on (STARTTLS)."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest
from loop_clients import ANY, Client
from loop_runs import Run
from witnesses import Witness

from aionet import BrokenStreamError, Stream, connect, serve
from aionet.limits import CloseReason
from aionet.testing import MemoryServer


async def upgrades(stream: Stream) -> None:
    """A bit of SMTP (RFC 3207)."""
    await stream.send_all(b"220 ready\r\n")
    async for line in stream.lines():
        if line == b"STARTTLS":
            await stream.send_all(b"220 go ahead\r\n")
            await stream.start_tls()
        else:
            secret = b"secret" if stream.get_extra_info("ssl_object") else b"plain"
            await stream.send_all(secret + b" " + line + b"\r\n")


def test_both_sides_of_a_connection_go_on_in_tls(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with (
            serve(upgrades, ANY, starttls=tls) as server,
            await connect(server.addresses[0]) as client,
        ):
            assert await client.receive_line() == b"220 ready"
            await client.send_all(b"one\r\n")
            assert await client.receive_line() == b"plain one"
            await client.send_all(b"STARTTLS\r\n")
            assert await client.receive_line() == b"220 go ahead"
            await client.start_tls(trusting, server_hostname="127.0.0.1")
            await client.send_all(b"two\r\n" * 1000)
            for _ in range(1000):
                assert await client.receive_line() == b"secret two"
            await client.send_eof()
            assert await client.receive() == b""
            assert await client.wait_closed() is CloseReason.EOF

    run(main())


def test_wrong_name_in_the_certificate_is_told_and_ends_it(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness = Witness()
        async with serve(upgrades, ANY, starttls=tls, hooks=witness.hooks) as server:
            client = await connect(server.addresses[0])
            await client.send_all(b"STARTTLS\r\n")
            assert await client.receive_line() == b"220 ready"
            assert await client.receive_line() == b"220 go ahead"
            with pytest.raises(ssl.SSLCertVerificationError):
                await client.start_tls(trusting, server_hostname="elsewhere.example")
            await witness.until(lambda: witness.closed)
            assert witness.reasons == [CloseReason.HANDSHAKE]

    run(main())


def test_what_was_sent_before_the_handshake_is_not_taken_for_protected(
    tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    with MemoryServer(upgrades, starttls=tls) as server:
        peer = server.connect()
        peer.send(b"STARTTLS\r\nMAIL FROM:<mallory@example.org>\r\n")
        assert peer.was_reset
        assert peer.closed is CloseReason.HANDSHAKE
        assert b"secret" not in peer.received


def test_handshake_that_does_not_come_is_held_to_its_time(tls: ssl.SSLContext) -> None:
    with MemoryServer(upgrades, starttls=tls) as server:
        peer = server.connect()
        peer.send(b"STARTTLS\r\n")
        server.advance(12)
        assert peer.closed is CloseReason.HANDSHAKE


def test_no_handshake_at_all(run: Run[Any], tls: ssl.SSLContext) -> None:
    async def main() -> None:
        witness = Witness()
        async with serve(upgrades, ANY, starttls=tls, hooks=witness.hooks) as server:
            async with Client(server) as client:
                await client.send(b"STARTTLS\r\n")
                assert await client.receive() == b"220 ready\r\n220 go ahead\r\n"
                await client.send(b"EHLO\r\n")
                await client.receive_rest()
            await witness.until(lambda: witness.closed)
            assert witness.reasons == [CloseReason.HANDSHAKE]

    run(main())


def test_memory_speaks_it_as_well(tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    with MemoryServer(upgrades, starttls=tls) as server:
        peer = server.connect()
        peer.send(b"STARTTLS\r\n")
        peer.take()
        peer.start_tls(trusting, server_hostname="127.0.0.1")
        peer.send(b"hello\r\n")
        assert (peer.error, peer.received) == (None, b"secret hello\r\n")


def test_server_without_a_context_says_so() -> None:
    errors: list[str] = []

    async def handler(stream: Stream) -> None:
        try:
            await stream.start_tls()
        except ValueError as error:
            errors.append(str(error))

    with MemoryServer(handler) as server:
        server.connect()
    assert errors == ["start_tls() needs serve(..., starttls=context)"]


def test_peer_that_goes_away_in_the_handshake_breaks_the_stream(tls: ssl.SSLContext) -> None:
    errors: list[BrokenStreamError] = []

    async def handler(stream: Stream) -> None:
        try:
            await stream.start_tls()
        except BrokenStreamError as error:
            errors.append(error)

    with MemoryServer(handler, starttls=tls) as server:
        server.connect().reset()
    assert [error.reason for error in errors] == [CloseReason.HANDSHAKE]


def test_nothing_is_sent_in_the_midst_of_a_handshake_and_then_all(
    tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    went: list[bool] = []

    async def handler(stream: Stream) -> None:
        starting = asyncio.create_task(stream.start_tls())
        await asyncio.sleep(0)
        went.append(stream.send_nowait(b"lost"))
        sending = asyncio.create_task(stream.send_all(b"after it"))
        with pytest.raises(RuntimeError, match="start_tls"):
            await stream.send_eof()
        await starting
        await sending
        went.append(stream.send_nowait(b", and more"))
        await stream.receive()

    with MemoryServer(handler, starttls=tls) as server:
        peer = server.connect()
        peer.start_tls(trusting, server_hostname="127.0.0.1")
        assert went == [False, True]
        assert peer.received == b"after it, and more"


def test_handshake_that_is_given_up_ends_the_connection(tls: ssl.SSLContext) -> None:
    async def handler(stream: Stream) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await stream.start_tls()
        assert not stream.send_nowait(b"x")

    with MemoryServer(handler, starttls=tls) as server:
        peer = server.connect()
        server.advance(2)
        assert peer.closed is CloseReason.HANDSHAKE


def test_stranger_who_fails_his_handshake_is_no_news(tls: ssl.SSLContext, caplog: Any) -> None:
    with MemoryServer(upgrades, starttls=tls) as server:
        peer = server.connect()
        peer.send(b"STARTTLS\r\n")
        peer.send(b"GET / HTTP/1.1\r\n\r\n")
        server.advance(2)
        assert peer.closed is CloseReason.HANDSHAKE
    assert caplog.records == []
