"""A guard, for what must not outlive whoever started it by any means."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compare.host import process
from compare.host.guard import Guard
from compare.host.launch import Server

SERVERS = Path(__file__).parents[1] / "servers"
IsAlive = Callable[[int], bool]
WaitUntil = Callable[[Callable[[], object], str], None]

pytestmark = pytest.mark.usefixtures("nothing_left")


def command(how: str) -> list[str]:
    return [sys.executable, str(SERVERS / "starts.py"), how]


def test_guard_kills_the_whole_group_when_its_owner_is_killed(
    is_alive: IsAlive, wait_until: WaitUntil
) -> None:
    with Server(command("leaves-a-child"), ()) as server:
        family = process.tree(server.pid)
        code = f"""
import signal
from compare.host.guard import Guard
with Guard({server.pid}, 60):
    print(flush=True)
    signal.pause()
"""
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
            assert owner.stdout is not None
            owner.stdout.readline()
            owner.kill()
            owner.wait()
            wait_until(lambda: server.died() is not None, "the server is gone")
            wait_until(lambda: not any(map(is_alive, family)), "the group is gone")


def test_guard_kills_when_the_time_is_over(wait_until: WaitUntil) -> None:
    with Server(command("plain"), ()) as server, Guard(server.pid, 0.2):
        wait_until(lambda: server.died() is not None, "the server is gone")


def test_guard_leaves_alone_what_was_ended_well(is_alive: IsAlive) -> None:
    with Server(command("plain"), ()) as server:
        with Guard(server.pid, 60):
            pass
        assert is_alive(server.pid)
