"""TLS handshakes: those that fail, those that take their time, and those that wait for a place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
from typing import Any

import pytest
from loop_clients import ANY, RESET, let_the_loop_see_everything
from loop_runs import Run
from services import Noting
from tls_clients import TLSClient, Witness, connect

from aionet.limits import CloseReason, Limits, Timeouts
from aionet.protocol import Echo
from aionet.server import Server, serve


@pytest.mark.parametrize(
    "said",
    [
        b"GET / HTTP/1.0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01" * 100,
        b"\x16\x03\x01\x00\x05\x01\x00\x00\x01\xff" + bytes(500_000),
    ],
)
def test_what_is_no_handshake_is_told_to_nobody_but_counted(
    run: Run[Any], tls: ssl.SSLContext, said: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        witness, service = Witness(), Noting()
        async with (
            serve(service, ANY, tls=tls, hooks=witness.hooks) as server,
            connect(server, None) as (reader, writer),
        ):
            writer.write(said)
            # An alert of level fatal, where this is like TLS at all (RFC 8446, 6), and our end;
            # no reset, however much of it there is.
            told = await reader.read()
            assert told[:1] + told[5:6] == (b"\x15\x02" if said[0] == 0x16 else b"")
            writer.close()
            assert await witness.one_end() is CloseReason.HANDSHAKE
        assert service.calls == []
        assert (witness.opened, witness.reasons) == (1, [CloseReason.HANDSHAKE])

    run(main())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("end", ["close", "reset", "say nothing", "say half"])
def test_who_does_not_finish_its_handshake_is_let_go(
    run: Run[Any], tls: ssl.SSLContext, end: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        witness, service = Witness(), Noting()
        timeouts = Timeouts(handshake=0.2)
        async with (
            serve(service, ANY, tls=tls, hooks=witness.hooks, timeouts=timeouts) as server,
            connect(server, None) as (_, writer),
        ):
            await witness.until(lambda: witness.opened)
            if end == "say half":
                writer.write(b"\x16\x03\x01\x02")
            elif end == "reset":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()
            elif end == "close":
                writer.close()
            reason = await witness.one_end()
        assert reason is CloseReason.HANDSHAKE
        assert service.calls == []
        assert server.stats.closed[CloseReason.HANDSHAKE] == server.stats.accepted == 1

    run(main())
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_a_handshake_without_a_timeout_may_take_its_time(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        timeouts = Timeouts(handshake=None, idle=0.1)
        async with (
            serve(Echo(), ANY, tls=tls, timeouts=timeouts) as server,
            connect(server, trusting) as (reader, writer),
        ):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"

    run(main())


def test_draining_ends_a_handshake(run: Run[Any], tls: ssl.SSLContext) -> None:
    async def main() -> None:
        witness, service = Witness(), Noting()
        async with (
            serve(service, ANY, tls=tls, hooks=witness.hooks) as server,
            connect(server, None),
        ):
            await witness.until(lambda: witness.opened)
            await server.drain(5)
        assert service.calls == []
        assert witness.reasons == [CloseReason.DRAIN]

    run(main())


def test_a_failed_handshake_gives_its_place_back(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        limits = Limits(connections=1)
        async with serve(Echo(), ANY, tls=tls, limits=limits) as server:
            for _ in range(3):
                async with connect(server, None) as (reader, writer):
                    writer.write(b"not TLS")
                    writer.write_eof()
                    with contextlib.suppress(ConnectionResetError):
                        await reader.read()
            async with connect(server, trusting) as (reader, writer):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"

    run(main())


def test_who_is_over_the_limit_waits_before_the_handshake(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    clients = 10

    async def main() -> None:
        async def visit(server: Server) -> None:
            async with connect(server, trusting) as (reader, writer):
                writer.write(b"hello")
                assert await reader.readexactly(5) == b"hello"

        async with serve(Echo(), ANY, tls=tls, limits=Limits(connections=1)) as server:
            await asyncio.gather(*(visit(server) for _ in range(clients)))
        assert server.stats.accepted == clients
        assert server.stats.closed[CloseReason.HANDSHAKE] == 0

    run(main())


def test_who_is_rejected_need_not_shake_hands(run: Run[Any], tls: ssl.SSLContext) -> None:
    async def visit(server: Server) -> None:
        async with connect(server, None) as (reader, _):
            await reader.read()

    async def main() -> None:
        witness = Witness()
        limits = Limits(connections=1, on_full="reject")
        async with (
            serve(Echo(), ANY, tls=tls, limits=limits, hooks=witness.hooks) as server,
            connect(server, None),
        ):
            await witness.until(lambda: witness.opened)
            with pytest.raises(ConnectionResetError):  # by the first call that can tell
                await visit(server)
        assert server.stats.closed[CloseReason.REJECTED] == 1

    run(main())


@pytest.mark.parametrize("handshake", [None, 10.0])
def test_a_handshake_is_not_held_to_half_closed(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, handshake: float | None
) -> None:
    async def main() -> None:
        timeouts = Timeouts(handshake=handshake, half_closed=0.1, idle=0.2)
        async with (
            serve(Echo(), ANY, tls=tls, timeouts=timeouts) as server,
            TLSClient(server, trusting) as client,
        ):
            last = await client.answer()
            async with connect(server, trusting) as (reader, _):
                assert await reader.read() == b""  # so long that it is idle
            await client.send_packet(last + client.wrapped(b"hello"))
            assert await client.receive() == b"hello"

    run(main())


def test_who_takes_too_long_for_its_handshake_sees_an_end_and_no_reset(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness, service = Witness(), Noting()
        timeouts = Timeouts(handshake=0.2)
        async with (
            serve(service, ANY, tls=tls, hooks=witness.hooks, timeouts=timeouts) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.answer()
            while await client.receive_packet():
                pass
            assert await witness.one_end() is CloseReason.HANDSHAKE
        assert service.calls == []

    run(main())


PARTS = 16


@pytest.mark.parametrize("end", [False, True])
def test_the_end_of_a_handshake_comes_with_the_first_data_cut_anywhere(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, end: bool
) -> None:
    async def main() -> None:
        async def visit(server: Server, number: int) -> None:
            async with TLSClient(server, trusting) as client:
                packet = await client.answer() + client.wrapped(b"hello", end=end)
                cut = len(packet) * number // PARTS
                await client.send_packet(packet[:cut])
                await let_the_loop_see_everything()
                await client.send_packet(packet[cut:])
                if not end:
                    client.finish()
                assert await client.receive_rest() == b"hello"

        service, witness = Noting(), Witness()
        async with serve(service, ANY, tls=tls, hooks=witness.hooks) as server:
            await asyncio.gather(*(visit(server, number) for number in range(PARTS + 1)))
            await witness.until(lambda: len(witness.reasons) > PARTS)
        assert set(witness.reasons) == {CloseReason.EOF}
        for call in ("connect", b"hello", "eof"):
            assert service.calls.count(call) == PARTS + 1

    run(main())
