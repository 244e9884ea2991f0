"""A run that is small enough for a repository."""

from __future__ import annotations

import msgspec

from compare.results.records import Cell, Run


def compact(run: Run) -> Run:
    """The same figures, intervals and comparisons, without histograms, traces and slices.

    What is left can be shown, exported and held against another run. Rates are then those of whole
    rounds where they are paired anew; the comparisons that it holds were made with the slices.
    """
    return msgspec.structs.replace(run, cells=[_compact(cell) for cell in run.cells])


def _compact(cell: Cell) -> Cell:
    rounds = [msgspec.structs.replace(each, slices=[]) for each in cell.rounds]
    return msgspec.structs.replace(cell, rounds=rounds, latency_hdr=None, trace=None)
