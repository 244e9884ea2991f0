"""TLS: the same service, limits and reasons, after a handshake."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from loop_clients import ANY, RESET
from loop_runs import Run
from services import Noting
from tls_clients import Witness, connect

from aionet.limits import CloseReason, Timeouts
from aionet.protocol import Deliveries, Echo, Room
from aionet.server import Server, serve
from aionet.stream import Stream
from aionet.tls import server_context

# The context.


def test_a_context_takes_the_key_from_either_file(files: Path) -> None:
    for context in (
        server_context(files / "mine.pem", files / "mine.key"),
        server_context(str(files / "both.pem")),
    ):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION


@pytest.mark.parametrize(
    "names", [("missing.pem",), ("mine.pem",), ("mine.pem", "other.key"), ("mine.key", "mine.pem")]
)
def test_files_that_do_not_serve_are_an_oserror(files: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(OSError):  # noqa: PT011  ssl.SSLError is one, and has many forms
        server_context(*(files / name for name in names))


# Served.


def test_what_is_echoed_is_what_was_sent(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        data = bytes(range(256)) * 8000
        async with (
            serve(Echo(), ANY, tls=tls) as server,
            connect(server, trusting) as (reader, writer),
        ):
            writer.write(data)
            assert await reader.readexactly(len(data)) == data
            assert writer.get_extra_info("cipher")

    run(main())


def test_old_versions_are_a_failed_handshake(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness = Witness()
        trusting.minimum_version = ssl.TLSVersion.TLSv1_2
        trusting.maximum_version = ssl.TLSVersion.TLSv1_2
        tls.minimum_version = ssl.TLSVersion.TLSv1_3
        async with serve(Echo(), ANY, tls=tls, hooks=witness.hooks) as server:
            with pytest.raises(OSError):  # noqa: PT011
                async with connect(server, trusting):
                    pass
            assert await witness.one_end() is CloseReason.HANDSHAKE

    run(main())


@pytest.mark.parametrize("end", ["quit", "leave", "reset", "drain"])
def test_every_end_has_its_reason(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, end: str
) -> None:
    async def main() -> None:
        witness, service = Witness(), Noting()
        async with (
            serve(service, ANY, tls=tls, hooks=witness.hooks) as server,
            connect(server, trusting) as (reader, writer),
        ):
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            if end == "quit":
                writer.write(b"quit")
                assert await reader.read() == b"bye"
            elif end == "leave":
                writer.close()
                await writer.wait_closed()
            elif end == "reset":
                sock = writer.get_extra_info("socket")
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()
            else:
                await server.drain()
                assert await reader.read() == b""
            reason = await witness.one_end()
        assert (
            reason
            is {
                "quit": CloseReason.DONE,
                "leave": CloseReason.EOF,
                "reset": CloseReason.RESET,
                "drain": CloseReason.DRAIN,
            }[end]
        )
        assert service.calls[:2] == ["connect", b"hello"]
        assert service.calls.count("eof") == 1
        assert witness.opened == len(witness.reasons) == server.stats.closed[reason] == 1

    run(main())


def test_idle_says_goodbye_in_tls(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness = Witness()
        timeouts = Timeouts(idle=0.2)
        async with (
            serve(Echo(), ANY, tls=tls, hooks=witness.hooks, timeouts=timeouts) as server,
            connect(server, trusting) as (reader, _),
        ):
            assert await reader.read() == b""
            assert await witness.one_end() is CloseReason.IDLE

    run(main())


def test_oversize_and_slow_message_are_told_apart(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness = Witness()
        timeouts = Timeouts(idle=None, message=0.2)
        async with serve(
            Room(line_limit=10), ANY, tls=tls, hooks=witness.hooks, timeouts=timeouts
        ) as server:
            for said in (b"x" * 20, b"x"):
                async with connect(server, trusting) as (reader, writer):
                    writer.write(said)
                    await reader.read()
            await witness.until(lambda: len(witness.reasons) == 2)
        assert witness.reasons == [CloseReason.OVERSIZE, CloseReason.SLOW_MESSAGE]

    run(main())


def test_a_peer_that_takes_nothing_is_a_slow_reader(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    class Flood(Echo):
        def receive_data(self, peer: Any, data: bytes) -> Deliveries:
            return [(peer, bytes(1 << 20))] * 16

    async def main() -> None:
        witness = Witness()
        timeouts = Timeouts(idle=None, write=0.5)
        async with (
            serve(Flood(), ANY, tls=tls, hooks=witness.hooks, timeouts=timeouts) as server,
            connect(server, trusting, receive_buffer=4096, limit=1) as (_, writer),
        ):
            writer.write(b"go")  # the reader pauses its transport when it has twice `limit`
            assert await witness.one_end() is CloseReason.SLOW_READER

    run(main())


# Everything at once.


async def say_all_at_once(
    server: Server, context: ssl.SSLContext, said: bytes, *, end: str
) -> None:
    """Finish the handshake, say something, and end it, all in one segment."""
    loop = asyncio.get_running_loop()
    (address,) = server.addresses
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.socket() as sock:
        sock.setblocking(False)
        await loop.sock_connect(sock, (address.host, address.port))
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await loop.sock_sendall(sock, outgoing.read())
                incoming.write(await loop.sock_recv(sock, 1 << 16))
        tls.write(said)
        if end == "close_notify":
            with contextlib.suppress(ssl.SSLWantReadError):
                tls.unwrap()
        await loop.sock_sendall(sock, outgoing.read())
        sock.shutdown(socket.SHUT_WR)
        while await loop.sock_recv(sock, 1 << 16):
            pass


@pytest.mark.parametrize("end", ["close_notify", "none"])
def test_what_comes_with_the_end_of_the_handshake_is_not_lost_nor_is_the_end(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, end: str
) -> None:
    async def main() -> None:
        witness, service = Witness(), Noting()
        async with serve(service, ANY, tls=tls, hooks=witness.hooks) as server:
            with contextlib.suppress(ConnectionResetError):
                await say_all_at_once(server, trusting, b"hello", end=end)
            await witness.one_end()
        assert service.calls == ["connect", b"hello", "eof"]
        assert witness.opened == len(witness.reasons) == 1
        assert server.stats.open == 0

    run(main())


def test_a_handler_gets_all_that_came_before_the_end_however_late_it_reads(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness = Witness()
        lines: list[bytes | None] = []
        done = asyncio.Event()

        async def handler(stream: Stream) -> None:
            assert await stream.receive_line() == b"one"
            await witness.until(lambda: witness.reasons)  # the connection is gone
            while (line := await stream.receive_line()) is not None:
                lines.append(line)
            done.set()

        async with (
            serve(handler, ANY, tls=tls, hooks=witness.hooks) as server,
            connect(server, trusting) as (_, writer),
        ):
            writer.write(b"one\ntwo\nthree")
            writer.close()
            await writer.wait_closed()
            await done.wait()
        assert lines == [b"two", b"three"]
        assert witness.reasons == [CloseReason.EOF]

    run(main())
