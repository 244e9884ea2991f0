"""Two runs of the same matrix: what is worse, what is not, and what cannot be told.

A machine is not equally fast on two days, nor in two minutes, and all cells of a run share that.
So each cell is held against others of its own run, round by round, which were measured within the
same seconds: what they have in common is divided out. The others are the reference servers, whose
code is not under test, where both runs have them; else all cells. Then what all have in common
may be the machine or all of the code, and is told apart from what one cell has alone.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from compare.models.matrix import MODELS
from compare.results.naming import short
from compare.results.ranking import UNRANKED
from compare.results.records import Cell, Key, Load, Round, Run
from compare.results.statistics import ratio_between

FORMAT = "compare-diff/1"
ENOUGH = 3  # other cells, for their median to be the machine's doing and not that of one of them
MOST_ROUNDS = 100  # worth advising
FEWER = 0.01  # of the connections, that are served no more: less is chance
ALLOWED = 0.05  # of whole comparisons, that may err anywhere

Metric = Literal["ops_per_s", "p99", "cpu"]
Answer = Literal["better", "same", "not worse", "worse", "unclear"]
SAME = ("same", "not worse")
Control = Literal["reference servers", "other cells", "nothing"]


class Quantity(msgspec.Struct, frozen=True):
    """A metric: in words, of one round, and whether more of it is better."""

    words: str
    of: Callable[[Round], float | None]
    more_is_better: bool


METRICS: dict[Metric, Quantity] = {
    "ops_per_s": Quantity("operations per second", lambda each: each.ops_per_s, True),
    "p99": Quantity("p99 latency", lambda each: each.latency_us.p99, False),
    "cpu": Quantity("server CPU per operation", lambda each: each.server.cpu_us_per_op, False),
}


class Incomparable(Exception):  # noqa: N818  no error: an answer
    """The runs were not made in the same way; the message says in what they differ."""


class Change(Load, frozen=True, kw_only=True):
    """One metric of one cell. base, new: medians over rounds, as they were measured.

    ratio: new divided by base, what the others have in common divided out, with its 95 % interval.
    certain: the same interval, so wide that all of a comparison hold together.
    """

    model: str
    metric: Metric
    base: float
    new: float
    ratio: float
    ratio_ci95: tuple[float, float] | None
    certain: tuple[float, float] | None
    answer: Answer = "unclear"

    @property
    def cell(self) -> str:
        return name_of(Key(self.model, self.load))


class Diff(msgspec.Struct, frozen=True, kw_only=True):
    """The answer, and what it was made of.

    forced: in what the runs differ, where they were compared all the same. control: what cells
    were held against; reference servers are that and nothing else. drift: by metric, what these
    have in common, new divided by base.
    broken: cells that fail in new and did not in base, and how. missing: cells that were not
    measured in both. advice: what to run to be sure, where something is unclear.
    """

    format: str = FORMAT
    answer: Answer
    threshold: float
    forced: list[str]
    control: Control
    drift: dict[Metric, float]
    changes: list[Change]
    broken: dict[str, str]
    missing: list[str]
    advice: list[str]


def name_of(key: Key) -> str:
    """A cell, for a person."""
    return f"{key.model} {short(key.load)}"


def differences(base: Run, new: Run) -> list[str]:
    """In what the two were not made alike, in words; empty where they can be compared."""
    found = []
    for name in ("cpu", "cores", "memory_mb", "kernel", "python", "uvloop"):
        ours, theirs = getattr(base.machine, name), getattr(new.machine, name)
        if ours != theirs:
            found.append(f"machine: {name} {ours} and {theirs}")
    for name in (
        *("duration_s", "slice_s", "alone", "warmup_s", "sizes", "rates", "shares", "slo_us"),
        *("ramp", "arrivals", "close", "drivers"),
    ):
        ours, theirs = getattr(base.settings, name), getattr(new.settings, name)
        if ours != theirs:
            found.append(f"settings: {name} {ours} and {theirs}")
    libraries = [_libraries(run) for run in (base, new)]
    if all(libraries) and libraries[0] != libraries[1]:
        found.append(f"TLS: {libraries[0]} and {libraries[1]}")
    pinned = [len(run.settings.server_cores) for run in (base, new)]
    if pinned[0] != pinned[1]:
        found.append(f"settings: {pinned[0] or 'any'} and {pinned[1] or 'any'} cores of a server")
    drivers = [sum(each.role == "driver" for each in run.hosts) for run in (base, new)]
    if drivers[0] != drivers[1]:
        found.append(f"hosts: {drivers[0] or 'no'} and {drivers[1] or 'no'} drivers of a cluster")
    return found


def compare(
    base: Run,
    new: Run,
    *,
    threshold: float = 0.05,
    metrics: Sequence[Metric] = tuple(METRICS),
    force: bool = False,
) -> Diff:
    """Hold `new` against `base`; worse is what is so by `threshold`, as a share.

    Raises Incomparable, unless `force`.
    """
    forced = differences(base, new)
    if forced and not force:
        raise Incomparable("; ".join(forced))
    before, after = ({cell.key: cell for cell in run.cells} for run in (base, new))
    both = [key for key in before if key in after]
    able = [key for key in both if _able(before[key]) and _able(after[key])]
    broken = {name_of(key): words for key in both if (words := _broken(before[key], after[key]))}
    control, others = _control(able)
    changes: list[Change] = []
    drift: dict[Metric, float] = {}
    for metric in metrics:
        old, fresh = (_logs(cells, able, metric) for cells in (before, after))
        known = [key for key in able if key in old and key in fresh]
        mine = [key for key in others if key in known]
        judged = [key for key in known if control != "reference servers" or key not in mine]
        many = len(judged) * len(metrics)
        changes += [_change(key, metric, old, fresh, mine, many) for key in judged]
        if mine:
            moved = (statistics.fmean(fresh[key]) - statistics.fmean(old[key]) for key in mine)
            drift[metric] = math.exp(statistics.median(moved))
    changes = _judged(changes, threshold)
    advice = _advice(base, new, changes, control, drift, threshold)
    return Diff(
        answer="worse"
        if broken or any(each.answer == "worse" for each in changes)
        else "unclear"
        if advice or not changes
        else "same",
        threshold=threshold,
        forced=forced,
        control=control,
        drift=drift,
        changes=changes,
        broken=broken,
        missing=[
            name_of(key)
            for key in dict.fromkeys([*before, *after])
            if key not in able and name_of(key) not in broken
        ],
        advice=advice,
    )


def _able(cell: Cell) -> bool:
    return cell.verdict not in UNRANKED and bool(cell.ops_per_s)


def _broken(before: Cell, after: Cell) -> str | None:
    """How a cell that worked does not work any more."""
    if before.verdict in UNRANKED:
        return None
    if after.verdict in ("failed", "errors"):
        return f"{after.verdict}: {'; '.join(after.reasons)}"
    served = [each.counts.served / max(1, each.counts.attempted) for each in (before, after)]
    if served[1] < served[0] - FEWER:
        return (
            f"served {after.counts.served:,} of {after.counts.attempted:,}; {served[0]:.0%} before"
        )
    return None


Logs = dict[Key, list[float]]  # of one metric, by cell and round


def _logs(cells: Mapping[Key, Cell], keys: Sequence[Key], metric: Metric) -> Logs:
    """Of the cells that have it in every round."""
    logs: Logs = {}
    for key in keys:
        values = [METRICS[metric].of(each) for each in cells[key].rounds]
        known = [math.log(value) for value in values if value and value > 0]
        if known and len(known) == len(values):
            logs[key] = known
    return logs


def _control(able: Sequence[Key]) -> tuple[Control, list[Key]]:
    """What cells are held against."""
    references = [key for key in able if key.model in MODELS and MODELS[key.model].reference]
    if references:
        return "reference servers", references
    if len(able) > ENOUGH:
        return "other cells", list(able)
    return "nothing", []


def _libraries(run: Run) -> str:
    """Of TLS, and the ciphers that were agreed on; empty over plain TCP."""
    agreed = {
        f"{each.library} with {each.cipher}" for cell in run.cells if (each := cell.handshakes)
    }
    return ", ".join(sorted(agreed))


def _change(
    key: Key, metric: Metric, old: Logs, fresh: Logs, others: Sequence[Key], many: int
) -> Change:
    """many: changes that are looked at, of which none is to be said wrongly (Bonferroni)."""
    others = [each for each in others if each != key]
    usual = {each: statistics.fmean([*old[each], *fresh[each]]) for each in others}
    base, new = (_apart(logs, key, usual) for logs in (old, fresh))
    estimate = ratio_between(new, base)
    return Change(
        model=key.model,
        **msgspec.structs.asdict(key.load),
        metric=metric,
        base=math.exp(statistics.median(old[key])),
        new=math.exp(statistics.median(fresh[key])),
        ratio=estimate.value,
        ratio_ci95=estimate.interval,
        certain=ratio_between(new, base, 1 - ALLOWED / many).interval,
    )


def _apart(logs: Logs, key: Key, usual: Mapping[Key, float]) -> list[float]:
    """A cell's rounds, less what the others did beside their usual in the same round."""
    apart = []
    for number, value in enumerate(logs[key]):
        moved = [logs[each][number] - usual[each] for each in usual if number < len(logs[each])]
        apart.append(value - (statistics.median(moved) if moved else 0.0))
    return apart


