"""What tests of several modules need."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no reason to fail.
settings.register_profile("project", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("project")

# Who is started in the background of a script ignores Ctrl-C, and so would all that tests start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts `python ...` with pipes for its three streams, and ends it with the test."""
    with contextlib.ExitStack() as stack:

        def start(*argv: str, **options: Any) -> subprocess.Popen[bytes]:
            pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE) | options
            command = [sys.executable, "-W", "error", *argv]
            process = subprocess.Popen(command, bufsize=0, **pipes)
            stack.enter_context(process)
            stack.callback(process.kill)
            return process

        yield start
