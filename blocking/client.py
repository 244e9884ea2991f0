"""A chat from the terminal on plain sockets: one epoll waits for both, typing and talking."""

from __future__ import annotations

import math
import os
import select
import signal
import socket
import time
from select import EPOLLIN, EPOLLONESHOT, EPOLLOUT

from aionet.cli.chat_client import LEAVE_TIMEOUT_S, ChatClient
from aionet.command import connect_or_exit, fail, show
from aionet.signals import end_at_once
from aionet.sockets import RECV_SIZE

STDIN, STDOUT = 0, 1


def chat(host: str, port: int, name: str) -> int:
    """Join the room at `host` and `port`; 0 once the person has left.

    Whatever else ends it is one line on stderr and exit 1; Ctrl-C is exit 130.
    """
    signal.signal(signal.SIGINT, end_at_once)
    try:
        client = ChatClient(name, terminal=os.isatty(STDOUT))
    except ValueError as error:
        fail(str(error))
    with connect_or_exit(host, port) as sock, select.epoll() as epoll:
        sock.setblocking(False)
        try:
            left = _Conversation(sock, client, epoll).run()
        except OSError as error:
            fail(f"the connection is lost: {error}")
    if not left or client.refused:
        fail("the server closed the connection")
    return 0


class _Conversation:
    """What a task for listening and another for talking would keep on their stacks."""

    def __init__(self, sock: socket.socket, client: ChatClient, epoll: select.epoll) -> None:
        self._sock = sock
        self._client = client
        self._epoll = epoll
        self._outbox = client.first_line
        self._typing = True  # stdin has not ended
        self._leave_at = math.inf
        epoll.register(sock, EPOLLIN)
        try:
            epoll.register(STDIN, EPOLLONESHOT)
            self._stdin_waits = True
        except PermissionError:  # epoll has no use for files and /dev/null: they never block
            self._stdin_waits = False

    def run(self) -> bool:
        """Listen and talk until one side ends it: True when the person does."""
        while (left := self._leave_at - time.monotonic()) > 0:
            ready = self._wait(None if left == math.inf else left)
            events = ready.get(self._sock.fileno(), 0)
            if events & ~EPOLLOUT and not self._listen():
                break
            if events & EPOLLOUT:
                self._flush()
            if STDIN in ready:
                self._talk()
        return self._leave_at < math.inf

    def _wait(self, timeout: float | None) -> dict[int, int]:
        """The events of who can go on. While something is unsent, stdin is left alone."""
        self._epoll.modify(self._sock, EPOLLIN | EPOLLOUT if self._outbox else EPOLLIN)
        if self._typing and not self._outbox:
            if not self._stdin_waits:
                return {STDIN: EPOLLIN, **dict(self._epoll.poll(0))}
            # One report, then none until it is asked for again: EPOLLHUP cannot be masked.
            self._epoll.modify(STDIN, EPOLLIN | EPOLLONESHOT)
        return dict(self._epoll.poll(timeout))

    def _listen(self) -> bool:
        """Show what the server sends; False once it has closed. Raises OSError on a reset."""
        data = self._sock.recv(RECV_SIZE)
        show(self._client.receive_data(data))
        return bool(data)

    def _talk(self) -> None:
        """Send what is typed, which is read without waiting although stdin stays blocking.

        It is shared with the shell and with stdout; non-blocking, it would be so for them, too.
        """
        try:
            typed = os.read(STDIN, RECV_SIZE)
        except OSError:  # a terminal that is gone
            typed = b""
        self._typing = bool(typed)
        self._outbox += self._client.send_data(typed)
        self._flush()

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
        self._leave_at = time.monotonic() + LEAVE_TIMEOUT_S
