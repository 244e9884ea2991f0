"""A chat from the terminal on plain sockets."""

from __future__ import annotations

import os
import select
import signal

from aionet.cli.chat_client import LEAVE_TIMEOUT_S, ChatClient
from aionet.command import fail
from aionet.signals import end_at_once
from blocking.connecting import CONNECT_S, connect_or_exit
from blocking.conversation import Conversation

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
    sock, typed = connect_or_exit(host, port, STDIN, CONNECT_S)
    with sock, select.epoll() as epoll:
        talk = Conversation(
            sock, client, epoll, source=STDIN, typed=typed, patience=LEAVE_TIMEOUT_S
        )
        try:
            talk.run()
        except OSError as error:
            fail(f"the connection is lost: {error}")
    if not talk.finished or client.refused:
        fail("the server closed the connection")
    return 0
