"""How every command ends where it was interrupted, or where stdout takes no more."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any

import click

from compare.commands.encoding import forgive
from compare.commands.output import FAILED, INTERRUPTED

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)


class Ending(click.Group):
    """A group whose commands end in a line for a person, and never in a traceback."""

    def main(self, *given: Any, **named: Any) -> Any:
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
            ctx.exit(INTERRUPTED)


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
