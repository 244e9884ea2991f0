"""The socket options, and what is made of the kernel's answers."""

from __future__ import annotations

import contextlib
import errno
import itertools
import logging
import math
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from deadline import wait_until
from kernel_socket import kernel_socket
from machine import over_ipv6

from aionet import descriptors, sockets
from aionet.address import Address
from aionet.place import Listen
from aionet.runner import Opened
from aionet.sockets import (
    AcceptPaused,
    ListenerClosed,
    accept,
    accept_patiently,
    address_of,
    datagram_drops,
    listen,
    listen_all,
    set_reset_on_close,
    set_write_timeout,
    stop_reading,
    wait_for_close,
)

ANY_TCP = Address("tcp", "127.0.0.1", 0)
ANY_UDP = Address("udp", "127.0.0.1", 0)


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with listen(ANY_TCP) as sock:
        yield sock


@pytest.fixture
def pair(listener: socket.socket) -> Iterator[tuple[socket.socket, socket.socket]]:
    """A server's connection, and its client's."""
    client = socket.create_connection(listener.getsockname(), timeout=10)
    with client, accept(listener) as conn:
        yield conn, client


class FakeListener(socket.socket):
    """A listener whose accept() fails as it is told to, and then is closed."""

    def __init__(self, *codes: int) -> None:
        super().__init__()
        self._codes = itertools.chain(codes, itertools.repeat(errno.EINVAL))

    def accept(self) -> tuple[socket.socket, object]:
        raise OSError(next(self._codes), "as told")


# Where a socket is.


@pytest.mark.parametrize("scheme", ["tcp", "udp"])
@pytest.mark.parametrize("host", ["127.0.0.1", over_ipv6("::1"), over_ipv6("::")])
def test_address_of_tells_the_port_that_the_kernel_chose(scheme: str, host: str) -> None:
    with listen(Address(scheme, host, 0)) as sock:
        address = address_of(sock)
    assert address == Address(scheme, host, address.port)
    assert address.port > 0


def test_address_of_a_unix_socket_is_its_path(tmp_path: Path) -> None:
    address = Address("unix", path=str(tmp_path / "socket"))
    with listen(address) as sock:
        assert address_of(sock) == address


def test_address_of_a_unix_socket_without_a_file_is_its_abstract_name() -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind("")  # unix(7): the kernel chooses five digits
        address = address_of(sock)
    assert address.path.startswith("@")
    assert len(address.path) == 6


# Accept.


def test_an_accepted_connection_blocks_and_sends_small_messages_at_once(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    conn, _ = pair
    assert conn.getblocking()
    assert conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_non_blocking_listener_without_a_client_says_so(listener: socket.socket) -> None:
    listener.setblocking(False)
    with pytest.raises(BlockingIOError):
        accept(listener)


def test_a_connection_from_a_non_blocking_listener_blocks(listener: socket.socket) -> None:
    listener.setblocking(False)
    with socket.create_connection(listener.getsockname()), accept(listener) as conn:
        assert conn.getblocking()


def test_a_listener_that_was_stopped_says_so(listener: socket.socket) -> None:
    stop_reading(listener)
    with pytest.raises(ListenerClosed):
        accept(listener)


def test_who_waits_in_accept_is_woken_when_the_listener_is_stopped(
    listener: socket.socket,
) -> None:
    outcome: list[socket.socket | None] = []
    waiter = threading.Thread(target=lambda: outcome.append(accept_patiently(listener)))
    waiter.start()
    stop_reading(listener)  # before the waiter waits, or after: both end it
    waiter.join(10)
    assert outcome == [None]


@pytest.mark.parametrize("code", [errno.ECONNABORTED, errno.EPROTO, errno.EHOSTUNREACH])
def test_a_connection_that_failed_before_it_was_accepted_is_passed_over(code: int) -> None:
    with FakeListener(code, code) as listener, pytest.raises(ListenerClosed):
        accept(listener)


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM])
def test_without_descriptors_or_memory_accept_pauses(code: int) -> None:
    with FakeListener(code) as listener, pytest.raises(AcceptPaused, match="cannot accept"):
        accept(listener)


def test_a_patient_accept_sits_the_pause_out_and_logs_it_once_a_second(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sockets, "ACCEPT_RETRY_S", 0.0)
    monkeypatch.setattr(descriptors, "_quiet_until", -math.inf)
    with FakeListener(errno.EMFILE, errno.EMFILE) as listener, caplog.at_level(logging.WARNING):
        assert accept_patiently(listener) is None
    assert [record.getMessage() for record in caplog.records] == [
        "cannot accept: as told; trying again in 0 s"
    ]


def test_any_other_error_passes_unwrapped() -> None:
    with FakeListener(errno.EBADF) as listener, pytest.raises(OSError, match="as told") as error:
        accept(listener)
    assert error.value.errno == errno.EBADF


def test_a_client_that_resets_in_the_queue_harms_nobody(listener: socket.socket) -> None:
    client = socket.create_connection(listener.getsockname())
    set_reset_on_close(client)
    client.close()
    with accept(listener) as conn, pytest.raises(ConnectionResetError):
        conn.recv(1)


# Close.


def test_reset_on_close_resets_the_peer(pair: tuple[socket.socket, socket.socket]) -> None:
    conn, client = pair
    set_reset_on_close(conn)
    conn.close()
    with pytest.raises(ConnectionResetError):
        client.recv(1)


