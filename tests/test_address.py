"""Address: what can be listened on, and the messages for what cannot."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aionet.address import SCHEMES, Address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://127.0.0.1:7007", Address("tcp", "127.0.0.1", 7007)),
        ("udp://127.0.0.1:0", Address("udp", "127.0.0.1", 0)),
        ("tcp://localhost:65535", Address("tcp", "localhost", 65535)),
        ("tcp://[::1]:7007", Address("tcp", "::1", 7007)),
        ("127.0.0.1:7007", Address("tcp", "127.0.0.1", 7007)),
        ("[::1]:7007", Address("tcp", "::1", 7007)),
        ("localhost:7007", Address("tcp", "localhost", 7007)),
    ],
)
def test_a_host_and_a_port_are_an_address_and_tcp_without_a_scheme(
    text: str, address: Address
) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not name a host and a port"),
        ("localhost", "does not name a host and a port"),
        ("tcp://127.0.0.1", "does not name a host and a port"),
        ("tcp://:7007", "does not name a host and a port"),
        ("tcp://127.0.0.1:7007/path", "does not name a host and a port"),
        ("tcp://127.0.0.1:7007?a=b", "does not name a host and a port"),
        ("tcp://127.0.0.1:70000", "is not an address"),
        ("tcp://127.0.0.1:-1", "is not an address"),
        ("tcp://127.0.0.1:http", "is not an address"),
        ("tcp://[::1:7007", "is not an address"),
        ("tcp://::1:7007", "is not an address"),
        ("http://127.0.0.1:80", "has the scheme 'http'"),
        ("unix:///tmp/socket", "has the scheme 'unix'"),
    ],
)
def test_anything_else_is_refused_with_its_value_and_the_form(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"write it as tcp://HOST:PORT") as refusal:
        Address.parse(text)
    assert reason in str(refusal.value)
    assert repr(text) in str(refusal.value)


@given(st.text())
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with contextlib.suppress(ValueError):
        assert Address.parse(text).scheme in SCHEMES


@given(
    st.builds(
        Address,
        st.sampled_from(["tcp", "udp"]),
        st.ip_addresses().map(str) | st.sampled_from(["localhost", "a.example"]),
        st.integers(0, 65535),
    )
)
def test_an_address_is_read_back_from_what_it_is_written_as(address: Address) -> None:
    assert Address.parse(str(address)) == address


@pytest.mark.parametrize(
    ("host", "is_ipv6"),
    [("::1", True), ("fe80::1%lo", True), ("127.0.0.1", False), ("localhost", False)],
)
def test_only_an_ipv6_address_is_ipv6(host: str, is_ipv6: bool) -> None:
    assert Address("tcp", host, 0).is_ipv6 is is_ipv6
