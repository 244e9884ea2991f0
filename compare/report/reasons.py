"""What is to be said of cells besides their figures: of several in the same words once."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from compare.results.records import Cell

_NUMBER = re.compile(r"\d(?:[\d.,]*\d)?")


def reasons_of(cells: Iterable[Cell]) -> Iterator[str]:
    """Each reason once, behind the models that it is said of.

    Reasons that differ in figures alone are one, with the least and the most of each.
    """
    alike: dict[str, dict[str, list[str]]] = {}
    for cell in cells:
        for reason in cell.reasons:
            found = alike.setdefault(_NUMBER.sub("#", reason), {})
            found.setdefault(cell.model, []).append(reason)
    for found in alike.values():
        said = [reason for reasons in found.values() for reason in reasons]
        yield f"{listed(list(found))}: {_merged(said)}"


def listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _merged(reasons: Sequence[str]) -> str:
    """Of reasons in the same words, one."""
    columns = zip(*(_NUMBER.findall(each) for each in reasons), strict=True)
    figures = (_range(set(column)) for column in columns)
    return _NUMBER.sub(lambda match: next(figures), reasons[0])


def _range(figures: set[str]) -> str:
    ordered = sorted(figures, key=lambda each: [float(part) for part in _parts(each)])
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]}-{ordered[-1]}"


def _parts(figure: str) -> list[str]:
    """For what is no number but looks like several, such as an address, those."""
    plain = figure.replace(",", "")
    return plain.split(".") if plain.count(".") > 1 else [plain]
