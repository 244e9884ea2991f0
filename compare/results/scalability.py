"""What more cores gain: efficiency, and Gunther's Universal Scalability Law.

    X(N) = X1 N / (1 + contention (N - 1) + coherency N (N - 1))

Contention (sigma) is the share of an operation that only one core at a time can do; with nothing
else beside it this is Amdahl's law. Coherency (kappa) is what each pair of cores takes to agree on
what both use: with it there is a number of cores beyond which more of them do less (Gunther, A
simple capacity model of massively parallel transaction systems, CMG 1993; Guerrilla Capacity
Planning, 2007, chapters 4 to 6).
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec

from compare.results.ranking import UNRANKED
from compare.results.records import Cell, Constant, Load, Rung, Scalability
from compare.results.statistics import mean_of, ratio_of

BOTH = 3  # rungs, from which on contention and coherency can be told apart
# Contention, coherency: what is taken for more than 0. The simplest first, which wins among equals.
USED_OF_TWO = ((False, False), (True, False))
USED = (*USED_OF_TWO, (False, True), (True, True))
DEPENDENT = 1e-12
FORETOLD = 100  # times the most cores: what more of them do nobody foretells
# Not by the server alone, and what it means for the law.
SHARED = {
    "not-pinned": "the driver had a part of one of them, so that the server had less than so many "
    "and contention seems more than it is",
    "driver-bound": "the driver was the limit, so that the law is the driver's, too: --drivers "
    "puts the load on from several",
    "both-full": "the driver was full, too, so that the law may be the driver's: --drivers puts "
    "the load on from several",
    "unbound": "nobody was at its limit, so that the law is of waiting: more --connections",
}


class Law(NamedTuple):
    """one: operations a second of one core."""

    one: float
    contention: float = 0.0
    coherency: float = 0.0

    def at(self, cores: float) -> float:
        """Operations a second; infinite where no number of them is foretold."""
        each = 1 + self.contention * (cores - 1) + self.coherency * cores * (cores - 1)
        return self.one * cores / each if each > 0 else math.inf

    @property
    def peak(self) -> float | None:
        """Cores beyond which more do less; None where there is no such number."""
        if self.coherency <= 0:
            return None
        return math.sqrt(max(0.0, 1 - self.contention) / self.coherency) or None


def fit(points: Sequence[tuple[int, float]]) -> Law:
    """The law through numbers of cores and operations a second, by least squares of relative
    errors; neither constant is below 0.

    N / X is linear in what is looked for. Of two numbers of cores coherency is taken for 0. Raises
    ValueError where there are fewer.
    """
    many = len({cores for cores, _ in points})
    if many < 2:
        raise ValueError(f"{points!r}: a law takes two numbers of cores")
    # Whatever is best and allowed is best for one of these, where nothing is forbidden.
    found = [_solve(points, used) for used in (USED if many >= BOTH else USED_OF_TWO)]
    allowed = [each for each in found if each.one > 0 and min(each[1:]) >= 0]
    return min(allowed, key=lambda law: _misfit(law, points))


def _misfit(law: Law, points: Sequence[tuple[int, float]]) -> float:
    return sum((rate / law.at(cores) - 1) ** 2 for cores, rate in points)


def _solve(points: Sequence[tuple[int, float]], used: tuple[bool, bool]) -> Law:
    """With those constants, whatever their sign; `one` is not above 0 where there is no such law.

    N / X = 1 / one + contention / one (N - 1) + ..., divided by N / X, so that errors are relative.
    """
    terms = [
        [rate / cores for cores, rate in points],
        [rate / cores * (cores - 1) for cores, rate in points],
        [rate * (cores - 1) for cores, rate in points],
    ]
    mask = (True, *used)
    solved = iter(_least_squares(list(itertools.compress(terms, mask)), [1.0] * len(points)))
    one, contention, coherency = (next(solved) if each else 0.0 for each in mask)
    return Law(1 / one, contention / one, coherency / one) if one else Law(0.0)


def _least_squares(columns: Sequence[Sequence[float]], wanted: Sequence[float]) -> list[float]:
    """How much of each column comes nearest to `wanted`: 0 of one that those before it make up.

    By modified Gram and Schmidt (Bjorck, BIT 7, 1967).
    """
    units: list[list[float]] = []
    shares: list[list[float]] = []  # of each column: of the units before it, and its length
    for column in columns:
        rest, mine = list(column), []
        for unit in units:
            rest = _less(rest, unit, share := _dot(unit, rest))
            mine.append(share)
        length = math.hypot(*rest)
        if length <= DEPENDENT * math.hypot(*column):
            length = 0.0
        units.append([value / length if length else 0.0 for value in rest])
        shares.append([*mine, length])
    found = [0.0] * len(columns)
    left = list(wanted)
    parts = []
    for unit in units:
        parts.append(share := _dot(unit, left))
        left = _less(left, unit, share)
    for place in reversed(range(len(columns))):
        later = sum(shares[each][place] * found[each] for each in range(place + 1, len(columns)))
        if length := shares[place][place]:
            found[place] = (parts[place] - later) / length
    return found


def _dot(one: Sequence[float], other: Sequence[float]) -> float:
    return math.fsum(a * b for a, b in zip(one, other, strict=True))


def _less(values: Sequence[float], unit: Sequence[float], share: float) -> list[float]:
    return [value - share * each for value, each in zip(values, unit, strict=True)]


def scalabilities(cells: Iterable[Cell]) -> list[Scalability]:
    """Of each model under each load that was put on several numbers of cores, in a closed loop."""
    ladders: dict[tuple[str, Load], list[Cell]] = {}
    for cell in cells:
        if cell.cores and cell.loop == "closed" and cell.ops_per_s and cell.verdict not in UNRANKED:
            below = msgspec.structs.replace(cell.load, cores=0)
            ladders.setdefault((cell.model, below), []).append(cell)
    return [
        _of(model, load, sorted(ladder, key=lambda cell: cell.cores))
        for (model, load), ladder in ladders.items()
        if len({cell.cores for cell in ladder}) > 1
    ]


def _of(model: str, load: Load, ladder: Sequence[Cell]) -> Scalability:
    law = fit([(cell.cores, cell.ops_per_s or 0.0) for cell in ladder])
    by_round = _by_round(ladder)
    laws = [_solve(each, (True, len(ladder) >= BOTH)) for each in by_round]
    if any(each.one <= 0 for each in laws):  # too far from any law to tell how far
        laws = []
    contention = _constant(law.contention, [each.contention for each in laws])
    coherency = _constant(law.coherency, [each.coherency for each in laws])
    peak = law.peak if coherency.ci95 is None or coherency.ci95[0] > 0 else None
    return Scalability(
        **msgspec.structs.asdict(load),
        model=model,
        rungs=[_rung(cell, place, ladder[0], by_round) for place, cell in enumerate(ladder)],
        one_ops_per_s=law.one,
        contention=contention,
        coherency=coherency if len(ladder) >= BOTH else None,
        peak_cores=peak if peak and peak <= FORETOLD * ladder[-1].cores else None,
        notes=list(_notes(ladder)),
    )


def _by_round(ladder: Sequence[Cell]) -> list[list[tuple[int, float]]]:
    """The rungs of each round that all of them had: in the same minutes, so that what slows the
    machine down for longer slows all of them down.
    """
    rates = [
        {each.number: each.ops_per_s for each in cell.rounds if each.ops_per_s} for cell in ladder
    ]
    common = sorted(set.intersection(*map(set, rates)))
    return [
        [(cell.cores, known[number]) for cell, known in zip(ladder, rates, strict=True)]
        for number in common
    ]


def _constant(value: float, of_rounds: Sequence[float]) -> Constant:
    """With its interval over rounds, by Student's t, of what can be: nothing below 0.

    That of a round may be below 0 by chance, or the interval would never reach down to it.
    """
    interval = mean_of(of_rounds).interval if of_rounds else None
    if interval is None:
        return Constant(value=value)
    low, high = (max(0.0, end) for end in interval)
    return Constant(value=value, ci95=(min(low, value), max(high, value)))


def _rung(
    cell: Cell, place: int, first: Cell, by_round: Sequence[Sequence[tuple[int, float]]]
) -> Rung:
    def efficiency(low: tuple[int, float], mine: tuple[int, float]) -> float:
        return mine[1] / low[1] * low[0] / mine[0]

    logs = [math.log(efficiency(each[0], each[place])) for each in by_round]
    return Rung(
        cores=cell.cores,
        ops_per_s=cell.ops_per_s or 0.0,
        cpu_us_per_op=cell.server.cpu_us_per_op,
        efficiency=efficiency(
            (first.cores, first.ops_per_s or 0.0), (cell.cores, cell.ops_per_s or 0.0)
        ),
        efficiency_ci95=ratio_of(logs).interval if logs and place else None,
    )


def _notes(ladder: Sequence[Cell]) -> Iterable[str]:
    for verdict, words in SHARED.items():
        cores = [cell.cores for cell in ladder if verdict in cell.verdicts]
        if cores:
            on = f"{', '.join(map(str, cores))} core{'' if cores == [1] else 's'}"
            yield f"on {on} {words}"
    if len(ladder) < BOTH:
        yield (
            "two numbers of cores tell contention only, as if nothing else kept them from gaining "
            "(Amdahl's law): three and more tell coherency from it"
        )
