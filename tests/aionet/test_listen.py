"""Listening sockets: what each kind of address gives."""

from __future__ import annotations

import contextlib
import errno
import logging
import random
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from machine import WithoutIPv6, needs_ipv6, over_ipv6

from aionet import systemd
from aionet.address import Address
from aionet.listen import listen, listen_all, listen_beside
from aionet.sockets import accept, address_of, remove_unix_path

ANY_TCP = Address("tcp", "127.0.0.1", 0)
ANY_UDP = Address("udp", "127.0.0.1", 0)
UNIX = socket.AF_UNIX, socket.SOCK_STREAM

both_schemes = pytest.mark.parametrize("scheme", ["tcp", "udp"])


@pytest.fixture
def resolve_to(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes the name twice.example mean these addresses."""
    real = socket.getaddrinfo

    def resolve_to(*hosts: str) -> None:
        def getaddrinfo(name: str, *args: Any, **options: Any) -> list[Any]:
            meant = hosts if name == "twice.example" else (name,)
            return [found for host in meant for found in real(host, *args, **options)]

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)

    return resolve_to


# One.


@both_schemes
@pytest.mark.parametrize("host", ["127.0.0.1", over_ipv6("::1"), "localhost"])
def test_port_0_takes_a_free_port_and_a_name_its_ipv4_address(scheme: str, host: str) -> None:
    with listen(Address(scheme, host, 0)) as sock:
        address = address_of(sock)
    assert address.scheme == scheme
    assert address.host == ("127.0.0.1" if host == "localhost" else host)
    assert address.port > 0


def test_a_listener_blocks_and_can_be_connected_to() -> None:
    with listen(ANY_TCP) as listener:
        assert listener.getblocking()
        with socket.create_connection(listener.getsockname()):
            pass


@pytest.mark.parametrize("address", [ANY_TCP, ANY_UDP])
def test_a_taken_port_is_refused_and_nothing_stays_open(address: Address) -> None:
    with listen(address) as sock, pytest.raises(OSError, match="in use") as refusal:
        listen(address_of(sock))
    assert refusal.value.errno == errno.EADDRINUSE


def test_a_port_in_time_wait_can_be_taken_again() -> None:
    with listen(ANY_TCP) as listener:
        address = address_of(listener)
        with socket.create_connection(listener.getsockname(), timeout=10) as client:
            accept(listener).close()  # who closes first keeps the port in TIME_WAIT
            assert client.recv(1) == b""
    listen(address).close()


@pytest.mark.parametrize("address", [ANY_TCP, ANY_UDP])
def test_a_port_can_be_shared_if_each_says_so(address: Address) -> None:
    with listen(address, reuse_port=True) as one:
        with listen(address_of(one), reuse_port=True) as two:
            assert address_of(two) == address_of(one)
        with pytest.raises(OSError, match="in use"):
            listen(address_of(one))


@pytest.mark.parametrize("address", [ANY_TCP, ANY_UDP])
def test_a_port_that_is_to_be_shared_from_now_on_may_not_be_shared_before(
    address: Address,
) -> None:
    with listen(address, reuse_port=True) as old, pytest.raises(OSError, match="in use"):
        listen_all(address_of(old), reuse_port=True, exclusive=True)
    (first,) = listen_all(address, reuse_port=True, exclusive=True)
    with first, listen_beside(first, None) as second:
        assert second.getsockname() == first.getsockname()
        with pytest.raises(OSError, match="in use"):
            listen_all(address_of(first), reuse_port=True, exclusive=True)


def test_sockets_beside_each_other_are_dealt_connections() -> None:
    (first,) = listen_all(ANY_TCP, reuse_port=True, exclusive=True)
    with first, listen_beside(first, None) as second, contextlib.ExitStack() as stack:
        first.setblocking(False)
        second.setblocking(False)
        accepted = set()
        while len(accepted) < 2:
            stack.enter_context(socket.create_connection(first.getsockname(), timeout=10))
            for listener in (first, second):
                with contextlib.suppress(BlockingIOError):
                    listener.accept()[0].close()
                    accepted.add(listener)


def link_local() -> str | None:
    """An address of this machine that means nothing without its link."""
    for line in Path("/proc/net/if_inet6").read_text().splitlines():
        digits, _, _, scope, _, link = line.split()
        if scope == "20":
            return f"{socket.inet_ntop(socket.AF_INET6, bytes.fromhex(digits))}%{link}"
    return None


@both_schemes
@pytest.mark.skipif(link_local() is None, reason="no link here has IPv6")
def test_the_address_of_a_link_keeps_its_scope(scheme: str) -> None:
    address = Address.parse(f"{scheme}://[{link_local()}]:0")
    (first,) = listen_all(address, reuse_port=True)
    with first, listen_beside(first, None) as second:
        assert address_of(second).host == address.host == link_local()
        with pytest.raises(OSError, match="in use"):
            listen(Address.parse(str(address_of(second))))


@pytest.mark.parametrize(
    "where",
    ["tcp://192.0.2.1:1", "udp://192.0.2.1:1", "tcp://no.such.name.invalid:1", "fd://999"],
)
def test_an_error_names_the_address(where: str) -> None:
    address = Address.parse(where)
    for function in (listen, listen_all):
        with pytest.raises(OSError, match=where):
            function(address)


# Every interface.


@needs_ipv6
@pytest.mark.parametrize("host", ["", "::"])
def test_every_interface_is_one_socket_for_ipv4_and_ipv6(host: str) -> None:
    with listen(Address("tcp", host, 0)) as listener:
        port = address_of(listener).port
        for peer in ("127.0.0.1", "::1"):
            with socket.create_connection((peer, port)) as client, accept(listener) as conn:
                conn.sendall(b"x")
                assert client.recv(1) == b"x"


@needs_ipv6
def test_every_interface_gets_datagrams_over_ipv4_and_ipv6() -> None:
    with listen(Address("udp", "", 0)) as sock:
        for family, peer in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as client:
                client.sendto(peer.encode(), (peer, address_of(sock).port))
                data, where = sock.recvfrom(100)
                assert data == peer.encode()
                sock.sendto(b"back", where)
                assert client.recv(100) == b"back"


@needs_ipv6
def test_one_ipv6_address_leaves_the_ipv4_port_alone() -> None:
    """At a port that the kernel gives to nobody who asks for any."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            break
    with listen(Address("tcp", "::1", port)), listen(Address("tcp", "127.0.0.1", port)) as four:
        assert address_of(four).port == port


@both_schemes
@pytest.mark.parametrize("host", ["", "::"])
def test_every_interface_of_a_machine_without_ipv6_is_ipv4(
    scheme: str, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    with listen(Address(scheme, host, 0)) as sock:
        assert address_of(sock).host == "0.0.0.0"


# A name.


@needs_ipv6
@both_schemes
def test_a_name_is_bound_on_each_of_its_addresses_with_one_port(
    scheme: str, resolve_to: Callable[..., None]
) -> None:
    resolve_to("::1", "127.0.0.1", "127.0.0.1")
    four, six = listen_all(Address(scheme, "twice.example", 0))
    with four, six:
        port = address_of(four).port
        assert address_of(four) == Address(scheme, "127.0.0.1", port)
        assert address_of(six) == Address(scheme, "::1", port)


def test_a_port_0_that_one_of_them_has_taken_is_chosen_again(
    resolve_to: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Taken(socket.socket):
        refusals = 3

        def bind(self, address: Any) -> None:
            if address[0] == "127.0.0.2" and Taken.refusals:
                Taken.refusals -= 1
                raise OSError(errno.EADDRINUSE, "Address already in use")
            super().bind(address)

    resolve_to("127.0.0.1", "127.0.0.2")
    monkeypatch.setattr(socket, "socket", Taken)
    one, two = listen_all(Address("tcp", "twice.example", 0))
    with one, two:
        assert address_of(one).port == address_of(two).port
    assert Taken.refusals == 0


def test_a_chosen_port_that_one_of_them_has_taken_is_refused(
    resolve_to: Callable[..., None],
) -> None:
    resolve_to("127.0.0.1", "127.0.0.2")
    with listen(Address("tcp", "127.0.0.2", 0)) as taken:
        address = Address("tcp", "twice.example", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            listen_all(address)
        listen(Address("tcp", "127.0.0.1", address.port)).close()  # nothing stayed open


def test_an_address_that_the_machine_lacks_is_left_out_and_logged(
    resolve_to: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    resolve_to("2001:db8::1", "127.0.0.1")
    with caplog.at_level(logging.INFO):
        (sock,) = listen_all(Address("tcp", "twice.example", 0))
    with sock:
        assert address_of(sock).host == "127.0.0.1"
    assert "not listening on 2001:db8::1" in caplog.text


def test_a_family_that_the_machine_lacks_is_left_out(
    resolve_to: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve_to("::1", "127.0.0.1")
    monkeypatch.setattr(socket, "socket", WithoutIPv6)
    (sock,) = listen_all(Address("udp", "twice.example", 0))
    with sock:
        assert address_of(sock).host == "127.0.0.1"


@needs_ipv6
def test_a_name_of_which_the_machine_has_no_address_is_refused(
    resolve_to: Callable[..., None],
) -> None:
    resolve_to("2001:db8::1", "2001:db8::2")
    with pytest.raises(OSError, match="Cannot assign") as refusal:
        listen_all(Address("tcp", "twice.example", 0))
    assert refusal.value.errno == errno.EADDRNOTAVAIL


# Unix, and what others opened.


def test_a_unix_path_can_be_connected_to_until_it_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    (listener,) = listen_all(Address("unix", path=str(path)))
    with listener, socket.socket(*UNIX) as client:
        client.connect(str(path))
        with accept(listener) as conn:
            conn.sendall(b"x")
        assert client.recv(1) == b"x"
        remove_unix_path(listener)
        assert not path.exists()


def test_a_descriptor_is_taken_over() -> None:
    listener = listen(ANY_TCP)
    address = address_of(listener)
    with listen(Address("fd", path=str(listener.detach()))) as sock:
        assert address_of(sock) == address


def test_the_sockets_of_systemd_are_taken_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    passed = [("web", listen(ANY_TCP).detach()), ("web", listen(ANY_TCP).detach())]
    monkeypatch.setattr(systemd, "_left", [*passed, ("admin", listen(ANY_UDP).detach())])
    with listen(Address("systemd", path="admin")) as admin:
        assert address_of(admin).scheme == "udp"
    one, two = listen_all(Address("systemd"))
    with one, two:
        assert [one.fileno(), two.fileno()] == [descriptor for _, descriptor in passed]


def test_two_sockets_where_one_is_wanted_are_refused_and_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = listen(ANY_TCP), listen(ANY_TCP)
    addresses = [address_of(one), address_of(two)]
    monkeypatch.setattr(systemd, "_left", [("web", one.detach()), ("web", two.detach())])
    with pytest.raises(OSError, match="2 sockets were passed; choose one by systemd:NAME"):
        listen(Address("systemd"))
    for address in addresses:
        listen(address).close()
