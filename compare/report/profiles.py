"""What operations are made of, and where CPU time goes, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compare.results.frames import functions_of
from compare.results.profile import Frames
from compare.results.records import Cell

MOST_NAMED = 5  # functions of a cell
LEAST_NAMED = 0.02  # of CPU time
ENOUGH = 0.9  # of the time that it had a core
LEAST = 0.01  # of a call for each operation, below which it is not named


def calls_in_words(cells: Iterable[Cell]) -> Iterator[str]:
    """A sentence for each cell whose system calls were counted, or were to be."""
    for cell in cells:
        if cell.profile is None:
            continue
        if cell.profile.why_not:
            yield f"{cell.model}: its system calls are not known: {cell.profile.why_not}."
            continue
        total = sum(each.per_op for each in cell.profile.calls)
        named = [
            f"{each.name} {each.per_op:.2f}"
            + (f" ({each.errors_per_op:.2f} in vain)" if each.errors_per_op >= LEAST else "")
            for each in cell.profile.calls
            if each.per_op >= LEAST
        ]
        yield (
            f"{cell.model} makes {total:.2f} system calls for an operation: {', '.join(named)} "
            f"(of {cell.profile.operations:,} operations under strace)."
        )


def frames_in_words(cells: Iterable[Cell]) -> Iterator[str]:
    """A sentence for each cell whose stacks were sampled, or were to be."""
    for cell in cells:
        if cell.profile is None or (frames := cell.profile.frames) is None:
            continue
        if frames.why_not:
            yield f"{cell.model}: where its CPU goes is not known: {frames.why_not}."
            continue
        yield f"{cell.model} spends its CPU in {', '.join(_spent(frames))} ({sampled(frames)})."


def sampled(frames: Frames) -> str:
    """How far the shares are to be believed."""
    words = f"of {frames.samples:,} samples by py-spy"
    if not frames.native:
        words += ", of Python alone"
    if frames.had_cpu < ENOUGH:
        words += f"; for {1 - frames.had_cpu:.0%} of that time it was waiting for its core"
    return words


def _spent(frames: Frames) -> Iterator[str]:
    for each in functions_of(frames.frames)[:MOST_NAMED]:
        if each.share < LEAST_NAMED:
            return
        on = [(share, name) for name, share in each.on.items() if share >= LEAST_NAMED]
        of = ", ".join(f"{name} {100 * share:.0f}" for share, name in sorted(on, reverse=True)[:2])
        yield f"{each.name} {100 * each.share:.0f} %" + (f" ({of})" if of else "")
