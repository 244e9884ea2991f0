"""What /proc says of threads, against processes of which that is known."""

from __future__ import annotations

import os
import signal

import pytest
from known_process import Child, WaitUntil

from compare.host import threads as module
from compare.host.threads import calls_of, inode_of, threads

RECEIVES = """
import os, socket, sys, threading
ours, theirs = socket.socketpair()
threading.Thread(target=ours.recv, args=(1,), daemon=True).start()
os.dup2(ours.fileno(), 100)
print("done", flush=True)
sys.stdin.buffer.raw.read(1)
"""
SPINS = "print('done', flush=True)\nwhile True: pass"
named = pytest.mark.skipif(not module.CALLS, reason="no names of calls for this machine")


@named
def test_each_thread_tells_the_call_it_sleeps_in_and_whose_it_is(
    child: Child, wait_until: WaitUntil
) -> None:
    pid = child(RECEIVES).pid
    wait_until(lambda: [each.call for each in threads(pid)] == ["read", "recvfrom"], "both sleep")
    main, other = threads(pid)
    assert (main.tid, main.state, main.fd) == (pid, "S", 0)
    assert other.state == "S"
    assert other.fd is not None
    assert inode_of(pid, other.fd) == inode_of(pid, 100) is not None


def test_a_descriptor_that_is_no_socket_has_no_inode(child: Child) -> None:
    pid = child(RECEIVES).pid
    assert inode_of(pid, 0) is None
    assert inode_of(pid, 99) is None


def test_who_runs_is_in_no_call(child: Child) -> None:
    (only,) = threads(child(SPINS).pid)
    assert only[1:] == ("R", None, None)


def test_who_is_stopped_says_so(child: Child, wait_until: WaitUntil) -> None:
    pid = child(SPINS).pid
    os.kill(pid, signal.SIGSTOP)
    wait_until(lambda: [each.state for each in threads(pid)] == ["T"], "it is stopped")


def test_who_is_gone_has_none(gone: int) -> None:
    assert threads(gone) == []


def test_where_nobody_may_look_the_state_is_told_and_the_call_left_out(
    child: Child, wait_until: WaitUntil, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the kernel answers who may not trace the process."""
    pid = child(RECEIVES).pid
    wait_until(lambda: [each.state for each in threads(pid)] == ["S", "S"], "both sleep")
    read = module._read

    def refused(path: str) -> bytes:
        if path.endswith("/syscall"):
            raise PermissionError(path)
        return read(path)

    monkeypatch.setattr(module, "_read", refused)
    assert [each[1:] for each in threads(pid)] == [("S", None, None)] * 2


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_calls_in_which_servers_wait_have_names(machine: str) -> None:
    names = set(calls_of(machine).values())
    assert {"accept4", "recvfrom", "sendto", "futex", "epoll_pwait", "ppoll"} <= names


def test_a_machine_that_is_not_known_has_no_names() -> None:
    assert calls_of("pdp11") == {}
