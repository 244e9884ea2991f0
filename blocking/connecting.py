"""A connection that is made while the keyboard is heard: connect() does not wait.

A server that does not answer is waited for by the kernel for two minutes, and a blocking connect()
stands still as long. One that does not block says EINPROGRESS, the socket is writable when it is
known what came of it, and SO_ERROR tells.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import time
from typing import Any

from aionet.address import Address
from aionet.command import fail
from aionet.sockets import RECV_SIZE

CONNECT_S = 10.0


def connect_or_exit(
    host: str, port: int, source: int, timeout: float
) -> tuple[socket.socket, bytes | None]:
    """A socket connected to one of the host's addresses, or one line and exit 1.

    With it what was read from the descriptor `source` meanwhile: b"" is its end, None that nothing
    was. timeout: seconds for each address.
    """
    keyboard = _Keyboard(source)
    try:
        sock = _connect_to_any(host, port, keyboard, timeout)
    except ConnectionResetError as error:  # it was there already
        fail(f"the connection is lost: {error}")
    except (OSError, UnicodeError) as error:
        place = Address("tcp", host, port)
        fail(f"cannot connect to {place}: {error}; is that right, and a server running?")
    return sock, keyboard.typed


class _Keyboard:
    """What is typed before there is anybody to send it to: as much as one read gives."""

    def __init__(self, source: int) -> None:
        self.source = source
        self.typed: bytes | None = None

    def read(self) -> None:
        try:
            self.typed = os.read(self.source, RECV_SIZE)
        except OSError:  # who reads on is told
            self.typed = None


def _connect_to_any(host: str, port: int, keyboard: _Keyboard, timeout: float) -> socket.socket:
    """Raises the OSError of the last address that was tried."""
    why = OSError(f"{host} has no address")
    for family, kind, _, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        try:
            return _connect(family, kind, address, keyboard, timeout)
        except OSError as error:
            why = error
    raise why


def _connect(
    family: int, kind: int, address: Any, keyboard: _Keyboard, timeout: float
) -> socket.socket:
    """Raises OSError, of which TimeoutError is one."""
    sock = socket.socket(family, kind)
    try:
        sock.setblocking(False)
        number, until = sock.connect_ex(address), time.monotonic() + timeout
        while number == errno.EINPROGRESS:
            if (left := until - time.monotonic()) <= 0:
                raise TimeoutError(f"no answer in {timeout:g} s")
            poll = select.poll()
            poll.register(sock, select.POLLOUT)
            if keyboard.typed is None:
                poll.register(keyboard.source, select.POLLIN)
            ready = dict(poll.poll(left * 1000))
            if keyboard.source in ready:
                keyboard.read()
            if sock.fileno() in ready:
                number = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if number:
            raise OSError(number, os.strerror(number))
    except BaseException:
        sock.close()
        raise
    return sock
