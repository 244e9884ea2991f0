"""Keep a result while it grows: in the history, and in a JSON file where that was asked for."""

from __future__ import annotations

import contextlib
import errno
import secrets
import sys
from pathlib import Path

import click

from compare.commands.options import opened
from compare.commands.output import as_json
from compare.results.records import Run
from compare.results.store import Store, StoreError, command_line


class Keeper:
    """Called after every cell with all there is. `number` is the run's ID in the history.

    Where it cannot be written costs a line on stderr, and never the run: it is tried again with the
    next cell. unwritten: of the JSON file, which was asked for, why it lacks what was seen last.
    in_part: the history has the run without that.
    """

    def __init__(self, json_path: str | None, store_path: Path | None) -> None:
        """Raises click.BadParameter for a file that cannot be written."""
        self.number: int | None = None
        self.unwritten: str | None = None
        self._lost: StoreError | None = None
        self._target = None if json_path in (None, "-") else Path(json_path or "").resolve()
        if self._target is not None:  # resolved, so that a link stays one
            self._part = _beside(self._target, json_path or "")
        self._store: Store | None = None
        try:
            self._store = opened(store_path)
            self._record = self._store.recorder(command_line())
        except StoreError as error:
            sys.stderr.write(f"{error}; this run is not in the history\n")
            self._lost = error

    def __call__(self, result: Run) -> None:
        if self._target is not None:
            self._write(self._target, as_json(result))
        if self._store is not None and result.cells:
            before = self._lost
            try:
                self.number = self._record(result)
                self._lost = None
            except StoreError as error:
                self._lost = error
                if before is None:
                    sys.stderr.write(f"{error}; the run goes on\n")

    @property
    def in_part(self) -> bool:
        return self._lost is not None and self.number is not None

    def say_where(self, result: Run) -> None:
        """On stderr. Raises click.ClickException where the result ended before it was through."""
        if self.in_part:
            click.echo(
                f"kept in part as run {self.number}, without what was measured last: {self._lost}",
                err=True,
            )
        elif self._lost is not None:
            click.echo(f"not kept in the history: {self._lost}", err=True)
        elif self.number is not None:
            click.echo(f"kept as run {self.number}: compare show {self.number}", err=True)
        elif result.interrupted and not result.cells:
            click.echo("nothing was measured yet, so nothing is kept", err=True)
        if self.unwritten is not None:
            click.echo(self.unwritten, err=True)
        if result.ended:
            raise click.ClickException(f"{result.ended}; what was measured until then is shown")

    def _write(self, target: Path, content: bytes) -> None:
        """Whole, so that it is never half written."""
        before = self.unwritten
        try:
            self._part.write_bytes(content)
            self._part.replace(target)
        except OSError as error:
            with contextlib.suppress(OSError):
                self._part.unlink()
            self.unwritten = f"cannot write {target}: {error.strerror}"
            if before is None:
                sys.stderr.write(f"{self.unwritten}; the run goes on\n")
        else:
            self.unwritten = None


def _beside(target: Path, named: str) -> Path:
    """A file of ours in the same folder, to be renamed. Raises click.BadParameter."""
    part = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
    try:
        if not named or (target.exists() and not target.is_file()):
            raise OSError(errno.EINVAL, "it is not a file; use - for stdout")
        part.touch(exist_ok=False)
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {named or repr(named)}: {error.strerror}", param_hint="'--json'"
        ) from None
    part.unlink()
    return part
