"""Behind a balancer: the client's address is the one that its proxy says."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import ssl
import subprocess
from pathlib import Path
from typing import Any

import pytest
from handler_notes import records
from loop_clients import ANY, Client
from loop_runs import Run

from aionet import Echo, Hooks, Limits, Listen, Service, Stream, Timeouts, connect, serve
from aionet.limits import CloseReason

LOCAL = ("127.0.0.0/8",)


def line(host: str, port: int = 1000) -> bytes:
    return f"PROXY TCP4 {host} 192.0.2.1 {port} 443\r\n".encode()


class Who(Service):
    """Says to each who it is."""

    def receive_data(self, peer: Any, data: bytes) -> Any:
        return f"{peer.address[0]} {peer.get_extra_info('peername')[1]} ".encode() + data


async def who(stream: Stream) -> None:
    async for data in stream:
        await stream.send_all(f"{stream.address[0]} {stream.address[1]} ".encode() + data)


@pytest.mark.parametrize("service", [Who(), who], ids=["service", "handler"])
def test_client_is_who_the_proxy_says(run: Run[Any], service: Any) -> None:
    async def main() -> None:
        async with serve(service, Listen(ANY, proxies=LOCAL)) as server:
            async with Client(server) as client:
                header = line("203.0.113.9", 4711) + b"hello"
                for byte in header[:-5]:
                    await client.send(bytes([byte]))
                await client.send(b"hello")
                assert await client.receive() == b"203.0.113.9 4711 hello"
            async with Client(server) as client:
                await client.send(line("203.0.113.10") + b"at once")
                assert await client.receive() == b"203.0.113.10 1000 at once"
            async with Client(server) as client:
                await client.send(b"PROXY UNKNOWN\r\nx")
                assert (await client.receive()).startswith(b"127.0.0.1 ")

    run(main())


def test_limits_and_hooks_are_about_the_client(run: Run[Any]) -> None:
    opened: list[str] = []
    hooks = Hooks(
        on_accept=lambda peer: peer.address[0] != "203.0.113.13",
        on_open=lambda peer: opened.append(peer.address[0]),
    )

    async def main() -> None:
        limits = Limits(per_peer=2)
        place = Listen(ANY, proxies=LOCAL)
        async with (
            serve(Echo(), place, limits=limits, hooks=hooks) as server,
            Client(server) as one,
            Client(server) as two,
            Client(server) as three,
        ):
            for client in (one, two):
                await client.send(line("203.0.113.9") + b"x")
                assert await client.receive() == b"x"
            await three.send(line("203.0.113.9") + b"x")
            with pytest.raises(ConnectionResetError):
                await three.receive()
            async with Client(server) as other:
                await other.send(line("203.0.113.10") + b"x")
                assert await other.receive() == b"x"
            async with Client(server) as unwanted:
                await unwanted.send(line("203.0.113.13") + b"x")
                with pytest.raises(ConnectionResetError):
                    await unwanted.receive()
        assert opened == ["203.0.113.9"] * 2 + ["203.0.113.10"]

    run(main())


def test_who_is_no_proxy_is_reset_and_cannot_say_to_be_anybody(run: Run[Any], caplog: Any) -> None:
    async def main() -> None:
        async with serve(Who(), Listen(ANY, proxies=("192.0.2.0/24",))) as server:
            async with Client(server) as client:
                with pytest.raises(ConnectionResetError):
                    await client.exchange(line("203.0.113.9") + b"x")
            assert server.stats.closed[CloseReason.REJECTED] == 1
            assert server.stats.accepted == 1
        assert "is none of our proxies" in records(caplog)[0].getMessage()

    run(main())


@pytest.mark.parametrize("how", ["nonsense", "half", "nothing", "reset"])
def test_header_that_is_none_or_does_not_come(run: Run[Any], how: str) -> None:
    async def main() -> None:
        place, timeouts = Listen(ANY, proxies=LOCAL), Timeouts(message=0.2)
        async with serve(Who(), place, timeouts=timeouts) as server, Client(server) as client:
            if how == "nonsense":
                await client.send(b"GET / HTTP/1.1\r\n\r\n")
            elif how == "half":
                await client.send(line("203.0.113.9")[:9])
                client.finish()
            elif how == "reset":
                client.reset()
            while not sum(server.stats.closed.values()):
                await asyncio.sleep(0.01)
            if how != "reset":
                with pytest.raises(ConnectionResetError):
                    await client.receive()
            reasons = {reason for reason, count in server.stats.closed.items() if count}
            expected = {
                "nonsense": {CloseReason.HANDSHAKE},
                "half": {CloseReason.HANDSHAKE},
                "nothing": {CloseReason.SLOW_MESSAGE},
                "reset": {CloseReason.RESET},
            }
            assert reasons == expected[how]
            assert server.stats.accepted == 1

    run(main())


def test_drain_does_not_wait_for_a_header(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Who(), Listen(ANY, proxies=LOCAL)) as server, Client(server) as client:
            await client.send(b"PROXY ")
            await asyncio.sleep(0.05)
            await server.drain()
            with pytest.raises(ConnectionResetError):
                await client.receive()

    run(main())


def test_tls_comes_after_the_header(
    run: Run[Any], tls: ssl.SSLContext, trusting: ssl.SSLContext
) -> None:
    async def main() -> None:
        async with serve(who, Listen(ANY, proxies=LOCAL, tls=tls)) as server:
            client = await connect(server.addresses[0])
            await client.send_all(line("203.0.113.9"))
            await client.start_tls(trusting, server_hostname="127.0.0.1")
            await client.send_all(b"x")
            assert await client.receive() == b"203.0.113.9 1000 x"
            client.close()

    run(main())


def test_unix_socket_of_a_proxy(run: Run[Any], tmp_path: Path) -> None:
    async def main() -> None:
        place = Listen(f"unix://{tmp_path}/web.sock", proxies=("unix",))
        async with serve(Who(), place) as server, Client(server) as client:
            await client.send(line("203.0.113.9") + b"x")
            assert await client.receive() == b"203.0.113.9 1000 x"

    run(main())


def test_who_has_not_said_who_he_is_is_heard_when_the_server_retires(run: Run[Any]) -> None:
    async def main() -> None:
        async with serve(Who(), Listen(ANY, proxies=LOCAL)) as server, Client(server) as client:
            await client.send(b"PROXY ")
            await asyncio.sleep(0.05)
            retiring = asyncio.create_task(server.retire(5.0))
            await asyncio.sleep(0.05)
            await client.send(line("203.0.113.9").removeprefix(b"PROXY ") + b"x")
            assert await client.receive() == b"203.0.113.9 1000 x"
            client.finish()
            await retiring

    run(main())


def test_those_who_have_not_said_who_they_are_are_no_more_than_there_are_places(
    run: Run[Any],
) -> None:
    rejected: list[Any] = []

    async def main() -> None:
        limits, hooks = Limits(connections=3), Hooks(on_reject=lambda peer: rejected.append(peer))
        place = Listen(ANY, proxies=LOCAL)
        async with (
            serve(Who(), place, limits=limits, hooks=hooks) as server,
            contextlib.AsyncExitStack() as clients,
        ):
            for _ in range(6):
                await clients.enter_async_context(Client(server))
            while server.stats.closed[CloseReason.REJECTED] < 3:
                await asyncio.sleep(0.01)
            assert server.stats.accepted == 3
        assert [peer.address[0] for peer in rejected] == ["127.0.0.1"] * 3

    run(main())


HAPROXY = """
defaults
    mode tcp
    timeout connect 5s
    timeout client 30s
    timeout server 30s
    retries 0
