"""What programs may leave on disk for the next one: in folders of their own, or it is removed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Sequence
from pathlib import Path

from compare.host.user import LARGEST, User

ALL_WRITE = ("/tmp", "/var/tmp", "/dev/shm")
PREFIX = "compare-class-"  # of a folder of root's, in which there is one of the user's
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC = 2, 4, 4096, 16384  # mount(2)


def hide(kept: Sequence[Path]) -> None:
    """In a mount namespace of our own: what all may write to is empty, but for folders that are
    kept. Raises OSError.
    """
    wanted = {Path(os.path.realpath(each)) for each in kept if each.is_dir()}
    for place in map(Path, ALL_WRITE):
        if place.is_symlink() or not place.is_dir():
            continue
        inner = sorted(each for each in wanted if place in each.parents)
        inner = [each for each in inner if not set(inner) & set(each.parents)]
        around = {
            one: stat.S_IMODE(one.stat().st_mode)
            for each in inner
            for one in each.parents
            if place in one.parents
        }
        opened = [(each, os.open(each, os.O_PATH | os.O_CLOEXEC)) for each in inner]
        options = f"mode=1777,size={LARGEST}"
        _mount("tmpfs", str(place), "tmpfs", _MS_NOSUID | _MS_NODEV, options)
        for one in sorted(around):
            one.mkdir()
            one.chmod(around[one])
        for each, descriptor in opened:
            each.mkdir(exist_ok=True)
            _mount(f"/proc/self/fd/{descriptor}", str(each), None, _MS_BIND | _MS_REC, None)
            os.close(descriptor)


def _mount(source: str, target: str, kind: str | None, flags: int, options: str | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    words = [each.encode() if each is not None else None for each in (source, target, kind)]
    if libc.mount(*words, ctypes.c_ulong(flags), options.encode() if options else None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


def remove_left(user: User, since: float) -> None:
    """What that user has made or changed there since then, by time.time().

    Nobody of that user is there any more. Folders of root's in which somebody else's programs are
    just now (see grade.py) are passed by.
    """
    seen: list[str] = []
    for place in ALL_WRITE:
        for folder, folders, files in os.walk(place):
            if folder == place:
                folders[:] = [each for each in folders if not _is_ours(os.path.join(place, each))]
            for name in files:
                _remove(os.path.join(folder, name), user, since)
            inner = [os.path.join(folder, name) for name in folders]
            seen += [each for each in inner if not os.path.islink(each)]
    for folder in reversed(seen):  # what is within one before it
        _remove(folder, user, since)


def _is_ours(path: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.basename(path).startswith(PREFIX) and os.lstat(path).st_uid == 0
    return False


def _remove(path: str, user: User, since: float) -> None:
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if found.st_uid != user.uid or found.st_ctime < since:
            return
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)
