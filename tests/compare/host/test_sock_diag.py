"""What the kernel says of sockets, against sockets of this process."""

from __future__ import annotations

import contextlib
import errno
import socket
import struct
from collections.abc import Callable, Iterator

import pytest
from machine import needs_ipv6

from compare.host import sock_diag
from compare.host.sock_diag import Ends, TimeWait, buffered_kb, listeners, receive_buffers

RESET = struct.pack("ii", 1, 0)  # SO_LINGER: close() sends RST
WaitUntil = Callable[[Callable[[], object], str], None]
Pair = tuple[socket.socket, socket.socket]


# Which nobody else has, so that no other sockets of the same port are taken for its own.
HOST = "127.87.0.1"
BOTH = "127.87.0.2"
HOSTS = [
    HOST,
    pytest.param("::1", marks=needs_ipv6),
]


class Server:
    """A listener, and connections to it."""

    def __init__(self, stack: contextlib.ExitStack, host: str) -> None:
        self._stack = stack
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = stack.enter_context(socket.create_server((host, 0), family=family))
        self.host = host
        self.port = self._listener.getsockname()[1]
        self._time_wait = TimeWait(self.host, self.port)

    def connect(self, source: tuple[str, int] | None = None) -> Pair:
        """The client's end and the server's."""
        address = self.host, self.port
        client = self._stack.enter_context(socket.create_connection(address, 10, source))
        served, _ = self._listener.accept()
        served.settimeout(10)
        return client, self._stack.enter_context(served)

    def time_wait(self) -> Ends:
        return self._time_wait.ends()


@needs_ipv6
def test_connections_of_ipv4_to_a_listener_for_both_versions_are_seen(
    wait_until: WaitUntil,
) -> None:
    with contextlib.ExitStack() as stack:
        family = socket.AF_INET6
        listener = socket.create_server(("::", 0), family=family, dualstack_ipv6=True)
        port = stack.enter_context(listener).getsockname()[1]
        client = stack.enter_context(socket.create_connection((BOTH, port), 10))
        served = stack.enter_context(listener.accept()[0])
        time_wait = TimeWait(BOTH, port)
        client.send(bytes(100_000))
        wait_until(lambda: buffered_kb(BOTH, port) >= 90, "what is buffered to be seen")
        served.recv(100_000, socket.MSG_WAITALL)
        served.close()
        assert client.recv(1) == b""
        client.close()
        wait_until(lambda: time_wait.ends().server == 1, "the server's end in TIME_WAIT")


