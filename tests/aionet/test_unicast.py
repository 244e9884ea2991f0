"""Unicast only: what a UDP socket gets, and what the kernel keeps from it."""

from __future__ import annotations

import fcntl
import socket
import struct
from collections.abc import Iterator

import pytest
from machine import needs_ipv6, over_ipv6

from aionet import unicast
from aionet.unicast import answer_unicast_only

GROUP = "239.255.70.7"


@pytest.fixture(params=["0.0.0.0", over_ipv6("::")])
def sock(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """A UDP socket bound to every interface, as it comes: IPv4, and both at once."""
    family = socket.AF_INET6 if request.param == "::" else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind((request.param, 0))
        sock.settimeout(10)
        yield sock


@pytest.fixture
def client() -> Iterator[socket.socket]:
    """One that may send to everybody on the loopback interface."""
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        loopback = socket.inet_aton("127.0.0.1")
        client.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
        yield client


def join(sock: socket.socket) -> None:
    group = socket.inet_aton(GROUP) + socket.inet_aton("127.0.0.1")
    sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)


def port_of(sock: socket.socket) -> int:
    port: int = sock.getsockname()[1]
    return port


@pytest.mark.parametrize("where", ["127.255.255.255", GROUP])
def test_without_it_a_broadcast_and_a_multicast_arrive(
    sock: socket.socket, client: socket.socket, where: str
) -> None:
    join(sock)
    client.sendto(b"all", (where, port_of(sock)))
    assert sock.recv(100) == b"all"


@pytest.mark.parametrize("where", ["127.255.255.255", "255.255.255.255", GROUP])
def test_with_it_they_do_not(sock: socket.socket, client: socket.socket, where: str) -> None:
    answer_unicast_only(sock)
    join(sock)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo\0")
    client.sendto(b"all", (where, port_of(sock)))
    client.sendto(b"one", ("127.0.0.1", port_of(sock)))
    assert sock.recv(100) == b"one"


def test_a_group_that_somebody_else_joined_is_not_delivered(client: socket.socket) -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as sock,
        socket.socket(type=socket.SOCK_DGRAM) as member,
    ):
        join(member)
        answer_unicast_only(sock)
        sock.bind(("0.0.0.0", 0))
        sock.settimeout(10)
        client.sendto(b"all", (GROUP, port_of(sock)))
        client.sendto(b"one", ("127.0.0.1", port_of(sock)))
        assert sock.recv(100) == b"one"


@pytest.mark.parametrize("size", [0, 1, 1472, 9000, 65507])
def test_a_datagram_of_any_size_arrives_whole(
    sock: socket.socket, client: socket.socket, size: int
) -> None:
    answer_unicast_only(sock)
    client.sendto(bytes(size), ("127.0.0.1", port_of(sock)))
    assert len(sock.recv(70000)) == size


@needs_ipv6
def test_datagrams_over_ipv6_arrive() -> None:
    with (
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sock,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client,
    ):
        answer_unicast_only(sock)
        sock.bind(("::1", 0))
        client.sendto(b"one", sock.getsockname())
        assert sock.recv(100) == b"one"


def test_more_interfaces_than_a_jump_reaches_are_no_problem(
    sock: socket.socket, client: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    addresses = [0xFFFFFFFF - number for number in range(unicast._MAX_ADDRESSES)]
    monkeypatch.setattr(unicast, "_broadcast_addresses", lambda: [*addresses[1:], 0x7FFFFFFF])
    answer_unicast_only(sock)
    client.sendto(b"all", ("127.255.255.255", port_of(sock)))
    client.sendto(b"one", ("127.0.0.1", port_of(sock)))
    assert sock.recv(100) == b"one"


def test_a_broadcast_address_that_is_an_interfaces_own_is_let_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ioctl(sock: socket.socket, request: int, ifreq: bytes) -> bytes:
        return struct.pack("20s4s16x", ifreq, socket.inet_aton("10.128.0.2"))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert [
        socket.inet_ntoa(each.to_bytes(4, "big")) for each in unicast._broadcast_addresses()
    ] == [
        "255.255.255.255",
        "127.255.255.255",
    ]


def test_the_broadcast_address_of_each_interface_is_kept_away(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ioctl(sock: socket.socket, request: int, ifreq: bytes) -> bytes:
        if not ifreq.startswith(b"lo\0"):
            raise OSError("Cannot assign requested address")
        host = "10.1.1.255" if request == unicast._SIOCGIFBRDADDR else "10.1.1.7"
        return struct.pack("20s4s16x", ifreq, socket.inet_aton(host))

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    assert int.from_bytes(socket.inet_aton("10.1.1.255"), "big") in unicast._broadcast_addresses()


def test_a_socket_that_cannot_have_a_filter_stays_as_it_was() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, 44, 1)  # SO_LOCK_FILTER
        answer_unicast_only(sock)
