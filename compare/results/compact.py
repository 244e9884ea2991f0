"""A run as JSON that is small enough for a repository."""

from __future__ import annotations

from typing import Any

import msgspec

from compare.results.records import Cell, Run

DIGITS = 6  # of every figure: more than any interval is worth


def compact(run: Run) -> bytes:
    """One line with the same figures, intervals and comparisons, without histograms, traces and
    slices, and without what is as it is where nothing is said of it.

    It can be shown, exported and held against another run. Rates are then those of whole rounds
    where they are paired anew; the comparisons that it holds were made with the slices.
    """
    small = msgspec.structs.replace(run, cells=[_without(cell) for cell in run.cells])
    return msgspec.json.encode(_bare(small) | {"format": run.format}) + b"\n"


def _without(cell: Cell) -> Cell:
    rounds = [msgspec.structs.replace(each, slices=[]) for each in cell.rounds]
    return msgspec.structs.replace(cell, rounds=rounds, latency_hdr=None, trace=None)


def _bare(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, msgspec.Struct):
        fields = msgspec.structs.fields(value)
        said = {each.encode_name: (each, getattr(value, each.name)) for each in fields}
        return {name: _bare(one) for name, (each, one) in said.items() if not _is_usual(each, one)}
    if isinstance(value, dict):
        return {name: _bare(one) for name, one in value.items()}
    return [_bare(one) for one in value] if isinstance(value, list | tuple) else value


def _is_usual(field: msgspec.structs.FieldInfo, value: Any) -> bool:
    if field.default_factory is not msgspec.NODEFAULT:
        return bool(value == field.default_factory())
    return field.default is not msgspec.NODEFAULT and bool(value == field.default)
