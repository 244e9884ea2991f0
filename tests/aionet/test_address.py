"""Address: what can be listened on, and the messages for what cannot."""

from __future__ import annotations

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
        ("TCP://LocalHost:7007/", Address("tcp", "localhost", 7007)),
        ("tcp://[fe80::1%lo]:7007", Address("tcp", "fe80::1%lo", 7007)),
    ],
)
def test_a_host_and_a_port_are_an_address_and_tcp_without_a_scheme(
    text: str, address: Address
) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("tcp://:7007", Address("tcp", "", 7007)),
        (":7007", Address("tcp", "", 7007)),
        ("udp://[::]:0", Address("udp", "::", 0)),
    ],
)
def test_no_host_is_every_interface(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("unix:///run/echo.sock", Address("unix", path="/run/echo.sock")),
        ("unix:///run/a b?c#d%20", Address("unix", path="/run/a b?c#d%20")),
        ("fd://3", Address("fd", path="3")),
        ("fd://003", Address("fd", path="3")),
        ("systemd:", Address("systemd")),
        ("systemd:echo.socket", Address("systemd", path="echo.socket")),
    ],
)
def test_a_path_a_descriptor_and_a_name_are_addresses(text: str, address: Address) -> None:
    assert Address.parse(text) == address


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not name a host and a port"),
        ("localhost", "does not name a host and a port"),
        ("tcp://127.0.0.1", "does not name a host and a port"),
        ("tcp://127.0.0.1:", "does not name a host and a port"),
        ("tcp://127.0.0.1:7007/path", "does not name a host and a port"),
        ("tcp://127.0.0.1:7007?a=b", "does not name a host and a port"),
        ("tcp://127.0.0.1:7007#a", "does not name a host and a port"),
        ("tcp://ann@127.0.0.1:7007", "does not name a host and a port"),
        ("tcp://127.0.0.1:70000", "is not an address"),
        ("tcp://127.0.0.1:-1", "is not an address"),
        ("tcp://127.0.0.1:http", "is not an address"),
        ("tcp://127.0.0.1:70\n07", "is not an address"),
        ("tcp://a b:7007", "is not an address"),
        ("tcp://[::1:7007", "is not an address"),
        ("tcp://::1:7007", "is not an address"),
        ("http://127.0.0.1:80", "has the scheme 'http'"),
        ("unix://", "does not name an absolute path"),
        ("unix://echo.sock", "does not name an absolute path"),
        ("unix:///run/\0", "does not name an absolute path"),
        ("unix:/run/echo.sock", "does not name a host and a port"),
        ("fd://", "does not give a descriptor's number"),
        ("fd://-1", "does not give a descriptor's number"),
        ("fd://\u0663", "does not give a descriptor's number"),
        ("fd://2147483648", "does not give a descriptor's number"),
        ("systemd:a:b", "does not give a name"),
        ("systemd://echo", "does not give a name"),
        ("systemd:\n", "does not give a name"),
    ],
)
def test_anything_else_is_refused_with_its_value_and_the_form(text: str, reason: str) -> None:
    with pytest.raises(ValueError, match=r"write it as tcp://HOST:PORT") as refusal:
        Address.parse(text)
    assert reason in str(refusal.value)
    assert repr(text) in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1


SCHEME = st.sampled_from([f"{scheme}://" for scheme in SCHEMES] + ["systemd:", ""])
HOST_AND_PORT = st.from_regex(r"\A.{0,3}(\[.{0,5}\]|.{0,5}):[0-9]{0,5}.{0,2}\Z")


@given(st.builds("".join, st.tuples(SCHEME, st.text() | HOST_AND_PORT)))
def test_any_text_is_refused_or_read_as_what_it_is_written_as(text: str) -> None:
    try:
        address = Address.parse(text)
    except ValueError as refusal:
        assert repr(text) in str(refusal)  # noqa: PT017  most texts are refused, some are not
    else:
        assert address.scheme in SCHEMES
        assert Address.parse(str(address)) == address


@given(
    st.builds(
        Address,
        st.sampled_from(["tcp", "udp"]),
        st.ip_addresses().map(str) | st.sampled_from(["", "localhost", "a.example"]),
        st.integers(0, 65535),
    )
    | st.text(st.characters(exclude_characters="\0")).map(
        lambda text: Address("unix", path=f"/{text}")
    )
    | st.integers(0, 2**31 - 1).map(lambda number: Address("fd", path=str(number)))
    | st.from_regex(r"\A[a-z.@-]{0,20}\Z").map(lambda name: Address("systemd", path=name))
)
def test_an_address_is_read_back_from_what_it_is_written_as(address: Address) -> None:
    assert Address.parse(str(address)) == address
