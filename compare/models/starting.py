"""A command as it was typed, and in words for who typed it why it did not start."""

from __future__ import annotations

import errno
import os
import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path


def why_not(error: OSError, command: str) -> str:
    """What the system said of `command`.

    execvp(3) says EACCES where a folder of PATH is closed to us, though the name is nowhere.
    """
    number = error.errno
    by_path = os.sep not in command
    if number == errno.EACCES and by_path and shutil.which(command, os.F_OK) is None:
        number = errno.ENOENT
    return f"cannot start {error.filename or command}: {os.strerror(number or 0)}"


def words_of(command: Sequence[str]) -> tuple[str, ...]:
    """Where it is one string that is no file, as a shell reads it. Raises ValueError."""
    if len(command) != 1 or Path(command[0]).is_file():
        return tuple(command)
    try:
        return tuple(shlex.split(command[0]))
    except ValueError as error:
        raise ValueError(f"{command[0]!r} is no command: {error}") from None
