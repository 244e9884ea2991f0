"""Whom a UDP server may send to."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from datagram_clients import Client
from loop_runs import Run
from machine import over_ipv6

from aionet.answerable import Answerable
from aionet.limits import Limits
from aionet.protocol import Answer, Echo
from aionet.server import serve


@contextlib.contextmanager
def bound(host: str) -> Iterator[tuple[socket.socket, int]]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        yield sock, sock.getsockname()[1]


@contextlib.contextmanager
def client_of(place: tuple[str, int]) -> Iterator[Client]:
    with socket.socket(
        socket.AF_INET6 if ":" in place[0] else socket.AF_INET, socket.SOCK_DGRAM
    ) as sock:
        sock.setblocking(False)
        sock.connect(place)
        yield Client(sock)


def address(host: str, port: int) -> Any:
    return (host, port, 0, 0) if ":" in host else (host, port)


@pytest.mark.parametrize(
    ("at", "host", "may"),
    [
        ("127.0.0.1", "127.0.0.1", False),
        ("127.0.0.1", "127.0.0.2", True),
        ("127.0.0.1", "192.0.2.1", True),
        ("0.0.0.0", "127.0.0.1", False),
        ("0.0.0.0", "127.0.0.2", False),
        ("0.0.0.0", "192.0.2.1", True),
        over_ipv6("::1", "::1", False),
        over_ipv6("::1", "2001:db8::1", True),
        over_ipv6("::", "::1", False),
        over_ipv6("::", "2001:db8::1", True),
        over_ipv6("::", "::ffff:127.0.0.3", False),
        over_ipv6("::", "::ffff:192.0.2.1", True),
    ],
)
def test_nothing_goes_to_the_server_itself(at: str, host: str, may: bool) -> None:
    with bound(at) as (sock, port):
        answerable = Answerable(Limits(), sock)
        assert (address(host, port) in answerable) is may
        assert address(host, port - 1) in answerable


@pytest.mark.parametrize("low", [False, True])
def test_ports_below_1024_are_for_whom_it_is_wanted_and_port_0_for_nobody(low: bool) -> None:
    answerable = Answerable(Limits(udp_low_ports=low))
    for port in (1, 7, 19, 1023):
        assert (("192.0.2.1", port) in answerable) is low
    assert ("192.0.2.1", 1024) in answerable
    assert ("192.0.2.1", 0) not in answerable


class Circular(Echo):
    """Sends all that it hears to itself, but for what is told to it as "ping"."""

    def __init__(self) -> None:
        self.own: list[Any] = []
        self.heard: list[bytes] = []

    def receive_data(self, peer: Any, data: bytes) -> Answer:
        self.heard.append(data)
        return data if data == b"ping" else [(self.own, data)]


@pytest.mark.parametrize(
    "at",
    [
        ["udp://127.0.0.1:0"],
        ["udp://0.0.0.0:0"],
        over_ipv6(["udp://[::]:0"]),
        ["udp://127.0.0.1:0", "udp://127.0.0.2:0"],
    ],
)
def test_what_a_server_hears_of_itself_it_does_not_go_on_with(run: Run[Any], at: list[str]) -> None:
    async def main() -> None:
        service = Circular()
        async with serve(service, *at) as server:
            own = [(each.host, each.port) for each in server.addresses]
            six = ":" in own[0][0]
            if own[0][0] in ("0.0.0.0", "::"):
                hosts = ["127.0.0.1", "127.0.0.9"] if not six else ["::1", "::ffff:127.0.0.9"]
                own = [(host, own[0][1]) for host in hosts]
            service.own = [address(*each) for each in own]
            with client_of(own[0]) as client:
                client.send(b"round and round")
                for _ in range(3):
                    assert await client.exchange(b"ping") == b"ping"
        assert service.heard.count(b"round and round") == 1
        assert server.stats.unanswered == len(service.own)

    run(main())
