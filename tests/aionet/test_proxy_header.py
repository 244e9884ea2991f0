"""The header of the PROXY protocol: what it says, and what is none."""

from __future__ import annotations

import ipaddress
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet.proxy_header import ProxyHeaderError, Trusted, parse

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
PORTS = st.integers(0, 65535)


def version_2(command: int, family: int, addresses: bytes) -> bytes:
    return SIGNATURE + struct.pack("!BBH", command, family, len(addresses)) + addresses


def cut_anywhere(header: bytes, rest: bytes) -> Any:
    """What every beginning of it gives, and then what the whole does."""
    for size in range(len(header)):
        assert parse(header[:size]) is None
    found = parse(header + rest)
    assert found is not None
    assert found.size == len(header)
    return found.source


@given(source=st.ip_addresses(v=4), to=st.ip_addresses(v=4), port=PORTS, rest=st.binary())
def test_line_of_version_1_over_ipv4(source: Any, to: Any, port: int, rest: bytes) -> None:
    header = f"PROXY TCP4 {source} {to} {port} 443\r\n".encode()
    assert cut_anywhere(header, rest) == (str(source), port)


@given(source=st.ip_addresses(v=6), to=st.ip_addresses(v=6), port=PORTS, rest=st.binary())
def test_line_of_version_1_over_ipv6(source: Any, to: Any, port: int, rest: bytes) -> None:
    header = f"PROXY TCP6 {source} {to} {port} 443\r\n".encode()
    assert cut_anywhere(header, rest) == (str(source), port, 0, 0)


@given(
    addresses=st.one_of(
        st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)),
        st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6)),
    ),
    port=PORTS,
    extensions=st.binary(max_size=300),
    rest=st.binary(max_size=30),
)
def test_version_2(addresses: Any, port: int, extensions: bytes, rest: bytes) -> None:
    source, to = addresses
    six = source.version == 6
    packed = source.packed + to.packed + struct.pack("!2H", port, 443) + extensions
    found = cut_anywhere(version_2(0x21, 0x21 if six else 0x11, packed), rest)
    assert found[:2] == (str(ipaddress.ip_address(source)), port) or six
    assert ipaddress.ip_address(found[0]) == source
    assert found[1] == port


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY UNKNOWN\r\n",
        b"PROXY UNKNOWN ffff::1 ffff::2 65535 65535\r\n",
        version_2(0x20, 0x00, b""),  # a health check of the proxy's own
        version_2(0x20, 0x11, bytes(12)),
        version_2(0x21, 0x00, b""),
        version_2(0x21, 0x31, bytes(216)),  # unix sockets
    ],
)
def test_proxy_may_not_say_who_it_is(header: bytes) -> None:
    assert cut_anywhere(header, b"GET / HTTP/1.1\r\n") is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x16\x03\x01\x02\x00",
        b"PROXYTCP4",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 1 99999\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 01 2\r\n",
        b"PROXY TCP4 1.2.3.4 5.6.7.8 +1 2\r\n",
        b"PROXY TCP4 ::1 ::2 1 2\r\n",
        b"PROXY TCP6 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY TCP4  1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY UDP4 1.2.3.4 5.6.7.8 1 2\r\n",
        b"PROXY \r\n",
        b"PROXY " + b"x" * 101,
        SIGNATURE + b"\x11\x11\x00\x0c",
        SIGNATURE + b"\x22\x11\x00\x0c",
        SIGNATURE + b"\x21\x11\x00\x0b",
        SIGNATURE + b"\x21\x21\x00\x0c",
        SIGNATURE + b"\x21\x11\xff\xff",
        SIGNATURE[:-1] + b"X",
    ],
)
def test_what_is_no_header_is_refused(data: bytes) -> None:
    with pytest.raises(ProxyHeaderError):
        parse(data)


@given(data=st.one_of(st.binary(), st.binary().map(lambda tail: b"PROXY TCP4" + tail)))
def test_nothing_else_is_raised_whatever_comes(data: bytes) -> None:
    try:
        found = parse(data)
    except ProxyHeaderError:
        return
    assert found is None or 0 < found.size <= len(data)


@given(tail=st.binary(max_size=60))
def test_nothing_else_is_raised_by_version_2(tail: bytes) -> None:
    test_nothing_else_is_raised_whatever_comes.hypothesis.inner_test(SIGNATURE + tail)


def test_who_is_trusted() -> None:
    trusted = Trusted(("10.0.0.0/8", "192.0.2.7", "2001:db8::/32"))
    for host in ("10.1.2.3", "192.0.2.7", "2001:db8::5", "::ffff:10.0.0.1"):
        assert (host, 1) in trusted
    for host in ("11.0.0.1", "192.0.2.8", "2001:db9::1", "fe80::1%eth0"):
        assert (host, 1) not in trusted
    assert "" not in trusted
    assert "" in Trusted(("unix",))
