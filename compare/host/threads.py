"""What the threads of a process do at this moment, as /proc tells whoever may look into it."""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

MOST = 64  # threads of a process that are looked at: each takes about 10 us
_READ = 1024  # bytes: what is wanted of these files stands in front

# System calls in which servers wait, by architecture: arch/x86/entry/syscalls/syscall_64.tbl and
# include/uapi/asm-generic/unistd.h of Linux. What is not here is left without a name.
_CALLS = {
    "x86_64": """
        0 read 1 write 3 close 7 poll 19 readv 20 writev 23 select 34 pause
        35 nanosleep 40 sendfile 42 connect 43 accept 44 sendto 45 recvfrom 46 sendmsg
        47 recvmsg 61 wait4 128 rt_sigtimedwait 130 rt_sigsuspend 202 futex
        230 clock_nanosleep 232 epoll_wait 247 waitid 270 pselect6 271 ppoll
        275 splice 281 epoll_pwait 288 accept4 299 recvmmsg 307 sendmmsg
        426 io_uring_enter 441 epoll_pwait2
    """,
    "aarch64": """
        22 epoll_pwait 57 close 63 read 64 write 65 readv 66 writev 71 sendfile
        72 pselect6 73 ppoll 76 splice 95 waitid 98 futex 101 nanosleep
        115 clock_nanosleep 133 rt_sigsuspend 137 rt_sigtimedwait 202 accept
        203 connect 206 sendto 207 recvfrom 211 sendmsg 212 recvmsg 242 accept4
        243 recvmmsg 260 wait4 269 sendmmsg 426 io_uring_enter 441 epoll_pwait2
    """,
}


def calls_of(machine: str) -> dict[int, str]:
    """The names of system calls by their numbers on such a machine; none where it is unknown."""
    words = _CALLS.get(machine, "").split()
    return dict(zip(map(int, words[::2]), words[1::2], strict=True))


CALLS = calls_of(os.uname().machine)
# Whose first argument is the descriptor that they are about.
_OF_A_DESCRIPTOR = {
    *("read", "write", "close", "readv", "writev", "sendfile", "splice", "connect"),
    *("accept", "accept4", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg"),
    *("epoll_wait", "epoll_pwait", "epoll_pwait2", "io_uring_enter"),
}


class Thread(NamedTuple):
    """One thread: R it runs or waits for a core, S and D it sleeps, T it is stopped: proc(5).

    call: the system call that it sleeps in; fd: the descriptor that call is about. None where
    there is none, or nobody may know.
    """

    tid: int
    state: str
    call: str | None = None
    fd: int | None = None


def threads(pid: int) -> list[Thread]:
    """Those of one process, the first MOST of them, by tid; none where it is gone."""
    found = []
    with contextlib.suppress(OSError):
        for tid in sorted(map(int, os.listdir(f"/proc/{pid}/task")))[:MOST]:
            with contextlib.suppress(OSError, IndexError):  # it has ended meanwhile
                # proc(5): the name may hold anything, so count from its closing parenthesis.
                state = _read(f"/proc/{pid}/task/{tid}/stat").rpartition(b")")[2].split()[0]
                call = _call(pid, tid) if state in b"SD" else ()
                found.append(Thread(tid, state.decode(), *call))
    return found


def _call(pid: int, tid: int) -> tuple[str | None, int | None]:
    """The call in which it sleeps, and its descriptor: proc(5), /proc/PID/syscall.

    Only who may trace a process may read that file, and not every kernel has it.
    """
    try:
        words = _read(f"/proc/{pid}/task/{tid}/syscall").split()
    except OSError:
        return None, None
    if len(words) < 2 or words[0] == b"-1":  # it is not in a call; "running" stands alone
        return None, None
    name = CALLS.get(int(words[0]))
    return name, int(words[1], 16) if name in _OF_A_DESCRIPTOR else None


def inode_of(pid: int, fd: int) -> int | None:
    """Of the socket that has that descriptor; None where it is none, or is gone."""
    try:
        kind, _, inode = os.readlink(f"/proc/{pid}/fd/{fd}").partition(":")
    except OSError:
        return None
    return int(inode.strip("[]")) if kind == "socket" else None


def _read(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _READ)
    finally:
        os.close(fd)
