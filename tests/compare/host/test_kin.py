"""Whoever is born of a server belongs to it, in whatever session, and nobody else does."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from compare.host import kin, process
from compare.host.launch import LaunchError, Server, kill, start

SERVERS = Path(__file__).parents[1] / "servers"
IsAlive = Callable[[int], bool]
WaitUntil = Callable[[Callable[[], object], str], None]

pytestmark = pytest.mark.usefixtures("nothing_left")


def command(how: str) -> list[str]:
    return [sys.executable, str(SERVERS / "starts.py"), how]


def test_who_left_for_a_session_of_its_own_is_counted_and_ends_with_its_server(
    is_alive: IsAlive, wait_until: WaitUntil
) -> None:
    with Server(command("leaves-a-session"), ()) as server:
        _, away = process.tree(server.pid)
        assert os.getsid(away) != os.getsid(server.pid)
        wait_until(
            lambda: process.cpu_of_tree_ns(server.pid) > process.cpu_ns(server.pid) + 200_000_000,
            "its CPU time counts",
        )
    wait_until(lambda: not is_alive(away), "it is gone")


def test_who_left_is_counted_by_another_process_too() -> None:
    with Server(command("leaves-a-session"), ()) as server:
        code = (
            "from compare.host import kin\n"
            f"kin.look_for_orphans({server.pid}); print(kin.tree({server.pid}))"
        )
        asked = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
        )
        assert asked.stdout.strip() == str(process.tree(server.pid))


def test_one_of_two_servers_ends_with_its_own_only(is_alive: IsAlive) -> None:
    with Server(command("leaves-a-session"), ()) as stays:
        _, away = process.tree(stays.pid)
        with Server(command("leaves-a-session"), ()), subprocess.Popen(["cat"], stdin=-1) as ours:
            pass
        assert ours.returncode == 0
        assert is_alive(stays.pid)
        assert is_alive(away)


def test_children_that_are_none_of_a_server_keep_their_lives_and_their_statuses() -> None:
    ends = [sys.executable, "-c", "raise SystemExit(7)"]
    with subprocess.Popen(["cat"], stdin=-1) as lives, subprocess.Popen(ends) as ended:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        with Server(command("leaves-a-session"), ()):
            pass
        assert lives.poll() is None
        assert ended.wait() == 7


def test_group_of_who_was_waited_for_is_not_signalled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its number may be that of somebody else's by then."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    started = start([sys.executable, "-c", ""], (), **pipes)
    started.wait()
    signalled: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "killpg", lambda *given: signalled.append(given))
    monkeypatch.setattr(os, "kill", lambda *given: signalled.append(given))
    kill(started)
    assert signalled == []


def test_orphans_of_a_server_do_not_stay_behind_as_zombies(wait_until: WaitUntil) -> None:
    with Server(command("ends-orphans"), ()) as server:
        wait_until(lambda: server.pid in kin.children(os.getpid()), "it is ours")
        wait_until(
            lambda: not [each for each in kin.children(os.getpid()) if is_in_group(each, server)],
            "they are reaped",
        )


def is_in_group(pid: int, server: Server) -> bool:
    """Of it, and not the first."""
    try:
        return pid != server.pid and os.getpgid(pid) == server.pid
    except ProcessLookupError:
        return False


def test_orphans_are_their_old_parents_again_when_no_server_is_left() -> None:
    with Server(command("polite"), ()):
        assert asks_for_orphans()
    assert not asks_for_orphans()


def asks_for_orphans() -> bool:
    answer = ctypes.c_int(0)
    get_child_subreaper = 37  # prctl(2)
    ctypes.CDLL(None).prctl(get_child_subreaper, ctypes.byref(answer))
    return bool(answer.value)


def test_who_left_ends_when_its_starter_is_killed(is_alive: IsAlive, wait_until: WaitUntil) -> None:
    code = f"""
import signal
from compare.host import process
from compare.host.launch import LaunchError, Server
with Server({command("leaves-a-session")!r}, ()) as server:
    print(*process.tree(server.pid), flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        family = [int(each) for each in starter.stdout.readline().split()]
        assert len(family) == 2
        assert all(map(is_alive, family))
        starter.kill()
        starter.wait()
        wait_until(lambda: not any(map(is_alive, family)), "they are gone")


def test_nothing_is_expected_of_what_could_not_be_started() -> None:
    with pytest.raises(LaunchError):
        Server(["/no/such/server"], ())
    assert not asks_for_orphans()


def test_kernel_that_lists_no_children_is_asked_for_parents(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Server(command("leaves-a-child"), ()) as server:
        listed = kin.tree(server.pid)
        monkeypatch.setattr(kin, "_KERNEL_KNOWS_CHILDREN", False)
        assert kin.tree(server.pid) == listed
        assert len(listed) == 2


def test_tree_of_children_that_end_meanwhile_is_what_is_left() -> None:
    code = "import os\nwhile True:\n if not os.fork(): os._exit(0)\n os.wait()\n"
    with subprocess.Popen([sys.executable, "-c", code]) as running:
        try:
            for _ in range(2000):
                assert kin.tree(running.pid)[0] == running.pid
        finally:
            running.kill()
