"""Servers of a few lines, which do what a scene is about."""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from compare.check.bench import Subject
from compare.see.play import with_server
from compare.see.records import Seen

# A thread for each client; SIGTERM ends it, and closes what it has.
ECHO = """
import socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=5)
def serve(conn):
    try:
        while data := conn.recv(65536):
            conn.sendall(data)
    except OSError:
        pass
    conn.close()
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
"""
See = Callable[..., Seen]


@pytest.fixture
def see() -> See:
    """Plays a scene with a program in Python, which is told its port."""

    def see(scene: str, code: str = ECHO) -> Seen:
        return with_server(
            Subject("tcp-echo", (sys.executable, "-c", code, "{port}")), scene, lambda row: None
        )

    return see
