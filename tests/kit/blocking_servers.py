"""Servers of `blocking` in threads of the test's process, and clients of theirs."""

from __future__ import annotations

import contextlib
import importlib
import socket
import struct
import threading
from collections.abc import Iterator
from typing import Any

from deadline import DEADLINE_S

from aionet.limits import Limits, Timeouts
from aionet.protocol import Service

ONE_AT_A_TIME = ("sequential",)
TOGETHER = (
    *("threaded", "threadpool", "on_select", "on_poll", "on_epoll", "on_epoll_et", "coroutines"),
)
MODULES = (*ONE_AT_A_TIME, *TOGETHER)  # those with processes have sequential's connections


class Running:
    """A server in a thread of its own."""

    def __init__(
        self,
        module: str,
        service: Service,
        limits: Limits,
        timeouts: Timeouts,
        send_buffer: int,
    ) -> None:
        listener = socket.create_server(("127.0.0.1", 0), backlog=1000)
        if send_buffer:  # who is accepted has the same
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self.address = listener.getsockname()
        kind = importlib.import_module(f"blocking.{module}").StreamServer
        self.server: Any = kind(listener, service, limits, timeouts)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self._clients = contextlib.ExitStack()

    def connect(self, *, source: str = "", receive_buffer: int = 0) -> socket.socket:
        sock = self._clients.enter_context(socket.socket())
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        if source:
            sock.bind((source, 0))
        sock.settimeout(DEADLINE_S)
        sock.connect(self.address)
        return sock

    def served(self, **options: Any) -> socket.socket:
        """A client that has got its echo."""
        sock = self.connect(**options)
        assert exchange(sock, b"hello") == b"hello"
        return sock

    def stop(self) -> None:
        self._clients.close()
        self.server.drain()
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()


@contextlib.contextmanager
def running(
    module: str,
    service: Service,
    *,
    limits: Limits | None = None,
    timeouts: Timeouts | None = None,
    send_buffer: int = 0,
) -> Iterator[Running]:
    limits, timeouts = limits or Limits(), timeouts or Timeouts()
    with limit_on_descriptors_put_back():
        server = Running(module, service, limits, timeouts, send_buffer)
        server.thread.start()
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def limit_on_descriptors_put_back() -> Iterator[None]:
    """Who waits with select() lowers the limit of its process."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def exchange(sock: socket.socket, data: bytes) -> bytes:
    sock.sendall(data)
    return receive(sock, len(data))


def receive(sock: socket.socket, size: int) -> bytes:
    """So many bytes, or less at the end. With a timeout, a socket knows no MSG_WAITALL."""
    received = bytearray()
    while len(received) < size and (data := sock.recv(size - len(received))):
        received += data
    return bytes(received)


def receive_rest(sock: socket.socket) -> bytes:
    """All until the end. Raises ConnectionResetError."""
    return b"".join(iter(lambda: sock.recv(256 * 1024), b""))


def reset(sock: socket.socket) -> None:
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    sock.close()
