"""Locks between gradings of this machine, by a name; who ends, however, has none any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
from collections.abc import Callable, Iterator

PLACE = "/run"  # root's alone; where one may not write there, where temporary files are


@contextlib.contextmanager
def held(name: str, waits: Callable[[], None]) -> Iterator[None]:
    """Ours, as soon as nobody else has it; waits() is called before that takes time.

    Raises OSError where there can be no such file.
    """
    descriptor = _open(f"compare-class-{name}.lock")
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waits()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _open(name: str) -> int:
    """A file that nobody else has put there, nor may open."""
    folder = PLACE if os.access(PLACE, os.W_OK) else tempfile.gettempdir()
    path = os.path.join(folder, name)
    with contextlib.suppress(FileNotFoundError):
        found = os.lstat(path)
        if found.st_uid != os.geteuid() or not stat.S_ISREG(found.st_mode):
            os.unlink(path)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
