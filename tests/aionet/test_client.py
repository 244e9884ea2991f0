"""Connections that a program makes: to a server here, over TCP, unix sockets and TLS."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from deadline import DEADLINE_S
from handler_notes import records
from loop_clients import ANY
from loop_runs import Run

from aionet import BrokenStreamError, Echo, Limits, Stream, Timeouts, client, connect, serve
from aionet.limits import CloseReason
from aionet.testing import MemoryServer


async def echoes(stream: Stream, data: bytes) -> None:
    await stream.send_all(data)
    assert await stream.receive_exactly(len(data)) == data


def read_to_the_end(conn: socket.socket) -> None:
    conn.settimeout(DEADLINE_S)
    while conn.recv(1000):
        pass


def test_client_is_a_stream_as_any_other(run: Run[Any], tmp_path: Path) -> None:
    async def main() -> None:
        places = (ANY, f"unix://{tmp_path}/echo.sock", "unix:@aionet-test-client")
        async with serve(Echo(), *places) as server:
            for address in server.addresses:
                async with await connect(str(address)) as stream:
                    await echoes(stream, b"hello")
                    await stream.send_eof()
                    assert await stream.receive() == b""
                    assert await stream.wait_closed() is CloseReason.EOF
                with pytest.raises(Exception, match=r"gone|closed|send_eof"):
                    await stream.send_all(b"x")

    run(main())
    assert client._kept == {}  # its clock has stopped


def test_back_pressure_both_ways(run: Run[Any]) -> None:
    size = 5 << 20

    async def main() -> None:
        async def send() -> None:
            await stream.send_all(bytes(size))
            await stream.send_eof()

        async with (
            serve(Echo(), ANY) as server,
            await connect(server.addresses[0]) as stream,
            asyncio.TaskGroup() as tasks,
        ):
            tasks.create_task(send())
            assert len(b"".join([data async for data in stream])) == size

    run(main())


def test_tls_and_the_name_in_the_certificate(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext, caplog: Any
) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY, tls=tls) as server:
            (address,) = server.addresses
            async with await connect(address, tls=trusting) as stream:
                await echoes(stream, bytes(100_000))
                assert stream.get_extra_info("ssl_object").version() == "TLSv1.3"
                assert stream.get_extra_info("peercert")["subjectAltName"]
            with pytest.raises(ssl.SSLCertVerificationError, match="elsewhere"):
                await connect(address, tls=trusting, server_hostname="elsewhere.example")
            with pytest.raises(ssl.SSLCertVerificationError):
                await connect(address, tls=ssl.create_default_context())
        assert records(caplog) == []

    run(main())


def test_nobody_listens(run: Run[Any], tmp_path: Path) -> None:
    async def main() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            with pytest.raises(ConnectionRefusedError):
                await connect(f"tcp://127.0.0.1:{sock.getsockname()[1]}")
        with pytest.raises(FileNotFoundError):
            await connect(f"unix://{tmp_path}/none.sock")
        with pytest.raises(OSError, match=r"name|Name"):
            await connect("tcp://nothing.invalid:80")

    run(main())
    assert client._kept == {}


def test_time_is_for_all_of_it(run: Run[Any], trusting: ssl.SSLContext) -> None:
    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel completes it
            where = f"tcp://127.0.0.1:{silent.getsockname()[1]}"
            with pytest.raises(TimeoutError, match=r"no connection to tcp://.* within 0\.1 s"):
                await connect(where, tls=trusting, timeout=0.1)
            conn, _ = silent.accept()
            with conn, pytest.raises(ConnectionResetError):
                await asyncio.to_thread(read_to_the_end, conn)

    run(main())


def test_peer_that_goes_away_in_the_handshake(run: Run[Any], trusting: ssl.SSLContext) -> None:
    async def handler(stream: Stream) -> None:
        await stream.receive()

    async def main() -> None:
        async with serve(handler, ANY) as server:
            with pytest.raises(OSError, match=r"gone|EOF|SSL"):
                await connect(server.addresses[0], tls=trusting, timeout=5)

    run(main())


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
def test_connect_that_is_cancelled_at_any_moment_leaves_nothing(
    run: Run[Any], trusting: ssl.SSLContext, host: str, secure: bool
) -> None:
    async def cancelled_after(steps: int) -> bool:
        """Whether it came to that; whoever was connected sees the end."""
        with socket.create_server(("127.0.0.1", 0)) as silent:
            where = f"tcp://{host}:{silent.getsockname()[1]}"
            task = asyncio.create_task(connect(where, tls=trusting if secure else None))
            for _ in range(steps):
                await asyncio.sleep(0.001 if host == "localhost" else 0)
            task.cancel()
            try:
                with contextlib.suppress(asyncio.CancelledError):
                    (await task).abort()
                    return False
                silent.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    conn, _ = silent.accept()
                    with conn, contextlib.suppress(ConnectionResetError):  # uvloop sends a FIN
                        await asyncio.to_thread(read_to_the_end, conn)
            finally:
                assert asyncio.all_tasks() == {asyncio.current_task()}
        return True

    async def main() -> None:
        for steps in range(12):
            if not await cancelled_after(steps) and not secure:
                return

    run(main())


def test_limits_and_deadlines_are_those_of_a_server(run: Run[Any]) -> None:
    async def trickle(stream: Stream) -> None:
        await stream.send_all(b"\0\0\0\2x")
        await stream.receive()

    async def main() -> None:
        async with serve(trickle, ANY) as server:
            stream = await connect(server.addresses[0], timeouts=Timeouts(message=0.2))
            with pytest.raises(BrokenStreamError) as broken:
                await stream.receive_frame()
            assert broken.value.reason is CloseReason.SLOW_MESSAGE
            stream = await connect(server.addresses[0], limits=Limits(message=1))
            with pytest.raises(BrokenStreamError) as broken:
                await stream.receive_frame()
            assert broken.value.reason is CloseReason.OVERSIZE

    run(main())


def test_peer_that_resets_breaks_the_stream(run: Run[Any]) -> None:
    async def handler(stream: Stream) -> None:
        await stream.receive()
        stream.abort()

    async def main() -> None:
        async with (
            serve(handler, ANY) as server,
            await connect(server.addresses[0]) as stream,
        ):
            await stream.send_all(b"x")
            with pytest.raises(BrokenStreamError, match="reset"):
                await stream.receive()
            assert stream.address == (server.addresses[0].host, server.addresses[0].port)

    run(main())


@pytest.mark.parametrize("address", ["udp://127.0.0.1:7", "fd://3", "systemd:", "nonsense"])
def test_what_cannot_be_connected_to_is_a_value_error(run: Run[Any], address: str) -> None:
    with pytest.raises(ValueError, match=r"tcp://HOST:PORT"):
        run(connect(address))


def test_context_of_a_server_is_no_clients(run: Run[Any], tls: ssl.SSLContext) -> None:
    with pytest.raises(ValueError, match="create_default_context"):
        run(connect(ANY, tls=tls))


def test_name_of_a_certificate_without_tls_is_refused(run: Run[Any]) -> None:
    with pytest.raises(ValueError, match="server_hostname is 'localhost' and needs tls="):
        run(connect(ANY, server_hostname="localhost"))
    with MemoryServer(Echo()) as server, pytest.raises(ValueError, match="needs tls="):
        server.connect(server_hostname="localhost")


def test_address_of_ipv4_is_tried_when_ipv6_refuses(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), ANY) as server:
            where = f"tcp://localhost:{server.addresses[0].port}"
            async with await connect(where) as stream:
                await echoes(stream, b"x")

    run(main())
