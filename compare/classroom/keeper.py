"""Sees to the end of a worker where the kernel does not: `python -m compare.classroom.keeper`.

Its arguments are the number of who grades, a user's, or "-", the time from which on what that user
leaves on disk is to go, and the command of the worker. It ends the worker, and whoever was born of
it, in whatever session, when it is told to by SIGTERM, when the worker ends, and when who grades is
gone, by whatever signal.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys

from compare.classroom.offspring import end_all, stop_all
from compare.classroom.private import remove_left

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # prctl(2)
_ASKED = {signal.SIGTERM, signal.SIGCHLD}
_libc = ctypes.CDLL(None)


def main() -> None:
    parent, whose, since, *command = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, _ASKED)
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1)
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):
        return

    def prepare() -> None:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    worker = subprocess.Popen(command, preexec_fn=prepare, process_group=0)
    while worker.poll() is None:
        if signal.sigwait(_ASKED) == signal.SIGTERM:
            break
        _reap(worker.pid)
    stop_all()
    end_all()
    if whose != "-":
        remove_left(int(whose), float(since))
    status = worker.wait()
    if status < 0:  # as it ended, so that it is told
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _ASKED)
        signal.signal(-status, signal.SIG_DFL) if -status != signal.SIGKILL else None
        os.kill(os.getpid(), -status)
    sys.exit(status)


def _reap(worker: int) -> None:
    """Orphans that have ended; of the worker Popen asks."""
    with contextlib.suppress(ChildProcessError):
        while found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if found.si_pid == worker:
                return
            os.waitpid(found.si_pid, os.WNOHANG)


if __name__ == "__main__":
    main()
