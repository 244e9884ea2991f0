"""Where results go: to a terminal, a pipe, or stdout as JSON."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

import click
import msgspec
from rich.console import Console

from compare.results.records import Run

FAILED, UNCLEAR, INTERRUPTED = 1, 3, 130  # exit statuses
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


def deliver(result: Run, shown: Callable[[Console], None], json_path: str | None) -> None:
    """The tables; and the JSON on stdout where that was asked for, which it then has alone."""
    to_stdout = json_path == "-"
    try:
        if to_stdout:
            sys.stdout.buffer.write(as_json(result) + b"\n")
            sys.stdout.flush()
    finally:
        show(shown, stderr=to_stdout)


def as_json(result: Run) -> bytes:
    return msgspec.json.format(msgspec.json.encode(result), indent=1)


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """A handler for SIGTERM that does what Ctrl-C does."""
    raise KeyboardInterrupt
