"""What operations are made of, in words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from compare.results.records import Cell

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
