"""Where results go: to a terminal, a pipe, or a file that is never half written."""

from __future__ import annotations

import errno
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console

from compare.result import Run
from compare.scale import Scale

PIPED_WIDTH = 500  # a table is only as wide as it must be; rich would cut it at 80


def show(shown: Callable[[Console], None], *, stderr: bool = False) -> None:
    """Print to a terminal as wide as it is; elsewhere plainly, one line for a row."""
    console = Console(stderr=stderr, highlight=False, emoji=False)
    if console.is_terminal:
        shown(console)
        return
    console = Console(
        stderr=stderr, highlight=False, emoji=False, width=PIPED_WIDTH, color_system=None
    )
    with console.capture() as capture:
        shown(console)
    for line in capture.get().splitlines():
        click.echo(line.rstrip(), err=stderr)


def deliver(result: Run | Scale, shown: Callable[[Console], None], json_path: str | None) -> None:
    """The tables; and the JSON on stdout where that was asked for, which it then has alone."""
    to_stdout = json_path == "-"
    if to_stdout:
        sys.stdout.buffer.write(as_json(result) + b"\n")
    show(shown, stderr=to_stdout)


def as_json(result: Run | Scale) -> bytes:
    return msgspec.json.format(msgspec.json.encode(result), indent=1)


def keeper(path: str | None) -> Any:
    """What keeps the run in `path`, replacing it whole so that it is never half written."""
    if path is None or path == "-":
        return lambda run: None
    target = Path(path).resolve()  # so that a link stays one
    part = target.with_name(target.name + ".part")
    try:
        if not path or (target.exists() and not target.is_file()):
            raise OSError(errno.EINVAL, "it is not a file; use - for stdout")
        part.touch()
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {path or repr(path)}: {error.strerror}", param_hint="'--json'"
        ) from None
    part.unlink()

    def keep(run: Run | Scale) -> None:
        part.write_bytes(as_json(run))
        part.replace(target)

    return keep


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """A handler for SIGTERM that does what Ctrl-C does."""
    raise KeyboardInterrupt
