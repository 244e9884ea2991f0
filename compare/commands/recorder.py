"""Keep a result while it grows: in the history, and in a JSON file where that was asked for."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import click

from compare.commands.output import as_json
from compare.results.records import Run
from compare.results.store import Store, StoreError, command_line, default_path


class Keeper:
    """Called after every cell with all there is. `number` is the run's ID in the history.

    A history that cannot be written any more costs a line on stderr, and never the run.
    """

    def __init__(self, json_path: str | None, store_path: Path | None) -> None:
        """Raises click.BadParameter for a file that cannot be written."""
        self.number: int | None = None
        self._target = None if json_path in (None, "-") else _writable(json_path or "")
        self._store: Store | None = None
        try:
            self._store = Store(store_path or default_path())
            self._record = self._store.recorder(command_line())
        except StoreError as error:
            if store_path is not None:
                raise click.BadParameter(str(error), param_hint="'--store'") from None
            self._give_up(error)

    def __call__(self, result: Run) -> None:
        if self._target is not None:
            part = _part(self._target)
            part.write_bytes(as_json(result))
            part.replace(self._target)  # whole, so that it is never half written
        if self._store is not None and result.cells:
            try:
                self.number = self._record(result)
            except StoreError as error:
                self._give_up(error)

    def say_where(self, result: Run) -> None:
        """On stderr. Raises click.ClickException where the result ended before it was through."""
        if self.number is not None:
            click.echo(f"kept as run {self.number}: compare show {self.number}", err=True)
        elif result.interrupted and not result.cells:
            click.echo("nothing was measured yet, so nothing is kept", err=True)
        if result.ended:
            raise click.ClickException(f"{result.ended}; what was measured until then is shown")

    def _give_up(self, error: StoreError) -> None:
        sys.stderr.write(f"{error}; this run is not in the history\n")
        self._store = None


def _part(target: Path) -> Path:
    return target.with_name(target.name + ".part")


def _writable(path: str) -> Path:
    target = Path(path).resolve()  # so that a link stays one
    try:
        if not path or (target.exists() and not target.is_file()):
            raise OSError(errno.EINVAL, "it is not a file; use - for stdout")
        _part(target).touch()
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {path or repr(path)}: {error.strerror}", param_hint="'--json'"
        ) from None
    _part(target).unlink()
    return target
