"""What is said where this machine lets nothing be started, whatever the command."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from machine import let_no_thread_begin

from compare.host.launch import Server, UnableError

STARTS = str(Path(__file__).parents[1] / "servers" / "starts.py")
POLITE = [sys.executable, STARTS, "polite"]
IsAlive = Callable[[int], bool]

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE, errno.ENOMEM])
def test_machine_that_can_start_nothing_is_no_fault_of_the_command(
    monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(subprocess, "Popen", fails)
    with pytest.raises(UnableError, match="cannot start anything here"):
        Server(["true"], ())


def test_core_that_is_not_there_any_more_is_no_traceback() -> None:
    with pytest.raises(UnableError, match="cannot start anything here"):
        Server(POLITE, (8000,))


@pytest.mark.parametrize("many", [0, 1])
def test_machine_that_lets_no_thread_begin_is_no_fault_of_the_command(
    monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    """Processes and threads have one limit: ulimit -u, pids.max."""
    let_no_thread_begin(monkeypatch, "_read_on", many)
    expected = "cannot start anything here: can't start new thread"
    with pytest.raises(UnableError, match=expected), Server(POLITE, ()):
        pytest.fail("it says that it is ready")


def test_server_can_do_without_who_reaps_its_orphans(
    monkeypatch: pytest.MonkeyPatch, is_alive: IsAlive
) -> None:
    let_no_thread_begin(monkeypatch, "_reap")
    with Server(POLITE, ()) as server:
        assert is_alive(server.pid)
    assert not is_alive(server.pid)
