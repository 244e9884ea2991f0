"""The servers of another checkout, such as those of a commit before, beside today's."""

from __future__ import annotations

import functools
import os
import re
import subprocess
import tempfile
from pathlib import Path

import msgspec

PACKAGES = ("aionet", "blocking", "compare")
OURS = Path(__file__).parents[2]
_LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,31}")
_folders: list[tempfile.TemporaryDirectory[str]] = []


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """A checkout. label: what its models have after the @. commit: None where git knows none."""

    label: str
    path: str
    commit: str | None = None


def parse(text: str) -> Source:
    """A source from `LABEL=DIR`. Raises ValueError, with a line for a person."""
    label, _, name = text.partition("=")
    if not name or not _LABEL.fullmatch(label):
        raise ValueError(f"{text!r} is not LABEL=DIR, such as base=../before")
    try:
        folder = Path(name).expanduser().resolve()
        lacks = [each for each in PACKAGES if not (folder / each / "__init__.py").is_file()]
    except (OSError, RuntimeError) as error:  # a home of nobody's, a link to itself
        raise ValueError(f"{name} is no checkout of this project: {error}") from None
    if lacks:
        raise ValueError(
            f"{name} is no checkout of this project: there is no {lacks[0]}/__init__.py in it (git "
            "worktree add DIR COMMIT makes one)"
        )
    return Source(label=label, path=str(folder), commit=_commit(folder))


def first_on_path(folder: str) -> dict[str, str]:
    """The environment in which a Python takes our packages from there, and the rest from where the
    user has it: but for the folder that we happen to be in, which is what an empty name means.
    """
    theirs = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    elsewhere = [each for each in theirs if os.path.normpath(each) != "."]  # as "" is, too
    return {"PYTHONPATH": os.pathsep.join([folder, *elsewhere])}


@functools.cache
def folder_of(path: str) -> str:
    """A folder with a checkout's packages and nothing else, which needs no installation.

    Where we are installed there are modules of our own Python, too. Raises ValueError, with a line
    for a person.
    """
    try:
        folder = tempfile.TemporaryDirectory(prefix="aionet-compare-")
        _folders.append(folder)  # until we end
        for name in PACKAGES:
            Path(folder.name, name).symlink_to(Path(path) / name)
    except OSError as error:
        raise ValueError(f"no folder for temporary files (TMPDIR): {error.strerror}") from None
    return folder.name


def _commit(folder: Path) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), "describe", "--always", "--dirty"],
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError:
        return None
    return done.stdout.strip() or None
