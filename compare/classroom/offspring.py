"""Whoever was born of us, whatever they did to be nobody's: stopped, so that none forks, and ended.

An orphan comes to the nearest ancestor that asked for orphans, as who calls this has: prctl(2),
PR_SET_CHILD_SUBREAPER.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Set

from compare.host import kin

END_S = 15.0  # that many processes may take to end
ROUNDS = 200  # in which nobody is left who could fork


def _alive(ours: Set[int] = frozenset()) -> list[int]:
    """Our children but for `ours`, those that came to us as orphans among them, with theirs."""
    roots = [each for each in kin.children(os.getpid()) if each not in ours]
    return [each for root in roots for each in kin.tree(root)]


def stop_all() -> None:
    """All that were born of us.

    Whoever is stopped cannot fork, so that after some rounds there is nobody left who can. Whole
    groups at once, as far as they began with somebody among them.
    """
    stopped: set[int] = set()
    groups: set[int] = set()
    for _ in range(ROUNDS):
        fresh = [each for each in _alive() if each not in stopped]
        if not fresh:
            return
        for each in fresh:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                if (group := os.getpgid(each)) in {*fresh, *stopped} - groups:
                    groups.add(group)
                    os.killpg(group, signal.SIGSTOP)
            _send(each, signal.SIGSTOP)
        stopped.update(fresh)


def end_all(ours: Set[int] = frozenset()) -> None:
    """All that are our children and not of `ours`, with theirs."""
    deadline = time.monotonic() + END_S
    while (left := _alive(ours)) and time.monotonic() < deadline:
        for each in reversed(left):
            _send(each, signal.SIGKILL)
        for each in left:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(each, os.WNOHANG)
        time.sleep(0.002)


def _send(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, number)
