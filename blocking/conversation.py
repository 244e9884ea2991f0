"""A client that talks and listens at once: one epoll waits for the keyboard and for the socket.

Who first sends all and then reads hangs as soon as both kernels' buffers are full, each side
waiting for the other to read. So nothing is read from the keyboard while something is unsent, and
what the server says is always read.
"""

from __future__ import annotations

import math
import os
import select
import socket
import time
from collections.abc import Callable
from select import EPOLLIN, EPOLLONESHOT, EPOLLOUT
from typing import Protocol

from aionet.command import STDIN, fail, show
from aionet.sockets import RECV_SIZE


class Speech(Protocol):
    """What is made of what is typed, and of what is heard."""

    first_line: bytes

    def send_data(self, typed: bytes) -> bytes:
        """What to send for `typed`; b"" is its end."""
        ...

    @property
    def receive_data(self) -> Callable[[bytes], bytes]:
        """What to show for what is heard; b"" is its end."""
        ...


class Conversation:
    """What a task for listening and another for talking would keep on their stacks.

    source: the descriptor of what is sent. typed: what was read from it already, b"" its end.
    patience: seconds that the server may take to close, once all has been sent; if `renewed`, from
    the last that it said.
    finished: all has been sent, and the server was told so.
    """

    def __init__(
        self,
        sock: socket.socket,
        speech: Speech,
        epoll: select.epoll,
        *,
        source: int,
        typed: bytes | None,
        patience: float,
        renewed: bool = False,
    ) -> None:
        sock.setblocking(False)
        self.finished = False
        self._sock = sock
        self._speech = speech
        self._epoll = epoll
        self._source = source
        self._patience = patience
        self._renewed = renewed
        self._outbox = speech.first_line
        self._typing = True  # the source has not ended
        if typed is not None:
            self._hear(typed)
        self._leave_at = math.inf
        self._listening = True
        epoll.register(sock, EPOLLIN)
        try:
            epoll.register(source, EPOLLONESHOT)
            self._source_waits = True
        except PermissionError:  # epoll has no use for files and /dev/null: they never block
            self._source_waits = False

    def run(self) -> bool:
        """Listen and talk until the server closes; False if that took longer than patience.

        Raises OSError when the connection is lost.
        """
        if not self._typing:
            self._flush()
        while (left := self._leave_at - time.monotonic()) > 0:
            ready = self._wait(None if left == math.inf else left)
            events = ready.get(self._sock.fileno(), 0)
            if events & ~EPOLLOUT and not self._listen():
                self._listening = False
            if events & EPOLLOUT:
                self._flush()
            if self._source in ready:
                self._talk()
            # Who has finished sending may still read (a half-close); but nobody types for that.
            sent = not self._outbox and (self._source_waits or not self._typing)
            if not self._listening and (sent or not self._renewed):
                return True
        return False

    def _wait(self, timeout: float | None) -> dict[int, int]:
        """The events of who can go on. While something is unsent, the source is left alone."""
        events = EPOLLIN * self._listening | EPOLLOUT * bool(self._outbox)
        self._epoll.modify(self._sock, events)
        if self._typing and not self._outbox:
            if not self._source_waits:
                return {self._source: EPOLLIN, **dict(self._epoll.poll(0))}
            # One report, then none until it is asked for again: EPOLLHUP cannot be masked.
            self._epoll.modify(self._source, EPOLLIN | EPOLLONESHOT)
        return dict(self._epoll.poll(timeout))

    def _listen(self) -> bool:
        """Show what the server sends; False once it has closed. Raises OSError on a reset."""
        data = self._sock.recv(RECV_SIZE)
        show(self._speech.receive_data(data))
        if self._renewed and self.finished:
            self._be_patient()
        return bool(data)

    def _talk(self) -> None:
        """Send what is typed, which is read without waiting although stdin stays blocking.

        It is shared with the shell and with stdout; non-blocking, it would be so for them, too.
        """
        try:
            typed = os.read(self._source, RECV_SIZE)
        except OSError as error:
            if self._source != STDIN:
                fail(f"cannot read on: {error.strerror}")
            typed = b""  # a terminal that is gone
        self._hear(typed)
        self._flush()

    def _hear(self, typed: bytes) -> None:
        self._typing = bool(typed)
        self._outbox += self._speech.send_data(typed)

    def _flush(self) -> None:
        """Send what the kernel takes; after the last of it, half-close."""
        try:
            self._outbox = self._outbox[self._sock.send(self._outbox) :]
            if self._typing or self._outbox:
                return
            self._sock.shutdown(socket.SHUT_WR)
        except BlockingIOError:
            return
        except OSError:  # the server is gone; listening tells how, after its last words
            self._typing = False
            self._outbox = b""
            return
        self.finished = True
        self._be_patient()

    def _be_patient(self) -> None:
        self._leave_at = time.monotonic() + self._patience
