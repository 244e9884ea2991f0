"""Who has a port: this very process, in these tests."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import over_ipv6

from aionet.address import Address
from aionet.listen import listen
from aionet.port_owner import port_owner
from aionet.sockets import address_of

OURSELVES = f"(process {os.getpid()})"


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.1", "0.0.0.0"),
        ("127.0.0.1", ""),
        over_ipv6("::1", "::1"),
        over_ipv6("::1", "::"),
        ("", "127.0.0.1"),
        over_ipv6("", "::1"),
        ("", ""),
    ],
)
def test_who_has_a_port_in_the_way_is_found(scheme: str, host: str, wanted: str) -> None:
    with listen(Address(scheme, host, 0)) as sock:
        owner = port_owner(Address(scheme, wanted, address_of(sock).port))
    assert owner is not None
    assert owner.endswith(OURSELVES)


@pytest.fixture
def named() -> Iterator[None]:
    """We have a name that is no text, as any process may: prctl(2), PR_SET_NAME."""
    prctl, set_name, get_name = ctypes.CDLL(None).prctl, 15, 16
    before = ctypes.create_string_buffer(16)
    prctl(get_name, before)
    prctl(set_name, b"\xff\xfe")
    yield
    prctl(set_name, before)


@pytest.mark.usefixtures("named")
def test_owner_whose_name_is_no_text_is_found() -> None:
    with listen(Address("tcp", "127.0.0.1", 0)) as sock:
        owner = port_owner(Address("tcp", "127.0.0.1", address_of(sock).port))
    assert owner is not None
    assert owner.endswith(OURSELVES)


@pytest.mark.parametrize(("host", "wanted"), [("127.0.0.1", "127.0.0.2"), over_ipv6("::1", "::2")])
def test_who_has_the_port_of_another_address_is_not_blamed(host: str, wanted: str) -> None:
    with listen(Address("tcp", host, 0)) as sock:
        owner = port_owner(Address("tcp", wanted, address_of(sock).port))
    assert owner is None or not owner.endswith(OURSELVES)


@pytest.mark.parametrize("name", ["socket", "a socket"])
def test_the_owner_of_a_unix_path_is_found(tmp_path: Path, name: str) -> None:
    address = Address("unix", path=str(tmp_path / name))
    with listen(address):
        owner = port_owner(address)
    assert owner is not None
    assert owner.endswith(OURSELVES)


@pytest.mark.parametrize("where", ["unix:///no/such/socket", "fd://3", "systemd:"])
def test_nobody_has_what_is_not_there(where: str) -> None:
    assert port_owner(Address.parse(where)) is None
