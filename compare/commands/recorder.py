"""Keep a result while it grows: in the history, and in files where those were asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import click

from compare.commands.growing import Growing
from compare.commands.options import opened
from compare.commands.output import FORMATS
from compare.results.records import Run
from compare.results.store import Store, StoreError, command_line


class Keeper:
    """Called after every cell with all there is. `number` is the run's ID in the history.

    Where it cannot be written costs a line on stderr, and never the run: it is tried again with the
    next cell. in_part: the history has the run without what was seen last.
    """

    def __init__(self, outputs: Mapping[str, str | None], store_path: Path | None) -> None:
        """outputs: where to write which of FORMATS; None is nowhere, and - is not done here.

        Raises click.BadParameter for a file that cannot be written.
        """
        self.number: int | None = None
        self._lost: StoreError | None = None
        self._files = [
            Growing(path, kind, FORMATS[kind])
            for kind, path in outputs.items()
            if path not in (None, "-")
        ]
        self._store: Store | None = None
        try:
            self._store = opened(store_path)
            self._record = self._store.recorder(command_line())
        except StoreError as error:
            sys.stderr.write(f"{error}; this run is not in the history\n")
            self._lost = error

    def __call__(self, result: Run) -> None:
        for each in self._files:
            each.write(result)
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
    def unwritten(self) -> str | None:
        """Why a file that was asked for lacks what was seen last."""
        reasons = [each.unwritten for each in self._files if each.unwritten]
        return "; ".join(reasons) or None

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
