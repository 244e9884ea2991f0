"""A client of a server process, for echo and chat, that does not wait for ever."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import termios

from deadline import DEADLINE_S, wait_until

STUCK_S = 0.5  # a peer that takes nothing for so long has stopped reading
PIECE = 256 * 1024


class Client:
    """A connection whose every step has a deadline."""

    def __init__(self, sock: socket.socket) -> None:
        sock.settimeout(DEADLINE_S)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        self._lines = bytearray()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def receive(self, size: int) -> bytes:
        """`size` bytes, or fewer at the end."""
        received = bytearray()
        while len(received) < size and (data := self.sock.recv(size - len(received))):
            received += data
        return bytes(received)

    def receive_rest(self) -> bytes:
        """All there is, up to the end."""
        received = bytearray()
        while data := self.sock.recv(PIECE):
            received += data
        return bytes(received)

    def exchange(self, data: bytes) -> bytes:
        """What comes back for `data`, at most as long: sent and received at the same time."""
        unsent, received = memoryview(data), bytearray()
        while len(received) < len(data):
            readable, writable = self.poll(DEADLINE_S, write=bool(unsent))
            assert readable or writable, f"stuck after {len(received)} of {len(data)} bytes"
            if writable:
                unsent = unsent[self.send_some(unsent) :]
            if readable:
                piece = self.sock.recv(min(PIECE, len(data) - len(received)))
                if not piece:
                    break
                received += piece
        return bytes(received)

    def send_some(self, data: bytes | memoryview) -> int:
        """Send what the kernel takes at once, possibly nothing."""
        try:
            return self.sock.send(data[:PIECE], socket.MSG_DONTWAIT)
        except BlockingIOError:
            return 0

    def send_until_stuck(self, data: bytes, *, patience: float = STUCK_S) -> int:
        """Send without reading until nothing more is taken for `patience` s; how much was."""
        sent = 0
        while sent < len(data) and self.poll(patience, read=False)[1]:
            sent += self.send_some(memoryview(data)[sent:])
        return sent

    def poll(self, timeout: float, *, read: bool = True, write: bool = True) -> tuple[bool, bool]:
        """Whether reading and writing would not wait, after at most `timeout` seconds."""
        poll = select.poll()
        poll.register(self.sock, read * select.POLLIN | write * select.POLLOUT)
        events = dict(poll.poll(timeout * 1000)).get(self.sock.fileno(), 0)
        broken = bool(events & (select.POLLHUP | select.POLLERR))
        return (
            read and (broken or bool(events & select.POLLIN)),
            write and (broken or bool(events & select.POLLOUT)),
        )

    def wait_until_delivered(self) -> None:
        """Return when the server's kernel has all that was sent."""

        def unacknowledged() -> int:
            answer = fcntl.ioctl(self.sock, termios.TIOCOUTQ, struct.pack("i", 0))  # tcp(7)
            return int(struct.unpack("i", answer)[0])

        wait_until(lambda: unacknowledged() == 0, "everything sent is acknowledged")

    def is_over(self, timeout: float = 0) -> bool:
        """Whether the server has ended it, after at most `timeout` seconds; nothing else came."""
        if not self.poll(timeout, write=False)[0]:
            return False
        try:
            data = self.sock.recv(PIECE)
        except ConnectionResetError:
            return True
        assert not data, f"{data[:99]!r} came instead of the end"
        return True

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()

    # Chat.

    def say(self, text: str) -> None:
        self.send(f"{text}\n".encode())

    def line(self) -> str | None:
        """The next line without its end, or None when there is none."""
        while b"\n" not in self._lines:
            data = self.sock.recv(PIECE)
            if not data:
                assert not self._lines, f"half a line: {bytes(self._lines)!r}"
                return None
            self._lines += data
        line, _, self._lines = self._lines.partition(b"\n")
        return line.decode()

    def lines_until(self, last: str) -> list[str]:
        """The lines before `last`, which must come."""
        lines: list[str] = []
        while (line := self.line()) != last:
            assert line is not None, f"the end came instead of {last!r}, after {lines[-9:]}"
            lines.append(line)
        return lines
