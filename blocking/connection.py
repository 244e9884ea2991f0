"""A peer on a plain socket: what the hub has to know of it, and what is done to it."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
from typing import Any

from aionet.core import Hub, Peer, Todo
from aionet.sockets import set_reset_on_close, stop_reading


class Connection(Peer):
    """A socket, and what was taken from the hub and not by the kernel."""

    __slots__ = ("buffer", "sock")

    def __init__(self, hub: Hub, sock: socket.socket) -> None:
        super().__init__(hub)
        self.sock = sock
        self.buffer: bytes | bytearray = b""  # most connections never have anything waiting

    @property
    def address(self) -> Any:
        try:
            return self.sock.getpeername()
        except OSError:  # it is gone
            return None

    def unacked(self) -> int:
        """As Peer.unacked: SIOCOUTQ in tcp(7)."""
        if self.sock.fileno() < 0:
            return 0
        answer = fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0\0\0\0")
        return len(self.buffer) + int(struct.unpack("i", answer)[0])

    def do(self, todo: Todo) -> None:
        """Shut one direction, or both of them; wakes a thread that reads or writes there."""
        with contextlib.suppress(OSError):  # the peer was gone before
            if todo is Todo.SHUT_RD:
                stop_reading(self.sock)
            elif todo is Todo.SHUT_WR:
                self.sock.shutdown(socket.SHUT_WR)
            else:
                if todo is Todo.RESET:
                    set_reset_on_close(self.sock)
                self.sock.shutdown(socket.SHUT_RDWR)