def _worsening(change: Change) -> tuple[float, float, float]:
    """How many times worse it became, and between how many times it may have, by the interval."""
    low, high = change.ratio_ci95 or (0.0, math.inf)
    if METRICS[change.metric].more_is_better:
        return 1 / change.ratio, 1 / high, 1 / low if low else math.inf
    return change.ratio, low, high


def _judged(changes: Sequence[Change], threshold: float) -> list[Change]:
    """Worse and better are said so that 95 % of whole comparisons err nowhere."""
    judged = []
    for each in changes:
        low, high = each.certain or (0.0, math.inf)
        real = not low <= 1 <= high
        worse, at_least, at_most = _worsening(each)
        answer: Answer = "unclear"
        if real and worse >= 1 + threshold:
            answer = "worse"
        elif real and worse <= 1 / (1 + threshold):
            answer = "better"
        elif at_most < 1 + threshold:
            answer = "same" if at_least > 1 / (1 + threshold) else "not worse"
        judged.append(msgspec.structs.replace(each, answer=answer))
    return judged


def _advice(
    base: Run,
    new: Run,
    changes: Sequence[Change],
    control: Control,
    drift: Mapping[Metric, float],
    threshold: float,
) -> list[str]:
    """What to run where something is unclear; empty where nothing is."""
    advice = []
    unclear = [each for each in changes if each.answer == "unclear"]
    if unclear:
        advice.append(_more(base, new, unclear, threshold))
    for metric, moved in drift.items():
        worse = 1 / moved if METRICS[metric].more_is_better else moved
        if control == "other cells" and worse >= 1 + threshold:
            advice.append(
                f"{METRICS[metric].words} of all cells together moved by {moved - 1:+.0%}: the "
                "machine, or all of the code; with bare-epoll, bare-asyncio or bare-uvloop among "
                "--models, in both, it can be told"
            )
    if control == "nothing" and any(each.answer not in SAME for each in changes):
        advice.append(
            "what the machine did cannot be told from what the server did: put bare-epoll beside "
            "it, in both"
        )
    return advice


