"""TLS: what a peer says that it must not, and what it had said before that."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import AsyncIterator
from typing import Any

import pytest
from loop_clients import ANY
from loop_runs import Run
from services import Noting
from tls_clients import TLSClient, Witness

from aionet.limits import CloseReason
from aionet.server import serve
from aionet.stream import BrokenStreamError, Stream

GARBAGE = b"\x17\x03\x03\x00\x20" + bytes(0x20)  # a record of data that nobody has encrypted


@contextlib.asynccontextmanager
async def greeted_and_gone(
    tls: ssl.SSLContext, trusting: ssl.SSLContext, reason: CloseReason
) -> AsyncIterator[TLSClient]:
    """A client that has shaken hands. Its service has heard "hello" in the end, and no more."""
    witness, service = Witness(), Noting()
    async with (
        serve(service, ANY, tls=tls, hooks=witness.hooks) as server,
        TLSClient(server, trusting) as client,
    ):
        await client.shake_hands()
        yield client
        assert await witness.one_end() is reason
    assert service.calls == ["connect", b"hello", "eof"]


def test_what_comes_after_a_close_notify_is_nothing(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with greeted_and_gone(tls, trusting, CloseReason.EOF) as client:
            await client.send_packet(client.wrapped(b"hello", end=True) + bytes(100_000))
            client.finish()
            assert await client.receive(5) == b"hello"

    run(main())


def test_what_breaks_the_protocol_is_answered_by_an_alert(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with greeted_and_gone(tls, trusting, CloseReason.RESET) as client:
            await client.send(b"hello")
            assert await client.receive() == b"hello"
            await client.send_packet(GARBAGE + bytes(300_000))
            with pytest.raises(ssl.SSLError, match="BAD_RECORD_MAC"):
                await client.receive()
            client.finish()

    run(main())


def test_what_was_said_before_the_protocol_was_broken_is_heard(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with greeted_and_gone(tls, trusting, CloseReason.RESET) as client:
            await client.send_packet(client.wrapped(b"hello") + GARBAGE)
            client.finish()

    run(main())


def test_handler_is_told_what_broke_the_protocol(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    seen: list[BrokenStreamError] = []

    async def handler(stream: Stream) -> None:
        with pytest.raises(BrokenStreamError) as broken:
            await stream.receive()
        seen.append(broken.value)

    async def main() -> None:
        async with serve(handler, ANY, tls=tls) as server, TLSClient(server, trusting) as client:
            await client.shake_hands()
            await client.send_packet(GARBAGE)
            client.finish()
            await server.drain()

    run(main())
    (error,) = seen
    assert isinstance(error.__cause__, ssl.SSLError)