def test_waiting_for_the_close_drops_what_still_comes(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    conn, client = pair
    client.sendall(b"too late")
    client.close()
    wait_for_close(conn, 10)
    assert conn.recv(1) == b""


def test_waiting_for_the_close_sends_the_end_first(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    conn, client = pair
    conn.sendall(b"last words")
    waiter = threading.Thread(target=wait_for_close, args=(conn, 10))
    waiter.start()
    assert client.recv(100) == b"last words"
    assert client.recv(100) == b""
    client.close()
    waiter.join(10)
    assert not waiter.is_alive()


def test_waiting_for_the_close_ends_after_its_timeout(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    conn, client = pair
    wait_for_close(conn, 0.01)
    assert client.recv(100) == b""


def test_waiting_for_the_close_raises_when_the_peer_resets(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    conn, client = pair
    set_reset_on_close(client)
    client.close()
    with pytest.raises(OSError, match=r"reset by peer|not connected"):
        wait_for_close(conn, 10)


def test_after_stop_reading_what_has_arrived_is_read_and_then_the_end(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    conn, client = pair
    client.sendall(b"arrived")
    assert conn.recv(100, socket.MSG_PEEK) == b"arrived"
    stop_reading(conn)
    assert conn.recv(100) == b"arrived"
    assert conn.recv(100) == b""
    conn.sendall(b"still sending")
    assert client.recv(100) == b"still sending"


def test_stop_reading_wakes_an_idle_udp_socket() -> None:
    with listen(ANY_UDP) as sock:
        received: list[bytes] = []
        waiter = threading.Thread(target=lambda: received.append(sock.recv(100)))
        waiter.start()
        stop_reading(sock)
        waiter.join(10)
        assert received == [b""]


def test_stop_reading_twice_or_after_close_is_no_error(listener: socket.socket) -> None:
    stop_reading(listener)
    stop_reading(listener)
    listener.close()
    stop_reading(listener)


# A peer that takes nothing.


def stall(listener: socket.socket) -> tuple[socket.socket, socket.socket]:
    """A server's connection that nothing more can be sent on, and its client's."""
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    client.connect(listener.getsockname())
    conn = accept(listener)
    conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    conn.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            conn.send(bytes(4096))
    return conn, client


def test_an_accepted_connection_inherits_the_write_timeout(listener: socket.socket) -> None:
    set_write_timeout(listener, 1.5)
    with socket.create_connection(listener.getsockname()), accept(listener) as conn:
        assert conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500


@pytest.mark.parametrize("open_it", [listen, lambda *a, **k: listen_all(*a, **k)[0]])
def test_who_connects_before_anything_else_has_the_write_timeout(open_it) -> None:
    with (
        open_it(Address("tcp", "127.0.0.1", 0), write_timeout=1.5) as listener,
        socket.create_connection(listener.getsockname()),
        accept(listener) as conn,
    ):
        assert conn.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500


def test_sockets_of_all_workers_have_the_write_timeout() -> None:
    with Opened(2, 1.5) as opened:
        opened.add(Listen(Address("tcp", "127.0.0.1", 0)))
        for (place,) in opened.of_worker:
            assert isinstance(sock := place.address, socket.socket)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1500


def test_a_write_timeout_is_never_rounded_to_the_default(listener: socket.socket) -> None:
    set_write_timeout(listener, 1e-9)
    assert listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1


def test_the_kernel_gives_up_on_a_peer_whose_window_stays_closed(listener: socket.socket) -> None:
    set_write_timeout(listener, 0.2)
    conn, client = stall(listener)
    with conn, client:
        poll = select.poll()
        poll.register(conn, 0)  # POLLERR arrives unasked
        poll.poll()
        with pytest.raises(TimeoutError):
            conn.recv(1)


def test_the_kernel_gives_up_on_it_after_the_close_too(listener: socket.socket) -> None:
    set_write_timeout(listener, 0.2)
    conn, client = stall(listener)
    ports = listener.getsockname()[1], client.getsockname()[1]
    conn.close()
    with client:  # until then it is in FIN_WAIT1
        wait_until(lambda: kernel_socket(*ports) is None, "nothing is left of it")


@pytest.mark.parametrize("address", ["udp://127.0.0.1:0", "unix://"])
def test_a_write_timeout_is_nothing_to_other_sockets(address: str, tmp_path: Path) -> None:
    where = f"{address}{tmp_path}/socket" if address == "unix://" else address
    with listen(Address.parse(where)) as sock:
        set_write_timeout(sock, 1)


# Datagrams that the kernel drops.


def test_datagrams_for_which_the_buffer_had_no_room_are_counted() -> None:
    with listen(ANY_UDP) as sock, socket.socket(type=socket.SOCK_DGRAM) as client:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        assert datagram_drops(sock) == 0
        for _ in range(100):
            client.sendto(bytes(100), sock.getsockname())
        arrived = 0
        sock.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while sock.recv(100):
                arrived += 1
        assert 0 < arrived < 100
        assert datagram_drops(sock) == 100 - arrived


def test_datagrams_that_the_filter_keeps_away_are_counted_too() -> None:
    with listen(Address("udp", "0.0.0.0", 0)) as sock:
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            client.sendto(b"all", ("127.255.255.255", sock.getsockname()[1]))
            client.sendto(b"one", ("127.0.0.1", sock.getsockname()[1]))
        assert sock.recv(100) == b"one"
        assert datagram_drops(sock) == 1


def test_drops_are_0_where_nobody_counts_them() -> None:
    with socket.socket() as sock:
        sock.close()
        assert datagram_drops(sock) == 0