frontend front
    bind 127.0.0.1:{port}
    default_backend back
backend back
    source 127.0.0.1
    server one 127.0.0.1:{server} {option}
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("haproxy") is None, reason="there is no haproxy")
@pytest.mark.parametrize("option", ["send-proxy", "send-proxy-v2"])
def test_haproxy_says_for_whom_it_connects(run: Run[Any], tmp_path: Path, option: str) -> None:
    async def ask(port: int, source: str) -> bytes:
        loop = asyncio.get_running_loop()
        sock = socket.socket()
        sock.setblocking(False)
        sock.bind((source, 0))
        with sock:
            await loop.sock_connect(sock, ("127.0.0.1", port))
            await loop.sock_sendall(sock, b"x")
            if first := await loop.sock_recv(sock, 100):
                held.append(sock.dup())
            return first

    held: list[socket.socket] = []

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        limits = Limits(per_peer=2)
        async with serve(Who(), Listen(ANY, proxies=LOCAL), limits=limits) as server:
            config = tmp_path / "haproxy.cfg"
            number = server.addresses[0].port
            config.write_text(HAPROXY.format(port=port, server=number, option=option))
            haproxy = subprocess.Popen(["haproxy", "-db", "-f", config])
            try:
                while True:
                    try:
                        answers = [await ask(port, f"127.0.0.{last}") for last in (5, 5, 6)]
                        break
                    except ConnectionRefusedError:
                        await asyncio.sleep(0.05)
                assert [each.split()[0] for each in answers] == [
                    *(b"127.0.0.5", b"127.0.0.5", b"127.0.0.6")
                ]
                refused = b""
                with contextlib.suppress(ConnectionResetError):
                    refused = await ask(port, "127.0.0.5")
                assert refused == b""
                assert server.stats.closed[CloseReason.REJECTED] == 1
            finally:
                haproxy.terminate()
                await asyncio.to_thread(haproxy.wait)
                for sock in held:
                    sock.close()

    run(main())