def _more(base: Run, new: Run, unclear: Sequence[Change], threshold: float) -> str:
    """What would tell: more rounds; where it ended before all were made, longer ones."""
    keys = {Key(each.model, each.load) for each in unclear}
    cells = [(run, cell) for run in (base, new) for cell in run.cells if cell.key in keys]
    made = min(len(cell.rounds) for _, cell in cells)
    early = any(
        not run.interrupted and (run.settings.precise or len(cell.rounds) < run.settings.rounds)
        for run, cell in cells
    )
    allowed = math.log(1 + threshold)
    widths = [
        (math.log(each.ratio_ci95[1]) - math.log(each.ratio_ci95[0])) / 2
        for each in unclear
        if each.ratio_ci95
    ]
    needed = made + 1
    if widths:
        needed = max(needed, math.ceil(made * (statistics.median(widths) / allowed) ** 2))
    if needed > MOST_ROUNDS:
        return (
            "run both again one right after the other, on a quieter machine (compare doctor); or "
            f"ask for less by a larger --threshold than {100 * threshold:.3g}%"
        )
    if early:
        longer = math.ceil(10 * base.settings.duration_s * needed / made) / 10
        return (
            f"run both again with --duration {longer:g}: after {made} rounds the models were told "
            "from each other, and more would not be made"
        )
    return f"run both again with --rounds {needed}: {made} do not tell this much"
