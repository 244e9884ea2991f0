"""Where datagrams are sent, and where their answers come from; and which sockets are served."""

from __future__ import annotations

import asyncio
import socket
import ssl
from pathlib import Path
from typing import Any

import pytest
from datagram_clients import ANY, Client, client_of
from loop_runs import Run
from machine import needs_ipv6, over_ipv6

from aionet.datagram import Datagram
from aionet.protocol import Echo
from aionet.server import serve
from aionet.stream import Stream

V4, DUAL = "udp://0.0.0.0:0", "udp://[::]:0"


def link_local() -> tuple[str, int]:
    """An address of this machine that means something on one link only, and that link."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, interface, _, scope, flags, _ = line.split()
        if scope == "20" and int(flags, 16) & 0x40 == 0:  # it is not tentative
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits)), int(interface, 16)
    pytest.skip("no interface has a link-local address")


async def at_once(received: Datagram) -> None:
    received.reply(received.data)


async def later(received: Datagram) -> None:
    await asyncio.sleep(0)
    received.reply(received.data)


@pytest.mark.parametrize("service", [Echo(), at_once, later])
@pytest.mark.parametrize(
    ("at", "host"),
    [
        (V4, "127.0.0.1"),
        (V4, "127.0.0.2"),
        over_ipv6(DUAL, "127.0.0.2"),
        over_ipv6(DUAL, "::ffff:127.0.0.2"),
        over_ipv6(DUAL, "::1"),
    ],
)
def test_the_answer_comes_from_the_address_that_was_asked(
    run: Run[Any], service: Any, at: str, host: str
) -> None:
    async def main() -> None:
        async with serve(service, at) as server:
            with client_of(server, host) as client:  # which hears nobody else
                for data in (b"hello", b"", bytes(60_000)):
                    assert await client.exchange(data) == data

    run(main())


@pytest.mark.parametrize("service", [Echo(), later])
def test_an_address_of_one_link_answers_there(run: Run[Any], service: Any) -> None:
    host, scope = link_local()

    async def main() -> None:
        async with serve(service, DUAL) as server:
            with client_of(server, host, scope) as client:
                assert await client.exchange(b"hello") == b"hello"
            with client_of(server, host, scope, source=host_of_another_scope()) as client:
                assert await client.exchange(b"hello") == b"hello"

    run(main())


def host_of_another_scope() -> str:
    """One that may speak to a link-local address and has no scope itself."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, *_, scope, _, _ = line.split()
        if scope == "00":
            return socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))
    return "::"


def test_two_who_ask_different_addresses_are_not_mixed_up(run: Run[Any]) -> None:
    async def main() -> None:
        go = asyncio.Event()

        async def handler(received: Datagram) -> None:
            await go.wait()
            received.reply(received.destination[0].encode())

        async with serve(handler, V4) as server:
            with client_of(server, "127.0.0.2") as one, client_of(server, "127.0.0.3") as other:
                one.send(b"")
                other.send(b"")
                while server.stats.datagrams < 2:
                    await asyncio.sleep(0)
                go.set()
                assert await one.receive() == b"127.0.0.2"
                assert await other.receive() == b"127.0.0.3"

    run(main())


@pytest.mark.parametrize(
    ("at", "host", "told"),
    [
        (ANY, "127.0.0.1", ("127.0.0.1",)),
        (V4, "127.0.0.2", ("127.0.0.2",)),
        over_ipv6("udp://[::1]:0", "::1", ("::1", 0, 0)),
        over_ipv6(DUAL, "::1", ("::1", 0, 0)),
        over_ipv6(DUAL, "127.0.0.2", ("::ffff:127.0.0.2", 0, 0)),
    ],
)
def test_a_handler_is_told_which_address_was_asked(
    run: Run[Any], at: str, host: str, told: tuple[Any, ...]
) -> None:
    seen: list[Any] = []

    def handler(received: Datagram) -> None:
        seen.append(received.destination)
        received.reply(b"seen")

    async def main() -> None:
        async with serve(handler, at) as server:
            with client_of(server, host) as client:
                await client.exchange(b"hello")
            assert seen == [(told[0], server.addresses[0].port, *told[1:])]

    run(main())


