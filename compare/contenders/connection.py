"""A peer on a socket, whichever framework reads and writes there; and a hub for a server of it."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
from typing import Any

from aionet.command import Serve
from aionet.core import Hub, Peer, Shell, Todo
from aionet.descriptors import descriptor_room
from aionet.sockets import borrowed, set_reset_on_close, stop_reading


class Connection(Peer):
    """`sock` is the framework's own: a socket, or what has its methods. Who derives closes it."""

    __slots__ = ("sock",)

    def __init__(self, hub: Hub, sock: Any = None) -> None:
        super().__init__(hub)
        self.sock = sock

    @property
    def address(self) -> Any:
        try:
            return self.sock.getpeername()
        except OSError:  # it is gone
            return None

    def unacked(self) -> int:
        """As Peer.unacked, but for what the framework itself keeps: SIOCOUTQ in tcp(7)."""
        if self.sock.fileno() < 0:
            return 0
        answer = fcntl.ioctl(self.sock.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        return int(struct.unpack("i", answer)[0])

    def do(self, todo: str) -> None:
        """Shut one direction, or have the close be a reset.

        A socket object for the same descriptor can do what a framework's stand-in for it cannot.
        """
        if self.sock.fileno() < 0:
            return
        with contextlib.suppress(OSError), borrowed(self.sock) as sock:  # the peer was gone before
            if todo is Todo.SHUT_RD:
                stop_reading(sock)
            elif todo is Todo.SHUT_WR:
                sock.shutdown(socket.SHUT_WR)
            elif todo is Todo.RESET:
                set_reset_on_close(sock)

    def gone(self) -> None:
        """Nothing is under way here: a reset need not wait for who sends to this peer."""
        if self.pop_todo(unsent=True) is Todo.RESET:
            self.do(Todo.RESET)
            self.close()

    def close(self) -> None:
        """Close it now; who waits for it is woken."""
        raise NotImplementedError


def hub_of(task: Serve, shell: Shell, now: float) -> Hub:
    """The hub of a server that was asked for on the command line."""
    return Hub(
        task.make_service(),
        task.limits,
        task.timeouts,
        shell,
        places=descriptor_room(),
        now=now,
    )
