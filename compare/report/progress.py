"""How far a run is, on stderr: a table that fills on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import rich.live
from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.text import Text

from compare.measure.progress import Progress
from compare.report.terminal import WIDE, table_of
from compare.report.words import three
from compare.results.naming import short, title
from compare.results.records import Run

DRAWN_EVERY_S = 0.5
SPARKS = "▁▂▃▄▅▆▇█"
SPARK_WIDTH = 24


class Plain:
    """Lines, where there is no terminal: one for each cell that is done."""

    def watch(self, progress: Progress) -> None:
        _line(progress)

    def show(self, run: Run) -> None:
        """The lines have said it."""


class Live:
    """The table of the load under way as it fills, and below it what is being measured.

    Drawn at most twice a second: what draws takes CPU from what is being measured.
    """

    def __init__(self, console: Console) -> None:
        self._live = rich.live.Live(
            console=console, auto_refresh=False, transient=True, vertical_overflow="ellipsis"
        )
        self._began = time.monotonic()
        self._drawn = 0.0
        self._run: Run | None = None

    def __enter__(self) -> Live:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._live.stop()

    def show(self, run: Run) -> None:
        """Remember it for the next time that something is drawn."""
        self._run = run

    def watch(self, progress: Progress) -> None:
        if progress.said:
            self._live.console.print(progress.said, markup=False, highlight=False)
        now = time.monotonic()
        if now - self._drawn < DRAWN_EVERY_S and progress.finished is None:
            return
        self._drawn = now
        self._live.update(Group(*self._parts(progress, now)), refresh=True)

    def _parts(self, progress: Progress, now: float) -> Iterator[RenderableType]:
        key = progress.key
        cells = [] if self._run is None else self._run.cells
        mine = [each for each in cells if each.load == key.load]
        if mine:
            yield Text(title(key.load), "bold")
            ranked = [] if self._run is None else self._run.comparisons
            compared = [each for each in ranked if each.load == key.load]
            yield table_of(mine, compared, width=min(self._live.console.width, WIDE - 1))
        yield Text(f"{self._what(progress)}  {spark(progress.rates)}{self._rate(progress)}")
        share = progress.done / progress.total if progress.total else 0.0
        bar = ProgressBar(total=max(1, progress.total), completed=progress.done, width=30)
        left = (now - self._began) * (1 - share) / share if share else None
        words = "" if left is None else f"   {left // 60:.0f}:{left % 60:02.0f} left"
        yield Columns([bar, Text(f"{progress.done}/{progress.total}{words}")])

    def _what(self, progress: Progress) -> str:
        key = progress.key
        note = f"  {progress.note}" if progress.note else ""
        who = f"{progress.beside + 1} models" if progress.beside else key.model
        return f"round {progress.round}  {who} {short(key.load)}{note}"

    def _rate(self, progress: Progress) -> str:
        return f" {progress.rates[-1]:,.0f}/s" if progress.rates else ""


def spark(rates: Sequence[float]) -> str:
    """The last rates as bars of a character each, against the highest of them."""
    last = rates[-SPARK_WIDTH:]
    top = max(last, default=0.0)
    if top <= 0:
        return ""
    return "".join(SPARKS[min(7, max(0, int(rate / top * 7.999)))] for rate in last)


@contextmanager
def watching() -> Iterator[Plain | Live]:
    """A view of a run: its `watch` is for compare.measure.run, its `show` gets the run so far."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Plain()
        return
    with Live(console) as view:
        yield view


@contextmanager
def saying() -> Iterator[Callable[[str], None]]:
    """What says what is under way, in one line that is replaced; elsewhere nothing."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda text: None
        return
    try:
        yield lambda text: console.print(text.ljust(60), end="\r", highlight=False)
    finally:
        console.print(" " * 60, end="\r")


def _line(progress: Progress) -> None:
    if progress.said:
        sys.stderr.write(f"{ascii(progress.said)[1:-1]}\n")
    if progress.finished:
        rate = progress.finished.ops_per_s
        result = f"{rate:,.0f}/s" if rate >= 100 else f"{three(rate)}/s"
    elif progress.failure:
        result = ascii(progress.failure)[1:-1]
    else:
        return
    key = progress.key
    sys.stderr.write(
        f"[{progress.done}/{progress.total}] round {progress.round} {key.model} "
        f"{short(key.load)}: {result}\n"
    )