@pytest.fixture(params=HOSTS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with contextlib.ExitStack() as stack:
        yield Server(stack, request.param)


# Who keeps TIME_WAIT


def close(first: socket.socket, second: socket.socket) -> None:
    """Both, one after the other, each with nothing unread."""
    first.shutdown(socket.SHUT_WR)
    assert second.recv(1) == b""
    second.close()
    assert first.recv(1) == b""
    first.close()


def test_who_closes_first_keeps_time_wait(server: Server, wait_until: WaitUntil) -> None:
    assert server.time_wait() == (0, 0)
    for _ in range(3):
        client, served = server.connect()
        close(client, served)
    for _ in range(2):
        client, served = server.connect()
        close(served, client)
    wait_until(lambda: server.time_wait() == Ends(server=2, client=3), "closed")


def test_reset_leaves_nothing(server: Server) -> None:
    client, served = server.connect()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
    client.close()
    with pytest.raises(ConnectionResetError):
        served.recv(1)
    served.close()
    assert server.time_wait() == (0, 0)


def test_open_connections_are_not_in_time_wait(server: Server) -> None:
    server.connect()
    assert server.time_wait() == (0, 0)


def test_other_ports_are_not_counted(wait_until: WaitUntil) -> None:
    with contextlib.ExitStack() as stack:
        one, other = (Server(stack, HOST) for _ in range(2))
        close(*one.connect())
        wait_until(lambda: one.time_wait() == (0, 1), "closed")
        assert other.time_wait() == (0, 0)


def test_more_sockets_than_one_message_holds_are_all_counted(wait_until: WaitUntil) -> None:
    """The kernel answers in messages of some kilobytes, about a hundred bytes for a socket."""
    with contextlib.ExitStack() as stack:
        server = Server(stack, HOST)
        for _ in range(700):
            close(*server.connect())
        wait_until(lambda: server.time_wait() == (0, 700), "closed")


def test_same_port_of_another_address_is_not_counted(wait_until: WaitUntil) -> None:
    """As clients have it whose connections to the servers before are in TIME_WAIT still."""
    with contextlib.ExitStack() as stack:
        server, before = (Server(stack, HOST) for _ in range(2))
        close(*before.connect(source=("127.0.1.1", server.port)))
        wait_until(lambda: before.time_wait() == (0, 1), "closed")
        assert server.time_wait() == (0, 0)


def test_what_others_left_is_not_counted(server: Server, wait_until: WaitUntil) -> None:
    """A server may be given the port of one that has just ended."""
    close(*server.connect())
    wait_until(lambda: server.time_wait() == (0, 1), "closed")
    later = TimeWait(server.host, server.port)
    assert later.ends() == (0, 0)
    close(*server.connect())
    wait_until(lambda: later.ends() == (0, 1), "closed")


# What is in the buffers


def test_buffers_grow_with_what_the_server_does_not_read(
    server: Server, wait_until: WaitUntil
) -> None:
    client, served = server.connect()
    server.connect()
    before = buffered_kb(server.host, server.port)
    client.sendall(bytes(50_000))
    wait_until(lambda: buffered_kb(server.host, server.port) >= before + 48, "it has arrived")
    # Data takes more than its size, but not many times that.
    assert buffered_kb(server.host, server.port) <= before + 1000
    assert len(served.recv(50_000, socket.MSG_WAITALL)) == 50_000
    wait_until(lambda: buffered_kb(server.host, server.port) < before + 48, "it was read")


def test_buffers_grow_with_what_the_client_does_not_read(server: Server) -> None:
    _, served = server.connect()
    before = buffered_kb(server.host, server.port)
    served.setblocking(False)
    sent = 0
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += served.send(bytes(65536))
    queued_kb = buffered_kb(server.host, server.port) - before
    assert 16 <= queued_kb <= 4 * sent // 1024


def test_nobody_connected_holds_nothing(server: Server) -> None:
    assert buffered_kb(server.host, server.port) == 0


def test_kernel_that_does_not_know_the_question_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sock_diag, "_SOCK_DIAG_BY_FAMILY", 99)
    with pytest.raises(OSError, match="sock_diag refused") as caught:
        buffered_kb("127.0.0.1", 1)
    assert caught.value.errno == errno.EINVAL


def test_kernel_without_the_module_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """As one without tcp_diag; here it is asked for a protocol that there is not."""
    monkeypatch.setattr(socket, "IPPROTO_TCP", 250)
    with pytest.raises(OSError, match="sock_diag refused") as caught:
        buffered_kb("127.0.0.1", 1)
    assert caught.value.errno == errno.ENOENT


def queue(port: int) -> tuple[int, int]:
    (listener,) = listeners(port)
    return listener.receive_queue, listener.send_queue


def test_queue_of_a_listener_is_told_with_its_backlog() -> None:
    with socket.socket() as listener, contextlib.ExitStack() as stack:
        listener.bind(("127.0.0.1", 0))
        listener.listen(7)
        port = listener.getsockname()[1]
        assert queue(port) == (0, 7)
        for _ in range(3):
            stack.enter_context(socket.create_connection(("127.0.0.1", port)))
        assert queue(port) == (3, 7)


def test_every_socket_of_datagrams_at_a_port_has_its_receive_buffer() -> None:
    """Of either version, and not their clients'."""
    with contextlib.ExitStack() as stack:
        made = [
            stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) for _ in range(3)
        ]
        first, second, client = made
        for each in (first, second):
            each.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        second.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 5000)
        first.bind((HOST, 0))
        second.bind(first.getsockname())
        client.connect(first.getsockname())
        usual = first.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert sorted(receive_buffers(first.getsockname()[1])) == sorted([10_000, usual])
