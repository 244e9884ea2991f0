"""How far a run is, on stderr: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bar

from compare.run import Progress


@contextmanager
def watching() -> Iterator[Callable[[Progress], None]]:
    """A watcher for `compare.run.execute`, drawing only when it is told something.

    A bar that refreshed itself would take CPU from what is being measured.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        yield _line
        return
    bar = Bar(
        TextColumn("{task.description:<34}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeRemainingColumn(elapsed_when_finished=True),
        console=console,
        transient=True,
        auto_refresh=False,
    )
    with bar:
        task = bar.add_task("")

        def watch(progress: Progress) -> None:
            key = progress.key
            bar.update(
                task,
                completed=progress.done,
                total=progress.total,
                description=progress.note
                or f"round {progress.round}  {key.model} {key.workload} {key.connections}",
            )
            bar.refresh()

        yield watch


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
    if progress.finished:
        result = f"{progress.finished.ops_per_s:,.0f}/s"
    elif progress.failure:
        result = f"failed: {ascii(progress.failure)[1:-1]}"
    else:
        return
    key = progress.key
    sys.stderr.write(
        f"[{progress.done}/{progress.total}] round {progress.round} {key.model} {key.workload} "
        f"{key.connections}: {result}\n"
    )
