"""Who has a port: this very process, in these tests."""

from __future__ import annotations

import os
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
