"""A peer on a plain socket: what the hub has to know of it, and what is done to it."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct
import termios
from typing import TYPE_CHECKING, Any, cast

from aionet.core import Hub, Peer, Todo
from aionet.sockets import set_reset_on_close, stop_reading

if TYPE_CHECKING:
    from aionet.core.layer import Layer

_TIMEVAL = struct.Struct("ll")


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

    def layer(self) -> Layer | None:
        """As Peer.layer: where its server has a context for that."""
        from aionet.core.layer import Layer  # asked of a TLSHub only, and ssl takes memory

        return Layer(cast(Any, self.hub.shell).tls)

    def unacked(self) -> int:
        """As Peer.unacked: SIOCOUTQ in tcp(7)."""
        if self.sock.fileno() < 0:
            return 0
        answer = fcntl.ioctl(self.sock, termios.TIOCOUTQ, b"\0\0\0\0")
        return len(self.buffer) + int(struct.unpack("i", answer)[0])

    def send_buffer(self, flags: int = 0) -> None:
        """Call send() once, and keep what the kernel does not take. Raises OSError, as that."""
        sent = self.sock.send(self.buffer, flags)
        if sent == len(self.buffer):
            self.buffer = b""
        elif isinstance(self.buffer, bytearray):
            del self.buffer[:sent]  # which copies nothing
        else:
            self.buffer = bytearray(memoryview(self.buffer)[sent:])

    def do(self, todo: str) -> None:
        """Shut one direction, or both; wakes who waits in recv(). Closing is left to the caller."""
        if todo is Todo.CLOSE:
            return
        with contextlib.suppress(OSError):  # the peer was gone before
            if todo is Todo.SHUT_WR:
                self.sock.shutdown(socket.SHUT_WR)
            else:
                if todo is Todo.RESET:  # no FIN before it, which would look like a proper end
                    set_reset_on_close(self.sock)
                stop_reading(self.sock)


def set_wait(sock: socket.socket, option: int, seconds: float) -> None:
    """Have recv() or send() wait so long at most (socket(7), SO_RCVTIMEO and SO_SNDTIMEO).

    Then BlockingIOError is raised, or send() has sent a part. Python's own settimeout() costs a
    poll() before each call.
    """
    sock.setsockopt(socket.SOL_SOCKET, option, _TIMEVAL.pack(int(seconds), int(seconds % 1 * 1e6)))
