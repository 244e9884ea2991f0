"""What the kernel tells of a datagram beside its bytes: read, whatever it is, and told it again."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from machine import over_ipv6

from aionet.pktinfo import Asked, Wildcard, answering, read_pktinfo

IP_PKTINFO = 8
PORT = 7007

Ancillary = tuple[int, int, bytes]


def in_pktinfo(address: ipaddress.IPv4Address, interface: int) -> Ancillary:
    packed = struct.pack("I4s4s", interface, address.packed, address.packed)
    return (socket.IPPROTO_IP, IP_PKTINFO, packed)


def in6_pktinfo(address: ipaddress.IPv6Address, interface: int) -> Ancillary:
    packed = struct.pack("16sI", address.packed, interface)
    return (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, packed)


interfaces = st.integers(0, 2**32 - 1)
ours = st.one_of(
    st.builds(in_pktinfo, st.ip_addresses(v=4), interfaces),
    st.builds(in6_pktinfo, st.ip_addresses(v=6), interfaces),
)
levels = st.sampled_from([socket.SOL_SOCKET, socket.IPPROTO_IP, socket.IPPROTO_IPV6])
kinds = st.one_of(st.sampled_from([IP_PKTINFO, socket.IPV6_PKTINFO]), st.integers(0, 2**31 - 1))
anything = st.lists(st.tuples(levels, kinds, st.binary(max_size=40)), max_size=4)


def is_ours(each: Ancillary) -> bool:
    level, kind, info = each
    return (level, kind, len(info)) in (
        (socket.IPPROTO_IP, IP_PKTINFO, 12),
        (socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, 20),
    )


foreign = anything.map(lambda several: [each for each in several if not is_ours(each)])


@given(st.ip_addresses(v=4), interfaces)
def test_an_ipv4_address_is_read_and_answered_from_by_whatever_way(
    address: ipaddress.IPv4Address, interface: int
) -> None:
    assert read_pktinfo([in_pktinfo(address, interface)], PORT) == Asked(
        (str(address), PORT),
        ((socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + address.packed + bytes(4)),),
    )


@given(st.ip_addresses(v=6), interfaces)
@example(ipaddress.IPv6Address("fe80::1"), 7)
@example(ipaddress.IPv6Address("febf::1"), 7)
@example(ipaddress.IPv6Address("fec0::1"), 7)
@example(ipaddress.IPv6Address("::ffff:127.0.0.2"), 1)
def test_an_ipv6_address_keeps_its_interface_where_it_needs_one(
    address: ipaddress.IPv6Address, interface: int
) -> None:
    asked = read_pktinfo([in6_pktinfo(address, interface)], PORT)
    assert asked is not None
    scope = interface if address.is_link_local else 0
    host, *rest = asked.address
    assert ipaddress.IPv6Address(host) == address
    assert rest == [PORT, 0, scope]
    assert asked.ancillary == (in6_pktinfo(address, scope),)


@given(foreign)
def test_what_is_not_about_that_says_nothing(ancillary: list[Ancillary]) -> None:
    assert read_pktinfo(ancillary, PORT) is None


@given(ours, foreign, foreign)
def test_what_is_not_about_that_is_passed_over(
    mine: Ancillary, before: list[Ancillary], after: list[Ancillary]
) -> None:
    assert read_pktinfo([*before, mine, *after], PORT) == read_pktinfo([mine], PORT)


@given(ours, st.data())
def test_what_was_cut_says_nothing(mine: Ancillary, data: st.DataObject) -> None:
    level, kind, info = mine
    left = data.draw(st.integers(0, len(info) - 1))
    assert read_pktinfo([(level, kind, info[:left])], PORT) is None


@given(anything)
def test_whatever_comes_is_read(ancillary: list[Ancillary]) -> None:
    asked = read_pktinfo(ancillary, PORT)
    assert (asked is None) is not any(map(is_ours, ancillary))


@pytest.mark.parametrize(
    ("family", "host", "all_of_them"),
    [
        (socket.AF_INET, "0.0.0.0", True),
        (socket.AF_INET, "127.0.0.1", False),
        over_ipv6(socket.AF_INET6, "::", True),
        over_ipv6(socket.AF_INET6, "::ffff:0.0.0.0", True),
        over_ipv6(socket.AF_INET6, "::ffff:127.0.0.1", False),
        over_ipv6(socket.AF_INET6, "::1", False),
    ],
)
def test_only_a_wildcard_has_to_be_told(family: int, host: str, all_of_them: bool) -> None:
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        assert isinstance(answering(sock), Wildcard) is all_of_them
        assert (answering(sock) is sock) is not all_of_them


class Cutting:
    """A socket of which the kernel told nothing, or half of it, with what came last."""

    family = socket.AF_INET

    def __init__(self, ancillary: list[Ancillary]) -> None:
        self._ancillary = ancillary
        self.sent: list[Any] = []

    def setsockopt(self, *ignored: int) -> None:
        """As a socket's."""

    def getsockname(self) -> tuple[str, int]:
        return ("0.0.0.0", PORT)

    def recvmsg(self, size: int, room: int) -> tuple[bytes, list[Ancillary], int, Any]:
        return b"hello", self._ancillary, socket.MSG_CTRUNC, ("192.0.2.1", 5000)

    def sendto(self, data: bytes, peer: Any) -> int:
        self.sent.append(("sendto", data, peer))
        return len(data)

    def sendmsg(self, data: tuple[bytes], ancillary: Any, flags: int, peer: Any) -> int:
        self.sent.append(("sendmsg", *data, peer))
        return len(data[0])


@pytest.mark.parametrize(
    "ancillary", [[], [(socket.IPPROTO_IP, IP_PKTINFO, bytes(7))], [(socket.SOL_SOCKET, 29, b"")]]
)
def test_where_the_kernel_does_not_tell_it_chooses_the_address(ancillary: Any) -> None:
    sock = Cutting(ancillary)
    wildcard = Wildcard(sock)  # type: ignore[arg-type]
    data, sender = wildcard.recvfrom(100)
    wildcard.sendto(data, sender)
    assert sock.sent == [("sendto", b"hello", ("192.0.2.1", 5000))]


def test_what_goes_to_others_has_the_address_that_the_kernel_chooses() -> None:
    sock = Cutting([in_pktinfo(ipaddress.IPv4Address("192.0.2.7"), 1)])
    wildcard = Wildcard(sock)  # type: ignore[arg-type]
    data, sender = wildcard.recvfrom(100)
    wildcard.sendto(data, ("192.0.2.2", 5000))
    wildcard.sendto(data, ("192.0.2.1", 5000))
    assert sock.sent == [("sendto", data, ("192.0.2.2", 5000)), ("sendmsg", data, sender)]
