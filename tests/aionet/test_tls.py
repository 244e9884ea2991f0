"""TLS: the same service, limits and reasons, after a handshake."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from aionet.hooks import Hooks
from aionet.limits import CloseReason, Limits, Timeouts
from aionet.loops import LOOPS, loop_factory
from aionet.protocol import Deliveries, Echo, Room
from aionet.server import Server, serve
from aionet.stream import Stream
from aionet.tls import server_context

T = TypeVar("T")
Run = Callable[[Coroutine[Any, Any, T]], T]
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]

DEADLINE_S = 20.0  # for what takes much less, on a machine that is busy with other things
ANY = "tcp://127.0.0.1:0"
RESET = struct.pack("ii", 1, 0)


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run[Any]:
    """Runs a coroutine on each loop, with a deadline."""

    def run(work: Coroutine[Any, Any, T]) -> T:
        async def bounded() -> T:
            async with asyncio.timeout(DEADLINE_S):
                return await work

        with asyncio.Runner(loop_factory=loop_factory(request.param)) as runner:
            return runner.run(bounded())

    return run


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a certificate, its key, both in one file, and the key of another."""
    directory = tmp_path_factory.mktemp("tls")
    for name in ("mine", "other"):
        command = (
            "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes "
            f"-keyout {name}.key -out {name}.pem -days 2 -subj /CN=localhost "
            "-addext subjectAltName=IP:127.0.0.1"
        )
        subprocess.run(command.split(), cwd=directory, check=True, capture_output=True)
    both = (directory / "mine.pem").read_text() + (directory / "mine.key").read_text()
    (directory / "both.pem").write_text(both)
    return directory


@pytest.fixture
def tls(files: Path) -> ssl.SSLContext:
    return server_context(files / "mine.pem", files / "mine.key")


@pytest.fixture
def trusting(files: Path) -> ssl.SSLContext:
    """What a client needs to know of the server."""
    return ssl.create_default_context(cafile=str(files / "mine.pem"))


class Witness:
    """Sees who comes and how they go, and wakes who waits for that."""

    def __init__(self) -> None:
        self.opened = 0
        self.reasons: list[CloseReason] = []
        self.hooks = Hooks(on_open=self.open, on_close=self.close)
        self._changed = asyncio.Event()

    def open(self, peer: Any) -> None:
        self.opened += 1
        self._changed.set()

    def close(self, peer: Any, reason: CloseReason) -> None:
        self.reasons.append(reason)
        self._changed.set()

    async def until(self, condition: Callable[[], object]) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()

    async def one_end(self) -> CloseReason:
        await self.until(lambda: self.reasons)
        return self.reasons[0]


class Noting(Echo):
    """An echo that notes what it is told, and quits when asked to."""

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def connect(self, peer: Any) -> Deliveries:
        self.calls.append("connect")
        return ()

    def receive_data(self, peer: Any, data: bytes) -> Deliveries:
        self.calls.append(data)
        if data == b"quit":
            return [(peer, b"bye"), (peer, b"")]
        return [(peer, data)]

    def receive_eof(self, peer: Any) -> Deliveries:
        self.calls.append("eof")
        return [(peer, b"")]


@contextlib.asynccontextmanager
async def connect(
    server: Server, context: ssl.SSLContext | None, **options: Any
) -> AsyncIterator[Connection]:
    (address,) = server.addresses
    sock = socket.socket()
    try:
        if "receive_buffer" in options:  # only before connecting does it bound the window
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.pop("receive_buffer"))
        sock.setblocking(False)
        await asyncio.get_running_loop().sock_connect(sock, (address.host, address.port))
        if context is not None:
            options["server_hostname"] = "127.0.0.1"
        reader, writer = await asyncio.open_connection(sock=sock, ssl=context, **options)
    except BaseException:
        sock.close()
        raise
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


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


# Handshakes that fail.


@pytest.mark.parametrize("said", [b"GET / HTTP/1.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01" * 100])
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
            with contextlib.suppress(ConnectionResetError):
                await reader.read()
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
