"""What goes wrong over many connections at once is told in a few lines."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import threading
from typing import Any

import pytest
from blocking_servers import running

from aionet import throttle
from aionet.limits import Limits, Timeouts
from aionet.protocol import Echo
from blocking import fork
from blocking.coroutines import Loop

MANY = 4 * throttle.MOST


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was logged before."""
    monkeypatch.setattr(throttle, "_kinds", {})
    monkeypatch.setattr(throttle, "_traced", {})
    monkeypatch.setattr(throttle, "WINDOW_S", 60.0)


def _tracebacks(caplog: pytest.LogCaptureFixture) -> int:
    return sum(record.exc_info is not None for record in caplog.records)


def test_connections_for_which_there_is_no_thread(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("threaded", Echo()) as server:

        def start(self: threading.Thread) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", start)
        for _ in range(MANY):
            with contextlib.suppress(ConnectionResetError):
                assert server.connect().recv(1) == b""
        monkeypatch.undo()
    assert caplog.messages == ["can't start new thread; the connection is reset"] * throttle.MOST


def test_connections_for_which_there_is_no_process(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_fork() -> int:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", no_fork)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server: Any = fork.StreamServer(listener, Echo(), Limits(), Timeouts())
        for _ in range(MANY):
            with socket.create_connection(listener.getsockname()) as client:
                server._fork(listener.accept()[0])
                assert client.recv(1) == b""
    assert len(caplog.messages) == throttle.MOST


def test_tasks_of_coroutines_that_fail(caplog: pytest.LogCaptureFixture) -> None:
    async def fail() -> None:
        raise LookupError

    loop = Loop()
    for _ in range(MANY):
        loop.spawn(fail())
    loop.run()
    assert (len(caplog.messages), _tracebacks(caplog)) == (throttle.MOST, 1)