def test_a_handler_is_told_the_link_of_an_address_that_needs_one(run: Run[Any]) -> None:
    host, scope = link_local()
    seen: list[Any] = []

    async def main() -> None:
        async with serve(lambda received: seen.append(received.destination), DUAL) as server:
            with client_of(server, host, scope) as client:
                client.send(b"hello")
                await server.drain()
            assert seen == [(host, server.addresses[0].port, 0, scope)]

    run(main())


@needs_ipv6
def test_what_else_its_owner_wants_to_be_told_is_not_in_the_way(run: Run[Any]) -> None:
    async def main() -> None:
        sock = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.setsockopt(socket.SOL_SOCKET, 29, 1)  # SO_TIMESTAMP, of which no two are the same
        sock.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        sock.bind(("::", 0))
        async with serve(Echo(), sock) as server:
            for host in ("127.0.0.2", "::1"):
                with client_of(server, host) as client:
                    assert await client.exchange(b"hello") == b"hello"

    run(main())


def test_a_socket_bound_to_one_address_is_read_without_asking_where_to(run: Run[Any]) -> None:
    async def main() -> None:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("127.0.0.1", 0))
        async with serve(Echo(), sock) as server:
            with client_of(server) as client:
                assert await client.exchange(b"hello") == b"hello"
                assert sock.getsockopt(socket.IPPROTO_IP, 8) == 0  # IP_PKTINFO

    run(main())


# Sockets of one's own.


def test_a_socket_of_one_s_own_answers_unicast_only(run: Run[Any]) -> None:
    async def main() -> None:
        sock = socket.socket(type=socket.SOCK_DGRAM)
        sock.bind(("0.0.0.0", 0))
        port = sock.getsockname()[1]
        async with serve(Echo(), sock) as server:
            with socket.socket(type=socket.SOCK_DGRAM) as asker:
                asker.setblocking(False)
                asker.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
                asker.bind(("127.0.0.1", 0))
                asker.sendto(b"anybody?", ("127.255.255.255", port))
                asker.sendto(b"you", ("127.0.0.1", port))
                assert await Client(asker).receive() == b"you"
            assert server.stats.datagrams == 1

    run(main())


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_a_unix_socket_without_a_stream_is_refused(kind: int) -> None:
    with (
        socket.socket(socket.AF_UNIX, kind) as sock,
        pytest.raises(ValueError, match=r"AF_UNIX.*TCP, UDP and unix stream sockets can be served"),
    ):
        serve(Echo(), sock)


@pytest.mark.parametrize("as_socket", [False, True])
def test_tls_without_streams_is_refused(tls: ssl.SSLContext, as_socket: bool) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        with pytest.raises(ValueError, match="tls= needs an address of streams"):
            serve(Echo(), ANY, sock if as_socket else ANY, tls=tls)


def test_tls_beside_udp_is_not(run: Run[Any], tls: ssl.SSLContext) -> None:
    async def main() -> None:
        async with serve(Echo(), "tcp://127.0.0.1:0", ANY, tls=tls) as server:
            assert [address.scheme for address in server.addresses] == ["tcp", "udp"]

    run(main())


# Draining beside TCP.


def test_a_slow_datagram_does_not_take_the_time_of_tcp_nor_of_other_datagrams(
    run: Run[Any],
) -> None:
    async def main() -> None:
        begun, draining = asyncio.Event(), asyncio.Event()

        async def handler(received: Datagram | Stream) -> None:
            if isinstance(received, Stream):
                async for line in received.lines():
                    begun.set()
                    await draining.wait()
                    await received.send_all(line + b"\n")
            elif received.data == b"slow":
                await asyncio.Event().wait()
            else:
                received.reply(received.data)

        async with serve(handler, "tcp://127.0.0.1:0", ANY, ANY) as server:
            tcp, one, other = server.addresses
            reader, writer = await asyncio.open_connection(tcp.host, tcp.port)
            writer.write(b"hello\n")
            await begun.wait()
            with (
                socket.socket(type=socket.SOCK_DGRAM) as slow,
                socket.socket(type=socket.SOCK_DGRAM) as quick,
            ):
                quick.setblocking(False)
                slow.sendto(b"slow", (one.host, one.port))
                quick.sendto(b"quick", (other.host, other.port))
                asyncio.get_running_loop().call_later(0.05, draining.set)
                report = await server.drain(1.0)
                assert quick.recv(100) == b"quick"
            assert await reader.read() == b"hello\n"
            assert (report.finished, report.aborted) == (1, 0)
            writer.close()

    run(main())
