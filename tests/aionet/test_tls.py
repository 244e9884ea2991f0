"""TLS: the same service, limits and reasons, after a handshake."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from loop_clients import ANY, RESET, let_the_loop_see_everything
from loop_runs import Run
from services import Noting
from tls_clients import TLSClient, Witness, connect

from aionet.hooks import Hooks
from aionet.limits import CloseReason, Timeouts
from aionet.protocol import Deliveries, Echo, Room
from aionet.server import serve
from aionet.stream import BrokenStreamError, Stream
from aionet.tls import server_context

# The context.


def test_a_context_takes_the_key_from_either_file(files: Path) -> None:
    for context in (
        server_context(files / "mine.pem", files / "mine.key"),
        server_context(str(files / "both.pem")),
    ):
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION
        assert context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    "names", [("missing.pem",), ("mine.pem",), ("mine.pem", "other.key"), ("mine.key", "mine.pem")]
)
def test_files_that_do_not_serve_are_an_oserror(files: Path, names: tuple[str, ...]) -> None:
    with pytest.raises(OSError, match=r"the certificate|no private key|no certificate") as error:
        server_context(*(files / name for name in names))
    assert any(str(files / name) in str(error.value) for name in names)


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


# What a handler gets, and what is known of a peer.


def test_a_handler_gets_all_that_came_before_the_end_however_late_it_reads(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        witness = Witness()
        lines: list[bytes | None] = []
        one, ended = asyncio.Event(), asyncio.Event()

        async def handler(stream: Stream) -> None:
            assert await stream.receive_line() == b"one"
            one.set()
            await ended.wait()
            while (line := await stream.receive_line()) is not None:
                lines.append(line)

        async with (
            serve(handler, ANY, tls=tls, hooks=witness.hooks) as server,
            connect(server, trusting) as (_, writer),
        ):
            writer.write(b"one\ntwo\nthree")
            writer.close()
            await one.wait()
            await let_the_loop_see_everything()
            ended.set()
            await writer.wait_closed()
            assert await witness.one_end() is CloseReason.EOF
        assert lines == [b"two", b"three"]

    run(main())


@pytest.fixture
def named(files: Path, trusting: ssl.SSLContext) -> ssl.SSLContext:
    """What a client needs to know of the server, and to prove who it is."""
    trusting.load_cert_chain(files / "mine.pem", files / "mine.key")
    return trusting


def test_a_handler_knows_the_certificate_of_its_peer_to_the_end(
    run: Run[Any], tls: ssl.SSLContext, named: ssl.SSLContext, files: Path
) -> None:
    async def main() -> None:
        witness, known = Witness(), []
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(files / "mine.pem")
        gone = asyncio.Event()

        async def handler(stream: Stream) -> None:
            for _ in range(2):
                known.append(stream.get_extra_info("peercert")["subject"])
                assert isinstance(stream.get_extra_info("ssl_object"), ssl.SSLObject)
                assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
                assert stream.get_extra_info("sslcontext") is tls
                assert stream.get_extra_info("cipher")[1] == "TLSv1.3"
                assert stream.get_extra_info("compression") is None
                assert stream.get_extra_info("peername")[0] == "127.0.0.1"
                assert stream.get_extra_info("nothing like it") is None
                await stream.receive()
            with contextlib.suppress(BrokenStreamError):
                await stream.receive()
            known.append(stream.get_extra_info("peercert")["subject"])
            gone.set()

        async with (
            serve(handler, ANY, tls=tls, hooks=witness.hooks) as server,
            connect(server, named) as (_, writer),
        ):
            writer.write(b"hello")
            await let_the_loop_see_everything()
            writer.close()
            await writer.wait_closed()
            await gone.wait()
        assert known == [((("commonName", "localhost"),),)] * 3

    run(main())


def test_the_certificate_is_known_of_a_peer_that_breaks_the_protocol(
    run: Run[Any], tls: ssl.SSLContext, named: ssl.SSLContext, files: Path
) -> None:
    async def main() -> None:
        ended, subjects = asyncio.Event(), []
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(files / "mine.pem")

        def on_close(peer: Any, reason: CloseReason) -> None:
            subjects.append(peer.get_extra_info("peercert")["subject"])
            ended.set()

        async with (
            serve(Echo(), ANY, tls=tls, hooks=Hooks(on_close=on_close)) as server,
            TLSClient(server, named) as client,
        ):
            await client.shake_hands()
            await client.send(b"hello")
            assert await client.receive() == b"hello"
            await client.send_packet(b"in the clear" * 100)
            client.finish()
            await ended.wait()
        assert subjects == [((("commonName", "localhost"),),)]

    run(main())


def test_who_has_no_certificate_where_one_is_required_has_no_handshake(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, files: Path
) -> None:
    async def main() -> None:
        witness, service = Witness(), Noting()
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.load_verify_locations(files / "mine.pem")
        async with (
            serve(service, ANY, tls=tls, hooks=witness.hooks) as server,
            TLSClient(server, trusting) as client,
        ):
            await client.shake_hands()  # as far as the client can tell (RFC 8446, 4.4.2.4)
            with pytest.raises(ssl.SSLError, match="CERTIFICATE_REQUIRED"):
                await client.receive()
            client.finish()
            assert await witness.one_end() is CloseReason.HANDSHAKE
        assert service.calls == []

    run(main())


def test_a_session_is_resumed(run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY, tls=tls) as server:
            session = None
            for resumed in (False, True):
                async with TLSClient(server, trusting, session=session) as client:
                    await client.shake_hands()
                    await client.send(b"hello", end=True)
                    assert await client.receive_rest() == b"hello"
                    assert client.tls.session_reused is resumed
                    session = client.tls.session

    run(main())


def test_a_context_of_a_client_is_refused_before_anybody_comes(
    trusting: ssl.SSLContext,
) -> None:
    with pytest.raises(ValueError, match="tls= is a context of a client"):
        serve(Echo(), ANY, tls=trusting)
