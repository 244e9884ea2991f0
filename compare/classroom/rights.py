"""What another user must not be able to do where its programs are graded, and what to do then."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import util
from pathlib import Path

from compare.classroom.bundle import ZIPS
from compare.classroom.course import FILE, SECRET
from compare.host.user import User


def _packages() -> Iterator[Path]:
    for name in ("aionet", "blocking", "compare"):
        spec = util.find_spec(name)
        for each in (spec.submodule_search_locations or ()) if spec else ():
            yield Path(each)


OURS = tuple(_packages())  # whose servers would be good answers


class RightsError(Exception):
    """That user could do what it must not; the message is a line that says what, and the cure."""


def must_be_few(
    user: User, folder: Path, outputs: Sequence[Path], submission: Path, *, hidden: bool
) -> None:
    """folder: of the course. outputs: files that results go to. Raises RightsError.

    hidden: whether programs do not see what lies beside the submission in any case.
    """
    try:
        place = tempfile.gettempdir()
    except OSError as error:
        raise RightsError(f"no folder for temporary files (TMPDIR): {error.strerror}") from None
    if not user.can("x", place):
        raise RightsError(f"{user.name} cannot enter {place}: set TMPDIR=/tmp")
    _must_not_move(user, Path(place) / "new")
    for each in (folder / FILE, folder / SECRET, *folder.glob(ZIPS)):
        if user.can("r", each.resolve()):
            raise RightsError(f"{user.name} can read {each}: chmod 600 {each}")
    if readable := [each for each in OURS if user.can("r", each / "__init__.py")]:
        closed = dict.fromkeys(str(_closed(each)) for each in readable)
        raise RightsError(
            f"{user.name} can read {', '.join(map(str, readable))}, whose servers would be good "
            f"answers: chmod go= {' '.join(closed)}"
        )
    if not hidden:
        _must_not_read_others(user, submission.resolve())
    for each in (folder / FILE, folder / SECRET, folder):
        _must_not_write(user, each)
        _must_not_move(user, each)
    for each in outputs:
        for path in (each, each.resolve().parent):
            _must_not_write(user, path)
        _must_not_move(user, each)


def _must_not_read_others(user: User, path: Path) -> None:
    """What was handed in, and what lies beside it; in a folder of everybody's that alone."""
    parent = path.parent
    if not user.can("x", parent):
        return
    alone = parent == Path("/") or parent.stat().st_mode & stat.S_ISVTX
    if found := user.first_open([path] if alone else sorted(parent.iterdir())):
        raise RightsError(
            f"{user.name} can read {found}, and what others handed in would be good answers: "
            f"chmod go= {path if alone else parent}"
        )


def _closed(package: Path) -> Path:
    """What to close so that a package cannot be read: its environment, if it has one."""
    prefix = Path(sys.prefix)
    alone = sys.prefix != sys.base_prefix and package.is_relative_to(prefix)
    return prefix if alone else package


def _must_not_write(user: User, path: Path) -> None:
    if not user.can("w", path.resolve()):
        return
    sticky = path.is_dir() and path.stat().st_mode & stat.S_ISVTX
    cure = "name a folder in which only you may write" if sticky else f"chmod go-w {path}"
    raise RightsError(f"{user.name} can write to {path}: {cure}")


def _must_not_move(user: User, path: Path) -> None:
    """Who may write to a folder around it can put another one there, unless it is like /tmp."""
    for one in {Path(os.path.abspath(path)), path.resolve()}:
        for child, parent in zip((one, *one.parents), one.parents, strict=False):
            found = parent.stat() if parent.exists() else None
            if found is None:
                continue
            if found.st_uid == user.uid:
                raise RightsError(
                    f"{parent} is {user.name}'s, who could put another {child.name} there: "
                    f"chown root {parent}"
                )
            if not user.can("w", parent):
                continue
            theirs = os.path.lexists(child) and child.lstat().st_uid == user.uid
            if theirs or not found.st_mode & stat.S_ISVTX:
                raise RightsError(
                    f"{user.name} can write to {parent}, and could put another {child.name} "
                    f"there: chmod go-w {parent}"
                )
