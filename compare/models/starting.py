"""Why a command did not start, in words for who typed it."""

from __future__ import annotations

import errno
import os
import shutil


def why_not(error: OSError, command: str) -> str:
    """What the system said of `command`.

    execvp(3) says EACCES where a folder of PATH is closed to us, though the name is nowhere.
    """
    number = error.errno
    by_path = os.sep not in command
    if number == errno.EACCES and by_path and shutil.which(command, os.F_OK) is None:
        number = errno.ENOENT
    return f"cannot start {error.filename or command}: {os.strerror(number or 0)}"
