"""The command line."""

from __future__ import annotations

import errno
import math
import os
import random
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click
import msgspec
from rich.console import Console

from compare.matrix import DEFAULT_MODELS, MODELS, WORKLOADS
from compare.report.progress import watching
from compare.report.terminal import show
from compare.result import Run, Settings
from compare.run import execute

PIPED_WIDTH = 500  # a table is only as wide as it must be; rich would cut it at 80
FAILED, INTERRUPTED = 1, 130  # exit statuses


class Names(click.ParamType[list[str]]):
    """Comma-separated names out of a fixed set."""

    name = "NAME,..."

    def __init__(self, kind: str, known: list[str]) -> None:
        self._kind = kind
        self._known = known

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[str]:
        if isinstance(value, list):
            return value
        names = [name.strip() for name in value.split(",")]
        for name in names:
            if name not in self._known:
                self.fail(
                    f"there is no {self._kind} {name!r}; choose from {', '.join(self._known)}",
                    param,
                    ctx,
                )
        return list(dict.fromkeys(names))


class Numbers(click.ParamType[list[int]]):
    """Comma-separated whole numbers from 1 up."""

    name = "N,..."

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> list[int]:
        if isinstance(value, list):
            return value
        numbers = []
        for word in value.split(","):
            text = word.strip()
            known = text.isascii() and text.isdigit() and len(text) <= 7
            if not known or not 1 <= int(text) <= 1_000_000:
                self.fail(f"{text!r} is not a whole number from 1 to 1,000,000", param, ctx)
            numbers.append(int(text))
        return list(dict.fromkeys(numbers))


class Seconds(click.ParamType[float]):
    """A time in seconds, above 0."""

    name = "SECONDS"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            seconds = float(value)
        except ValueError:
            seconds = math.nan
        if not 0.05 <= seconds <= 3600:
            self.fail(f"{value!r} is not a number of seconds from 0.05 to 3600", param, ctx)
        return seconds


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="aionet-compare")
def main() -> None:
    """Measure the same network services on every way of doing I/O in Python."""


@main.command()
@click.option(
    "--models",
    type=Names("model", list(MODELS)),
    default=",".join(DEFAULT_MODELS),
    show_default=True,
    help="Also: " + ", ".join(name for name in MODELS if name not in DEFAULT_MODELS) + ".",
)
@click.option(
    "--workloads",
    type=Names("workload", list(WORKLOADS)),
    default=",".join(WORKLOADS),
    show_default=True,
)
@click.option(
    "--connections",
    type=Numbers(),
    default="64",
    show_default=True,
    help="For udp-echo client sockets, for chat members.",
)
@click.option("--rounds", type=click.IntRange(1, 1000), help="[default: 5; with --quick 1]")
@click.option("--duration", type=Seconds(), help="Of a window.  [default: 1; with --quick 0.5]")
@click.option("--size", type=click.IntRange(1), help="Bytes.  [default: 1000; for chat 100]")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of order and messages.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write the run there as JSON, after every cell; - for stdout.",
)
@click.option("--quick", is_flag=True, help="One round of 0.5 s: a look, not a result.")
def run(
    models: list[str],
    workloads: list[str],
    connections: list[int],
    rounds: int | None,
    duration: float | None,
    size: int | None,
    seed: int | None,
    json_path: str | None,
    quick: bool,
) -> None:
    """Measure models under workloads and print a table for each workload.

    Exit status 1 when a cell failed, 130 when interrupted; what was measured is shown.
    """
    for name in workloads:
        workload = WORKLOADS[name]
        if size is not None and not workload.smallest <= size <= workload.largest:
            raise click.BadParameter(
                f"{size} does not suit {name}, whose messages have {workload.smallest} to "
                f"{workload.largest} bytes.",
                param_hint="'--size'",
            )
    cores = sorted(os.sched_getaffinity(0))
    pinned = len(cores) > 1
    settings = Settings(
        models=models,
        workloads=workloads,
        connections=connections,
        rounds=rounds or (1 if quick else 5),
        duration_s=duration or (0.5 if quick else 1.0),
        warmup_s=0.3,
        sizes={name: size or WORKLOADS[name].size for name in workloads},
        seed=random.SystemRandom().getrandbits(32) if seed is None else seed,
        server_core=cores[0] if pinned else None,
        driver_core=cores[-1] if pinned else None,
    )
    keep = _keeper(json_path)
    signal.signal(signal.SIGTERM, _interrupt)
    with watching() as watch:
        result = execute(settings, watch, keep)
    keep(result)
    if json_path == "-":
        sys.stdout.buffer.write(_json(result) + b"\n")
    _print(partial(show, result), stderr=json_path == "-")
    if result.interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(FAILED if any(cell.verdict == "failed" for cell in result.cells) else 0)


@main.command("list")
def list_cells() -> None:
    """Show every model and workload, and what each cell means."""
    from compare.report.catalogue import show_catalogue

    _print(show_catalogue)


def _print(shown: Callable[[Console], None], *, stderr: bool = False) -> None:
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


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _json(run: Run) -> bytes:
    return msgspec.json.format(msgspec.json.encode(run), indent=1)


def _keeper(path: str | None) -> Any:
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

    def keep(run: Run) -> None:
        part.write_bytes(_json(run))
        part.replace(target)

    return keep
