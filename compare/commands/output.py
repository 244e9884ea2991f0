"""Where results go: to a terminal, a pipe, or as JSON or Markdown to stdout or a file."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

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


def deliver(
    result: Run, shown: Callable[[Console], None], outputs: Mapping[str, str | None]
) -> None:
    """The tables; and on stdout the one of FORMATS that was asked for, which it then has alone."""
    to_stdout = [kind for kind, path in outputs.items() if path == "-"]
    try:
        for kind in to_stdout:
            write("-", FORMATS[kind](result), kind)
            sys.stdout.flush()
    finally:
        show(shown, stderr=bool(to_stdout))


def as_json(result: Any) -> bytes:
    """Any record, so that a person can read it, too."""
    return msgspec.json.format(msgspec.json.encode(result), indent=1) + b"\n"


def as_markdown(result: Run) -> bytes:
    from compare.report.markdown import markdown_of  # which takes its time

    return markdown_of(result).encode()


FORMATS: dict[str, Callable[[Run], bytes]] = {
    "json": as_json,
    "markdown": as_markdown,
}


def write(path: str, content: bytes, option: str) -> None:
    """To a file, or - for stdout. Raises click.BadParameter, naming the option."""
    if path == "-":
        sys.stdout.buffer.write(content)
        return
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {path}: {error.strerror}", param_hint=f"'--{option}'"
        ) from None


def interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """A handler for SIGTERM that does what Ctrl-C does."""
    raise KeyboardInterrupt
