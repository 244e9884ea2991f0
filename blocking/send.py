"""A client for any TCP server: send all, half-close, and show what is said until the other closes.

    python -m blocking send tcp://127.0.0.1:7007 < picture.png > copy.png
    python -m blocking send tcp://127.0.0.1:7007

The second one sends what is typed, line by line; Ctrl-D ends it.
"""

from __future__ import annotations

import os
import select
import signal

from aionet.cli.chat_client import Screen
from aionet.command import STDOUT, fail
from aionet.signals import end_at_once
from blocking.connecting import connect_or_exit
from blocking.conversation import Conversation


class Unchanged:
    """What is typed is sent, and what is heard is shown, as far as a terminal can take it."""

    first_line = b""

    def __init__(self) -> None:
        self.receive_data = Screen(terminal=os.isatty(STDOUT)).show

    def send_data(self, typed: bytes) -> bytes:
        return typed


def send(host: str, port: int, source: int, timeout: float, connect_timeout: float) -> int:
    """Send what can be read from the descriptor `source`; 0 once the server has closed.

    timeout: seconds of silence that are waited for, once all has been sent. connect_timeout: that
    each of the host's addresses may take to answer. One line on stderr and
    exit 1 if the server closes before, resets the connection, or does not close.
    """
    signal.signal(signal.SIGINT, end_at_once)
    sock, typed = connect_or_exit(host, port, source, connect_timeout)
    with sock, select.epoll() as epoll:
        talk = Conversation(
            sock, Unchanged(), epoll, source=source, typed=typed, patience=timeout, renewed=True
        )
        try:
            closed = talk.run()
        except OSError as error:
            fail(f"the connection is lost: {error}")
    if not closed:
        fail(f"all was sent and the end told, but the server has not closed in {timeout:g} s")
    if not talk.finished:
        fail("the server closed the connection before all was sent")
    return 0
