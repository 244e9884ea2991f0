"""Processes to look at."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator

import pytest
from known_process import Child


@pytest.fixture
def child() -> Iterator[Child]:
    """Starts Python code that says a line when it is where it should be, and waits for that."""
    with contextlib.ExitStack() as stack:

        def start(code: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-c", code]
            started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.enter_context(started)
            stack.callback(started.kill)
            assert started.stdout is not None
            assert started.stdout.readline() == b"done\n"
            return started

        yield start


@pytest.fixture
def gone(child: Child) -> int:
    """The pid of a process that was."""
    ended = child("print('done')")
    ended.wait()
    return ended.pid
