"""What a run is to keep, such as `p99<5ms` or `cpu<=1.05*base`, and whether it does."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from compare.models import units
from compare.results.ranking import NO_TAIL, UNRANKED, paired
from compare.results.records import Cell, Key, Metric, Round
from compare.results.statistics import Estimate, mean_of, ratio_of

Answer = Literal["kept", "broken", "unclear"]

METRICS: dict[str, tuple[Callable[[Round], float | None], Callable[[str], float]]] = {
    "ops": (lambda each: each.ops_per_s, units.amount),
    "cpu": (lambda each: each.server.cpu_us_per_op, units.time_us),
    "p50": (lambda each: each.latency_us.p50, units.time_us),
    "p90": (lambda each: each.latency_us.p90, units.time_us),
    "p99": (lambda each: each.latency_us.p99, units.time_us),
    "p99.9": (lambda each: each.latency_us.p99_9, units.time_us),
    "memory": (
        lambda each: None if each.server.pss_kb is None else each.server.pss_kb * 1024.0,
        lambda text: float(units.size_bytes(text)),
    ),
}
LATENCIES = {"p50", "p90", "p99", "p99.9"}
PAIRED: dict[str, Metric] = {"ops": "ops_per_s", "cpu": "cpu_us_per_op", "p99": "p99_us"}
_FORM = re.compile(r"\s*([\w.]+)\s*(<=|<|>=|>)\s*(?:([\d.]+)\s*\*\s*)?(\S.*?)\s*")


class Requirement(NamedTuple):
    """A metric and a bound: a value, or so many times that of a model of the same load."""

    text: str
    metric: str
    at_most: bool
    bound: float
    base: str | None

    @classmethod
    def parse(cls, text: str, models: Sequence[str]) -> Requirement:
        """Raises ValueError, with a line for a person."""
        match = _FORM.fullmatch(text)
        if match is None or match[1] not in METRICS:
            raise ValueError(
                f"{text!r} is not a metric ({', '.join(METRICS)}), one of < <= > >=, and a value "
                "or a model, such as 'p99<5ms' or 'cpu<=1.05*epoll'"
            )
        metric, sign, factor, rest = match.groups()
        at_most = sign.startswith("<")
        if rest in models:
            try:
                return cls(text, metric, at_most, units.amount(factor or "1"), rest)
            except ValueError:
                raise ValueError(f"{text!r}: {factor!r} is no number") from None
        if factor is not None:
            raise ValueError(f"{text!r}: there is no model {rest!r}; there are {', '.join(models)}")
        try:
            return cls(text, metric, at_most, METRICS[metric][1](rest), None)
        except ValueError as error:
            raise ValueError(f"{text!r}: {error}, nor is it a model of this run") from None


class Verdict(NamedTuple):
    """Whether a cell keeps a requirement, beyond doubt or not; `found` with its interval."""

    requirement: Requirement
    key: Key
    answer: Answer
    found: Estimate | None


def check(requirements: Sequence[Requirement], cells: Sequence[Cell]) -> list[Verdict]:
    """Each requirement on each cell that it speaks of; a base is not held against itself."""
    return [
        _check(each, cell, cells)
        for each in requirements
        for cell in cells
        if cell.verdict != "unsupported" and cell.model != each.base
    ]


def _check(requirement: Requirement, cell: Cell, cells: Sequence[Cell]) -> Verdict:
    if cell.verdict in UNRANKED:
        return Verdict(requirement, cell.key, "broken", None)
    found = _found(requirement, cell, cells)
    if _has_no_tail(requirement, cell):
        # Behind what was due latencies grow for as long as one looks; late sends are the driver's.
        unmet = "rate-unmet" in cell.verdicts
        return Verdict(requirement, cell.key, "broken" if unmet else "unclear", found)
    answer: Answer = "unclear"
    if found is not None and found.interval is not None:
        low, high = found.interval
        sure, never = (high, low) if requirement.at_most else (-low, -high)
        bound = requirement.bound if requirement.at_most else -requirement.bound
        answer = "kept" if sure <= bound else "broken" if never > bound else "unclear"
    return Verdict(requirement, cell.key, answer, found)


def _has_no_tail(requirement: Requirement, cell: Cell) -> bool:
    """Whether it is about latencies of an open loop that are not the server's, or not the end."""
    return bool(requirement.metric in LATENCIES and cell.pace and NO_TAIL & {*cell.verdicts})


def _found(requirement: Requirement, cell: Cell, cells: Sequence[Cell]) -> Estimate | None:
    of, _ = METRICS[requirement.metric]
    if requirement.base is None:
        values = [value for each in cell.rounds if (value := of(each)) is not None]
        return mean_of(values) if values and len(values) == len(cell.rounds) else None
    beside = [
        each
        for each in cells
        if each.model == requirement.base
        and each.verdict not in UNRANKED
        and each.load == cell.load
        and not _has_no_tail(requirement, each)
    ]
    if not beside:
        return None
    if requirement.metric in PAIRED:
        logs = paired(cell, beside[0], PAIRED[requirement.metric])
    else:
        theirs = {each.number: of(each) for each in beside[0].rounds}
        both = [(of(each), theirs.get(each.number)) for each in cell.rounds]
        logs = [math.log(ours / base) for ours, base in both if ours and base]
    return ratio_of(logs) if logs else None
