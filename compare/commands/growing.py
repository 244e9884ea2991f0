"""A file that is whole at every moment, while what it tells grows."""

from __future__ import annotations

import contextlib
import errno
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import click

from compare.results.records import Run


class Growing:
    """Where an option said that a run is to be written, in the form that `content` gives it.

    Where it cannot be written costs a line on stderr, and never the run: it is tried again with the
    next cell. unwritten: why it lacks what was seen last.
    """

    def __init__(self, path: str, option: str, content: Callable[[Run], bytes]) -> None:
        """Raises click.BadParameter for a file that cannot be written."""
        self.unwritten: str | None = None
        self._content = content
        self._target = Path(path).resolve()  # so that a link stays one
        self._part = _beside(self._target, path, option)

    def write(self, result: Run) -> None:
        """Whole, so that it is never half written."""
        before = self.unwritten
        try:
            self._part.write_bytes(self._content(result))
            self._part.replace(self._target)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._part.unlink()
            self.unwritten = f"cannot write {self._target}: {error.strerror}"
            if before is None:
                sys.stderr.write(f"{self.unwritten}; the run goes on\n")
        else:
            self.unwritten = None


def _beside(target: Path, named: str, option: str) -> Path:
    """A file of ours in the same folder, to be renamed. Raises click.BadParameter."""
    part = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        if not named or (target.exists() and not target.is_file()):
            raise OSError(errno.EINVAL, "it is not a file; use - for stdout")
        part.touch(exist_ok=False)
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {named or repr(named)}: {error.strerror}", param_hint=f"'--{option}'"
        ) from None
    part.unlink()
    return part
