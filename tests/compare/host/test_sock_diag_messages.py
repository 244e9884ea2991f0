"""What the kernel writes of a socket, read back; and of sockets of this process, in any state."""

from __future__ import annotations

import contextlib
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from machine import needs_ipv6

from compare.host import sock_diag
from compare.host.sock_diag import (
    STATES,
    Address,
    connections,
    listeners,
    parse,
    sockets,
    split,
    state_of,
)

HOST = "127.87.0.3"  # which nobody else has
MAPPED = bytes(10) + b"\xff\xff"
number = st.integers(0, 2**32 - 1)
port = st.integers(0, 2**16 - 1)
byte = st.integers(0, 255)


def message(
    family: int,
    state: int,
    timer: int,
    ends: tuple[int, int],
    addresses: tuple[bytes, bytes],
    numbers: tuple[int, int, int, int, int],
    cookie: bytes,
) -> bytes:
    """struct inet_diag_msg: linux/inet_diag.h, field by field."""
    first = struct.pack("=BBBB", family, state, timer, 0) + struct.pack("!HH", *ends)
    padded = b"".join(each.ljust(16, b"\0") for each in addresses)
    return first + padded + struct.pack("=I", 0) + cookie + struct.pack("=5I", *numbers)


@given(
    st.sampled_from(list(STATES)), byte, st.tuples(port, port), st.tuples(number, number),
    st.tuples(number, number, number, number, number), st.binary(min_size=8, max_size=8),
    st.booleans(), st.binary(max_size=64),
)  # fmt: skip
def test_what_is_in_a_message_comes_out_of_it(
    state: int, timer: int, ends: tuple[int, int], hosts: tuple[int, int],
    numbers: tuple[int, int, int, int, int], cookie: bytes, mapped: bool, attributes: bytes,
) -> None:  # fmt: skip
    four = tuple(each.to_bytes(4, "big") for each in hosts)
    addresses = tuple(MAPPED + each if mapped else each for each in four)
    family = socket.AF_INET6 if mapped else socket.AF_INET
    data = message(family, state, timer, ends, addresses, numbers, cookie)  # type: ignore[arg-type]
    found = parse(data + attributes)
    assert found.state == STATES[state]
    assert found.local == Address(socket.inet_ntoa(four[0]), ends[0])
    assert found.remote == Address(socket.inet_ntoa(four[1]), ends[1])
    assert (found.due_ms, found.receive_queue, found.send_queue, found.inode, found.cookie) == (
        *(numbers[0], numbers[1], numbers[2], numbers[4]),
        cookie,
    )


@given(st.binary(max_size=200))
def test_any_bytes_are_a_socket_or_refused(data: bytes) -> None:
    if len(data) < 72:
        with pytest.raises(ValueError, match="are no inet_diag_msg"):
            parse(data)
    else:
        assert parse(data).cookie == data[44:52]


@given(st.lists(st.tuples(port, st.binary(max_size=90))))
def test_messages_of_one_read_are_told_apart(messages: list[tuple[int, bytes]]) -> None:
    data = b""
    for kind, body in messages:
        whole = struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body
        data += whole.ljust((len(whole) + 3) & ~3, b"\0")
    assert list(split(data)) == messages


@given(st.binary(min_size=1, max_size=120))
def test_any_bytes_are_split_or_refused_and_never_for_ever(data: bytes) -> None:
    with contextlib.suppress(ValueError):
        assert sum(16 + len(body) for _, body in split(data)) <= len(data)


def test_a_listener_tells_its_queue_and_its_backlog() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0), backlog=7))
        address = listener.getsockname()
        for _ in range(3):
            stack.enter_context(socket.create_connection(address, 10))
        (found,) = listeners(address[1])
        assert found in sockets(address[1])
        assert found.local == address
        assert (found.receive_queue, found.send_queue) == (3, 7)


def test_both_ends_are_found_by_the_servers_port_and_tell_what_is_not_read() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0)))
        address = listener.getsockname()
        client = stack.enter_context(socket.create_connection(address, 10))
        client.send(b"hello")
        found = {each.local: each for each in sockets(address[1]) if each.state == "ESTABLISHED"}
        served, ours = found[address], found[client.getsockname()]
        assert (served.remote, ours.remote) == (ours.local, served.local)
        assert (served.receive_queue, ours.receive_queue) == (5, 0)
        assert (served.inode, ours.inode > 0) == (0, True)  # nobody has accepted it


def test_other_ports_are_not_among_them() -> None:
    with contextlib.ExitStack() as stack:
        one, other = (
            stack.enter_context(socket.create_server((HOST, 0))).getsockname() for _ in range(2)
        )
        stack.enter_context(socket.create_connection(other, 10))
        found = sockets(one[1])
        assert one in [each.local for each in found]
        # Who had the port before may have left some in TIME_WAIT.
        assert all(one[1] in (each.local.port, each.remote.port) for each in found)
        assert {each.state for each in found} <= {"LISTEN", "TIME_WAIT"}


@needs_ipv6
def test_one_of_ipv4_at_a_listener_for_both_has_its_address_of_ipv4() -> None:
    with contextlib.ExitStack() as stack:
        listener = socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True)
        number = stack.enter_context(listener).getsockname()[1]
        stack.enter_context(socket.create_connection((HOST, number), 10))
        established = [each for each in sockets(number) if each.state == "ESTABLISHED"]
        assert (HOST, number) in {each.local for each in established}
        assert len(established) == 2
        (served,) = (each for each in established if each.local == (HOST, number))
        pair = served.local, served.remote
        assert connections([pair]) == {pair: served}


def test_a_connection_is_found_by_its_ends_and_no_other_for_it() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0)))
        server = Address(*listener.getsockname())
        client = stack.enter_context(socket.create_connection(server, 10))
        ours = Address(*client.getsockname())
        nobody = Address(HOST, 1)  # the kernel tells of the listener then
        found = connections([(ours, server), (server, ours), (server, nobody), (nobody, server)])
        assert {pair: each.state for pair, each in found.items()} == {
            (ours, server): "ESTABLISHED",
            (server, ours): "ESTABLISHED",
        }


def test_a_connection_that_is_half_made_is_found() -> None:
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server((HOST, 0)))
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)
        server = Address(*listener.getsockname())
        client = stack.enter_context(socket.create_connection(server, 10))
        pair = server, Address(*client.getsockname())
        assert connections([pair])[pair].state == "SYN_RECV"
        assert "SYN_RECV" in {each.state for each in sockets(server.port)}


def test_our_own_socket_tells_close_which_is_in_no_table() -> None:
    with socket.socket() as sock:
        assert state_of(sock) == "CLOSE"


def test_kernel_that_refuses_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sock_diag, "_SOCK_DIAG_BY_FAMILY", 99)
    with pytest.raises(OSError, match="sock_diag refused"):
        sockets(1)
    with pytest.raises(OSError, match="sock_diag refused"):
        connections([(Address(HOST, 1), Address(HOST, 2))])
