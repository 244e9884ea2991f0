"""Addresses that carry their own: services, TLS, modes, names without a file."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import stat
from pathlib import Path
from typing import Any

import pytest
from loop_clients import ANY
from loop_runs import Run

from aionet import (
    Datagram,
    Echo,
    Limits,
    Lines,
    Listen,
    Service,
    Stream,
    connect,
    connect_datagram,
    serve,
)


class Says(Service):
    def __init__(self, what: bytes) -> None:
        self.what = what

    def receive_data(self, peer: Any, data: bytes) -> Any:
        return self.what


async def ask(address: Any, data: bytes = b"?", **settings: Any) -> bytes:
    async with await connect(address, **settings) as stream:
        await stream.send_all(data)
        return await stream.receive()


def test_several_services_and_handlers_in_one_server(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def handler(stream: Stream) -> None:
        await stream.receive()
        await stream.send_all(b"a handler")

    async def main() -> None:
        shared = Says(b"shared")
        async with serve(
            Listen(ANY, Says(b"one")),
            Listen(ANY, handler),
            Listen(ANY, shared),
            Listen(ANY, shared, tls=tls),
            Listen(ANY, Says(b"lines"), framing=Lines(100)),
        ) as server:
            one, two, three, four, five = server.addresses
            assert await ask(one) == b"one"
            assert await ask(two) == b"a handler"
            assert await ask(three) == b"shared"
            assert await ask(four, tls=trusting) == b"shared"
            assert await ask(five, b"a\nb\n") == b"lineslines"
            assert server.stats.accepted == 5

    run(main())


def test_places_without_one_have_the_service_of_the_server(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Says(b"server's"), ANY, Listen(ANY, Says(b"own"))) as server:
            assert [await ask(each) for each in server.addresses] == [b"server's", b"own"]

    run(main())


def test_limits_are_those_of_all_places_together(run: Run[Any]) -> None:
    async def main() -> None:
        limits = Limits(connections=1, on_full="reject")
        async with serve(Echo(), ANY, ANY, limits=limits) as server:
            one, two = server.addresses
            async with await connect(one) as stream:
                await stream.send_all(b"x")
                await stream.receive()
                with pytest.raises(OSError, match=r"reset|gone"):
                    await ask(two)

    run(main())


def test_unix_socket_has_its_mode_and_abstract_ones_have_no_file(
    run: Run[Any], tmp_path: Path
) -> None:
    path = tmp_path / "echo.sock"

    async def main() -> None:
        name = f"unix:@aionet-{os.getpid()}"
        async with serve(Echo(), Listen(f"unix://{path}", mode=0o660), name) as server:
            assert stat.S_IMODE(path.stat().st_mode) == 0o660
            assert [str(each) for each in server.addresses] == [f"unix://{path}", name]
            for address in server.addresses:
                assert await ask(address) == b"?"
        assert not path.exists()

    run(main())


def test_taken_abstract_name_is_refused(run: Run[Any]) -> None:
    async def main() -> None:
        name = f"unix:@aionet-taken-{os.getpid()}"
        async with serve(Echo(), name):
            with pytest.raises(OSError, match="in use"):
                async with serve(Echo(), name):
                    pass

    run(main())


def test_one_port_for_streams_and_datagrams(run: Run[Any]) -> None:
    class Both(Service):
        def receive_data(self, peer: Any, data: bytes) -> Any:
            return data[::-1]

    async def main() -> None:
        async with serve(Both(), "tcp+udp://127.0.0.1:0") as server:
            tcp, udp = server.addresses
            assert (tcp.scheme, udp.scheme) == ("tcp", "udp")
            assert tcp.port == udp.port > 0
            assert await ask(tcp, b"abc") == b"cba"
            async with await connect_datagram(udp) as client:
                client.send(b"abc")
                assert await client.receive() == b"cba"

    run(main())


def test_datagram_that_nobody_asked_for(run: Run[Any]) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            sock.setblocking(False)
            async with serve(Echo(), "udp://127.0.0.1:0") as server:
                assert server.send_to(b"news", sock.getsockname())
                loop = asyncio.get_running_loop()
                assert await loop.sock_recv(sock, 100) == b"news"
                assert not server.send_to(b"news", ("127.0.0.1", 7))  # where echoes are
                with pytest.raises(ValueError, match="no udp address"):
                    server.send_to(b"news", ("::1", 9999))

    run(main())


def test_client_of_datagrams_hears_that_nobody_listens(run: Run[Any]) -> None:
    async def main() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        async with await connect_datagram(f"udp://127.0.0.1:{port}") as client:
            client.send(b"anybody?")
            with pytest.raises(ConnectionRefusedError):
                await client.receive()

    run(main())


def test_closed_client_of_datagrams_lets_who_waits_go(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Echo(), "udp://127.0.0.1:0", ANY) as server:
            udp, tcp = server.addresses
            client = await connect_datagram(udp)
            waiting = asyncio.create_task(client.receive())
            await asyncio.sleep(0)
            client.close()
            with pytest.raises(OSError, match="Bad file descriptor"):
                await waiting
            assert await ask(tcp) == b"?"  # which may have the same descriptor

    run(main())


async def handles_datagrams(datagram: Datagram) -> None: ...


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Listen("tcp://127.0.0.1:0", mode=0o600), "mode is 0o600; it is for unix"),
        (lambda: Listen("unix:@name", mode=0o600), "mode is 0o600; it is for unix"),
        (lambda: Listen("tcp://127.0.0.1:0", backlog=0), "backlog is 0"),
        (lambda: Listen("tcp://127.0.0.1:0", proxies=("nobody",)), "proxies has 'nobody'"),
        (
            lambda: Listen("tcp://127.0.0.1:0", tls=ssl.create_default_context()),
            "a context of a client",
        ),
        (lambda: serve(Listen(ANY)), "None is neither a Service nor a handler"),
        (lambda: serve(Echo()), "needs an address"),
        (lambda: serve(Echo(), "unix:@"), "does not name an absolute path"),
    ],
)
def test_what_cannot_be_meant_is_refused(make: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        make()
