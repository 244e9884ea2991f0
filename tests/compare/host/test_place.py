"""Where a server listens: by its name, by its address, by the tables of the kernel."""

from __future__ import annotations

import socket

import pytest
from machine import NO_IPV6, has_ipv6, needs_ipv6

from compare.host.place import Place


@needs_ipv6
def test_place_that_is_a_name_is_where_somebody_listens() -> None:
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as listener:
        port = listener.getsockname()[1]
        assert Place("tcp", "localhost", port).resolved().host == "::1"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert Place("tcp", "localhost", port).resolved().host == "127.0.0.1"


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "::1", "::"])
def test_datagram_socket_is_seen_at_its_own_address_only(host: str) -> None:
    if ":" in host and not has_ipv6():
        pytest.skip(NO_IPV6)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind((host, 0))
        port = sock.getsockname()[1]
        heard = "::1" if ":" in host else "127.0.0.1"
        other = "127.0.0.1" if ":" in host else "::1"
        assert Place("udp", heard, port).is_taken()
        assert not Place("udp", other, port).is_taken()
    assert not Place("udp", heard, port).is_taken()


@needs_ipv6
@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_address_of_ipv4_is_seen_on_a_socket_of_ipv6(kind: socket.SocketKind) -> None:
    with socket.socket(socket.AF_INET6, kind) as sock:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        sock.bind(("::ffff:127.0.0.1", 0))
        scheme = "udp" if kind == socket.SOCK_DGRAM else "tcp"
        if scheme == "tcp":
            sock.listen()
        place = Place(scheme, "127.0.0.1", sock.getsockname()[1])
        assert [each.host for each in place.bound()] == ["127.0.0.1"]
        assert place.is_taken()


def test_port_is_taken_also_while_its_queue_is_full() -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        here = listener.getsockname()
        with socket.create_connection(here):
            assert Place("tcp", *here).is_taken()
            assert Place("tcp", *here).is_taken()
    assert not Place("tcp", *here).is_taken()


def test_port_to_which_somebody_is_connected_is_not_taken() -> None:
    with (
        socket.socket(type=socket.SOCK_DGRAM) as there,
        socket.socket(type=socket.SOCK_DGRAM) as us,
    ):
        there.bind(("127.0.0.1", 0))
        us.connect(there.getsockname())
        port = there.getsockname()[1]
        there.close()
        assert not Place("udp", "127.0.0.1", port).is_in_a_table()
