"""Sockets that somebody else opened: what is taken over, and what is left alone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from machine import over_ipv6

from aionet.address import Address
from aionet.inherited import inherit, inherit_all
from aionet.listen import listen
from aionet.sockets import accept, address_of


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True


@pytest.mark.parametrize(
    "where", ["tcp://127.0.0.1:0", over_ipv6("tcp://[::1]:0"), over_ipv6("udp://[::1]:0")]
)
def test_family_and_type_are_found_out(where: str) -> None:
    ours = listen(Address.parse(where))
    ours.setblocking(False)
    ours.set_inheritable(True)
    address, family, kind, protocol = address_of(ours), ours.family, ours.type, ours.proto
    with inherit(ours.detach(), backlog=1) as sock:
        assert address_of(sock) == address
        assert (sock.family, sock.type, sock.proto) == (family, kind, protocol)
        assert sock.getblocking()
        assert os.get_blocking(sock.fileno())
        assert not sock.get_inheritable()


def test_a_bound_stream_socket_listens_from_then_on(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    bound = socket.socket(socket.AF_UNIX)
    bound.bind(path)
    with inherit(bound.detach(), backlog=1) as sock, socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        accept(sock).close()


def test_a_descriptor_that_is_not_open_is_refused() -> None:
    with pytest.raises(OSError, match="descriptor 1000000 is not open; start"):
        inherit(1_000_000, backlog=1)


def test_a_file_is_refused_and_stays_open(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        with pytest.raises(OSError, match=f"descriptor {file.fileno()} is not a socket"):
            inherit(file.fileno(), backlog=1)
        assert is_open(file.fileno())


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_socket_that_is_not_bound_is_refused_and_stays_open(kind: int) -> None:
    with socket.socket(socket.AF_INET, kind) as sock:
        with pytest.raises(OSError, match="is a socket that is not bound"):
            inherit(sock.fileno(), backlog=1)
        assert is_open(sock.fileno())


def test_a_connection_is_refused() -> None:
    with (
        listen(Address("tcp", "127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
        pytest.raises(OSError, match="is a connection; pass the listening socket"),
    ):
        inherit(client.fileno(), backlog=1)


def test_a_kind_that_nobody_serves_is_refused() -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
        pytest.raises(OSError, match="unix stream sockets can be served"),
    ):
        inherit(sock.fileno(), backlog=1)


def test_where_one_of_several_cannot_be_used_all_are_closed() -> None:
    good = listen(Address("tcp", "127.0.0.1", 0)).detach()
    bad, untried = socket.socket().detach(), socket.socket().detach()
    with pytest.raises(OSError, match="not bound"):
        inherit_all([good, bad, untried], backlog=1)
    assert not any(is_open(each) for each in (good, bad, untried))


def test_an_inherited_udp_socket_gets_no_broadcast() -> None:
    plain = socket.socket(type=socket.SOCK_DGRAM)
    plain.bind(("0.0.0.0", 0))
    with inherit(plain.detach(), backlog=1) as sock:
        port = address_of(sock).port
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            client.sendto(b"all", ("127.255.255.255", port))
            client.sendto(b"one", ("127.0.0.1", port))
        assert sock.recv(100) == b"one"
