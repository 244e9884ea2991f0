"""Whose files are that root writes: of whoever called sudo, or who has the folder."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path


def of_caller(folder: Path) -> tuple[int, int] | None:
    """User and group; None where nothing is to be changed, as we are not root."""
    if os.geteuid() != 0:
        return None
    try:
        return int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"])
    except (KeyError, ValueError):
        found = folder.stat()
        return found.st_uid, found.st_gid


def give(file: int | Path, folder: Path) -> None:
    """What was made in that folder, by its descriptor or its path."""
    if (ids := of_caller(folder)) is not None:
        with contextlib.suppress(OSError):  # a folder of a network, where root is nobody
            os.chown(file, *ids)
