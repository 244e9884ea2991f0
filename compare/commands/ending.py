"""How every command ends where it was interrupted, or where stdout takes no more."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from compare.commands.encoding import forgive
from compare.commands.lazy import Lazy
from compare.commands.output import FAILED, INTERRUPTED

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Ending(Lazy):
    """A group whose commands end in a line for a person, and never in a traceback."""

    def main(self, *given: Any, **named: Any) -> Any:
        _open_streams()
        for stream in (sys.stdout, sys.stderr):
            forgive(stream)
        with _told_when_full():
            try:
                return super().main(*given, **named)
            finally:
                sys.stdout.flush()  # now, and not when it is too late to say that it failed

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            ctx.exit(INTERRUPTED)


def _open_streams() -> None:
    """Whoever closed a standard stream (>&-) wants nothing of it: what is opened next must not
    take its number. And where stderr is full a run goes on, and is shown and kept.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  until we end
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    ours = sys.__stderr__
    if ours is not None and sys.stderr is ours and not ours.isatty():
        lossy = io.BufferedWriter(_Lossy(2, "w", closefd=False))
        sys.stderr = io.TextIOWrapper(lossy, ours.encoding, line_buffering=True)


class _Lossy(io.FileIO):
    """Where what cannot be written is lost, since there is nowhere to say so."""

    def write(self, data: Any) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in FULL:
                raise
            return memoryview(data).nbytes


@contextlib.contextmanager
def _told_when_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in FULL:
            raise
        with contextlib.suppress(OSError):  # what is left would be tried once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        with contextlib.suppress(OSError):  # stderr may be what is full
            click.echo(f"Error: cannot write: {error.strerror}", err=True)
        sys.exit(FAILED)
