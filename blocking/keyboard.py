"""A chat whose own keyboard takes part: one epoll for stdin, the listener, and the members.

That is what a poller is for, and threads find hard: whatever has a descriptor can be waited for
with all the rest. To the room, whoever sits here is a member like the others.
"""

from __future__ import annotations

import os
import select
import socket
from typing import Any, cast

from aionet.command import show
from blocking import on_epoll
from blocking.readiness import Connection

STDIN = 0


def can_be_waited_for() -> bool:
    """Whether stdin is a terminal or a pipe. A file never blocks, and epoll has no use for it."""
    with select.epoll() as epoll:
        try:
            epoll.register(STDIN, 0)
        except PermissionError:
            return False
    return True


class Terminal:
    """stdin and stdout, as much like a connected socket as is needed.

    stdin stays blocking, since it is shared with the shell; after a report by epoll one read does
    not wait. A terminal that is stopped (Ctrl-S) stops the server.
    """

    def setblocking(self, flag: bool) -> None:
        """They stay as they are."""

    def fileno(self) -> int:
        return STDIN

    def getpeername(self) -> str:
        return "the keyboard"

    def recv(self, size: int) -> bytes:
        try:
            return os.read(STDIN, size)
        except OSError:  # a terminal that is gone
            return b""

    def send(self, data: bytes, flags: int = 0) -> int:
        show(data)
        return len(data)

    def getsockopt(self, level: int, option: int) -> int:
        return 0

    def setsockopt(self, level: int, option: int, value: Any) -> None:
        """There is none."""

    def shutdown(self, how: int) -> None:
        """There is nothing to be told."""

    def close(self) -> None:
        """It is not ours."""


class Keyboard(Connection):
    """Who sits at the server, and may think as long as it takes."""

    __slots__ = ()

    def unacked(self) -> int:
        return 0


class StreamServer(on_epoll.StreamServer):
    """As that on epoll, with who sits at it."""

    name = "host"

    def serve_forever(self) -> None:
        keyboard = self._keyboard = Keyboard(self._hub, cast(socket.socket, Terminal()))
        self._poller.register(STDIN, keyboard.events)
        self._connections[STDIN] = keyboard
        self._hub.places.many += 1  # it takes none of the others'
        self._hub.admit(keyboard)
        self._settle(keyboard)
        self._send(keyboard, self._hub.receive_data(keyboard, f"{self.name}\n".encode()))
        self._settle(keyboard)
        super().serve_forever()

    def _tick(self) -> float:
        self._keyboard.seen = self._hub.now
        return super()._tick()

    def _lose(self, conn: Connection, error: OSError | None) -> None:
        if conn is self._keyboard and conn.fd >= 0:
            self._poller.unregister(STDIN)
        super()._lose(conn, error)

    def _stop(self) -> None:
        super()._stop()
        if self._hub.draining:  # no shutdown() ends the reading from a keyboard
            self._hub.receive_eof(self._keyboard)
            self._settle(self._keyboard)
