"""What programs may leave on disk for the next one: in folders of their own, or it is removed."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from compare.host.user import LARGEST

ALL_WRITE = ("/tmp", "/var/tmp", "/dev/shm")
YOUNG_S = 60.0  # before which a folder may not be locked yet
PREFIX = "compare-class-"  # of a folder of root's, in which there is one of the user's
_MS_NOSUID, _MS_NODEV, _MS_BIND, _MS_REC = 2, 4, 4096, 16384  # mount(2)


@contextlib.contextmanager
def workshop() -> Iterator[Path]:
    """A folder for one program, gone after it; what those left that were killed goes now.

    It is in another one, which is ours, and locked while we live.
    """
    remove_dead()
    with tempfile.TemporaryDirectory(prefix=PREFIX, ignore_cleanup_errors=True) as outer:
        os.chmod(outer, 0o711)
        with _locked(outer):
            place = Path(outer) / "at"
            place.mkdir(0o700)
            yield place


@contextlib.contextmanager
def _locked(folder: str) -> Iterator[None]:
    """Raises BlockingIOError where somebody who lives has it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def remove_dead() -> None:
    """Folders of gradings of ours that were killed."""
    for each in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            found = each.lstat()
            if found.st_uid != os.geteuid() or time.time() - found.st_mtime < YOUNG_S:
                continue
            with _locked(str(each)):
                shutil.rmtree(each, ignore_errors=True)


def needed(python: Sequence[str]) -> list[Path]:
    """Folders without which nothing can be run: of the interpreters, ours, and the tools'."""
    tools = [found for name in ("cc", "node") if (found := shutil.which(name))]
    around = [Path(each).resolve().parents[1] for each in (*python[:1], *tools)]
    return [*around, *(Path(each) for each in (sys.prefix, sys.base_prefix, *sys.path) if each)]


def hidden_around(submission: Path, python: Sequence[str]) -> Path | None:
    """The folder that it lies in, where hide() can have it; not one at the top of all, nor one
    that is needed.
    """
    folder = submission.resolve().parent
    if any(folder.is_relative_to(each) for each in ALL_WRITE):
        return folder
    wanted = [Path(os.path.realpath(each)) for each in needed(python)]
    alone = len(folder.parts) > 2 and not any(folder.is_relative_to(each) for each in wanted)
    return folder if alone else None


def hide(kept: Sequence[Path], hidden: Sequence[Path] = ()) -> None:
    """In a mount namespace of our own: what all may write to, and what is hidden, is empty, but
    for folders that are kept. Raises OSError.
    """
    wanted = {Path(os.path.realpath(each)) for each in kept if each.is_dir()}
    around = [Path(each) for each in ALL_WRITE]
    more = [each for each in hidden if not any(each.is_relative_to(one) for one in around)]
    for place in (*more, *around):
        if place.is_symlink() or not place.is_dir():
            continue
        inner = sorted(each for each in wanted if place in each.parents)
        inner = [each for each in inner if not set(inner) & set(each.parents)]
        between = {
            one: stat.S_IMODE(one.stat().st_mode)
            for each in inner
            for one in each.parents
            if place in one.parents
        }
        opened = [(each, os.open(each, os.O_PATH | os.O_CLOEXEC)) for each in inner]
        options = f"mode=1777,size={LARGEST}"
        _mount("tmpfs", str(place), "tmpfs", _MS_NOSUID | _MS_NODEV, options)
        for one in sorted(between):
            one.mkdir()
            one.chmod(between[one])
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


def remove_left(uid: int, since: float) -> None:
    """What the user of that number has made or changed there since then, by time.time().

    Nobody of that user is there any more. Folders of root's in which somebody else's programs are
    just now (see grade.py) are passed by.
    """
    seen: list[str] = []
    for place in ALL_WRITE:
        for folder, folders, files in os.walk(place):
            if folder == place:
                folders[:] = [each for each in folders if not _is_ours(os.path.join(place, each))]
            for name in files:
                _remove(os.path.join(folder, name), uid, since)
            inner = [os.path.join(folder, name) for name in folders]
            seen += [each for each in inner if not os.path.islink(each)]
    for folder in reversed(seen):  # what is within one before it
        _remove(folder, uid, since)


def _is_ours(path: str) -> bool:
    with contextlib.suppress(OSError):
        return os.path.basename(path).startswith(PREFIX) and os.lstat(path).st_uid == 0
    return False


def _remove(path: str, uid: int, since: float) -> None:
    with contextlib.suppress(OSError):
        found = os.lstat(path)
        if found.st_uid != uid or found.st_ctime < since:
            return
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(path)
        else:
            os.unlink(path)
