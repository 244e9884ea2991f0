"""The figures of docs/questions.md, each by its name there, of the runs of its question.

What they say is the project's own analysis: a ratio is of rounds that are paired, with its 95 %
interval. One that the runs do not hold raises LookupError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from compare.models.loops import LOOPS
from compare.report.breakeven import answer, rows_of
from compare.report.chart import chart
from compare.report.terminal import cost_text, rate_text
from compare.report.words import count, markdown_table, milliseconds, three
from compare.results.loss import lost_share
from compare.results.ranking import UNRANKED, paired
from compare.results.records import Cell, Run, Scalability
from compare.results.statistics import ratio_of
from compare.results.sweep import bytes_per_idle

Runs = Sequence[Run]
Facts = dict[str, str]
SPEED = "operations/s | server CPU for each | p99 | verdict"
ON_STREAMS = {"uvloop-streams"} | {
    each.name for each in LOOPS if "compare.contenders.asyncio_streams" in each.command
}


class Question(NamedTuple):
    """about_s: how long its runs take on two quiet cores. drawn: of its first run, a picture."""

    about_s: int
    facts: Callable[[Runs], Facts]
    drawn: bool = False


def plain(model: str) -> str:
    """Without the Python that it ran on."""
    return model.partition("@")[0]


def _labels(run: Run) -> list[str]:
    """The Pythons that it ran on, in their order."""
    return list(dict.fromkeys(cell.model.partition("@")[2] for cell in run.cells))


def cell_of(run: Run, model: str, **load: object) -> Cell:
    for cell in run.cells:
        same = all(getattr(cell, name) == value for name, value in load.items())
        if plain(cell.model) == model and same and cell.verdict not in ("failed", "unsupported"):
            return cell
    words = " ".join(f"{name}={value}" for name, value in load.items())
    raise LookupError(f"there is no figure of {model} {words}".rstrip())


def _number(value: float) -> str:
    return f"{value:.2f}" if value < 10 else three(value)


def _with_interval(value: float, interval: tuple[float, float] | None) -> str:
    if interval is None:
        return _number(value)
    return f"{_number(value)} [{_number(interval[0])}, {_number(interval[1])}]"


def times(ours: Cell, theirs: Cell) -> str:
    """How many times the server CPU of theirs an operation on ours takes."""
    logs = paired(ours, theirs, "cpu_us_per_op")
    if not logs:
        raise LookupError(f"{ours.model} and {theirs.model} share no round")
    return _with_interval(*ratio_of(logs))


def _table(heads: str, rows: Iterable[Sequence[str]], words: int = 1) -> str:
    """heads: with | between. words: how many columns are that, and not figures."""
    names = [each.strip() for each in heads.split("|")]
    head, _, *rest = markdown_table(names, rows, "")
    rule = ["---" if place < words else "--:" for place in range(len(names))]
    return "\n".join([head, f"|{'|'.join(rule)}|", *rest])


def _share(value: float) -> str:
    return "none" if not value else f"{100 * value:.2g} %"


# The questions.


def loop(runs: Runs) -> Facts:
    (run,) = runs
    facts = {
        name: times(cell_of(run, "asyncio", work_us=work), cell_of(run, "uvloop", work_us=work))
        for name, work in (("empty", 0.0), ("working", 100.0))
    }
    by_cost = [each for each in run.break_evens if each.metric == "cpu_us_per_op"]
    pairs = [each for each in by_cost if {each.model, each.to} == {"asyncio", "uvloop"}]
    if not pairs:
        raise LookupError("there is no break-even of asyncio and uvloop")
    heads, *rows = [list(map(_in_units, row)) for row in rows_of(by_cost)]
    return facts | {
        "added": _added(run),
        "from": _in_units(answer(pairs[0])),
        "table": _table(" | ".join(heads), rows),
    }


def _added(run: Run) -> str:
    """The least and the most that a message costs asyncio beyond uvloop, at any work."""
    works = {cell.work_us for cell in run.cells}
    more = [
        _cost(cell_of(run, "asyncio", work_us=work)) - _cost(cell_of(run, "uvloop", work_us=work))
        for work in works
    ]
    return f"{min(more):.1f} to {max(more):.1f} µs"


def _cost(cell: Cell) -> float:
    if cell.server.cpu_us_per_op is None:
        raise LookupError(f"there is no CPU time of {cell.model}")
    return cell.server.cpu_us_per_op


def _in_units(text: str) -> str:
    """As one writes it, of what is written as it is typed: 20us."""
    return re.sub(r"(?<=\d)us\b", " µs", re.sub(r"(?<=\d)ms\b", " ms", text))


def threads(runs: Runs) -> Facts:
    long, short = runs
    facts = {
        name: times(cell_of(run, model), cell_of(run, "asyncio"))
        for name, run, model in (
            ("long", long, "threaded"),
            ("short", short, "threaded"),
            ("pool", short, "threadpool"),
        )
    }
    rows = [
        [cell.model, cell.workload, *_speed(cell)]
        for run in runs
        for cell in run.cells
        if cell.ops_per_s
    ]
    return facts | {"table": _table(f"model | workload | {SPEED}", rows, words=2)}


def _speed(cell: Cell) -> list[str]:
    """As SPEED has it."""
    p99 = milliseconds(cell.latency_us.p99)
    return [rate_text(cell).strip(), cost_text(cell), p99, cell.verdict]


def gains(runs: Runs) -> Facts:
    """By model, and a table: how many times what it does on one core it does on all of them."""
    (run,) = runs
    if not run.scalability:
        raise LookupError("there is nothing on several numbers of cores")
    return {each.model: _gain(each) for each in run.scalability} | {
        "table": _table("model | operations/s by cores | gain", map(_gained, run.scalability))
    }


def free(runs: Runs) -> Facts:
    """Gains with and without a lock, and what an echo takes without one, of the same version."""
    several, one = runs
    labels = _labels(one)
    without = next((label for label in labels if label.endswith("t")), "")
    pairs = [(f"{each}@{without}", f"{each}@{without[:-1]}") for each in ("threaded", "asyncio")]
    kept = {without: "-free", without[:-1]: ""}  # a figure has its name in any version
    facts = {
        f"{plain(name)}{kept[name.partition('@')[2]]}" if "@" in name else name: text
        for name, text in gains([several]).items()
    }
    costs: list[list[str]] = []
    for ours, theirs in pairs:
        cells = {cell.model: cell for cell in one.cells}
        if not {ours, theirs} <= {*cells}:
            raise LookupError(f"{ours} and {theirs} were not measured together")
        ratio = times(cells[ours], cells[theirs])
        facts[f"echo-{plain(ours)}"] = ratio
        costs.append([plain(ours), *(cost_text(cells[each]) for each in (theirs, ours)), ratio])
    heads = "an echo on one core | server CPU with the lock | without | times"
    return facts | {"echoes": _table(heads, costs)}


def _gain(each: Scalability) -> str:
    first, *_, last = each.rungs
    more = last.cores / first.cores
    ends = last.efficiency_ci95 and (more * last.efficiency_ci95[0], more * last.efficiency_ci95[1])
    return _with_interval(more * last.efficiency, ends)


def _gained(each: Scalability) -> list[str]:
    rates = [f"{three(rung.ops_per_s)} on {rung.cores}" for rung in each.rungs]
    return [each.model, ", ".join(rates), _gain(each)]


def tls(runs: Runs) -> Facts:
    """Rates are the driver's, who pays as much for his end, so that they are left out."""
    facts: Facts = {}
    rows: list[list[str]] = []
    for run, workload in zip(runs, ("long", "short"), strict=True):
        for cell in run.cells:
            if cell.ops_per_s is None:
                continue
            plain_cell = cell_of(run, cell.model, tls="none")
            ratio = times(cell, plain_cell) if cell.tls != "none" else "1"
            facts[f"{workload}-{cell.tls}-{cell.model}"] = ratio
            cost = _cost(cell)
            rows.append(
                [cell.model, cell.workload, cell.tls, ratio, cost_text(cell), count(1e6 / cost)]
            )
    heads = "model | workload | handshakes | times its CPU over plain TCP | server CPU for each"
    agreed = [each.handshakes for run in runs for each in run.cells if each.handshakes]
    facts["agreed"] = ", ".join(dict.fromkeys(f"{each.version}, {each.cipher}" for each in agreed))
    return facts | {"table": _table(f"{heads} | a second, at 100 % of a core", rows, words=3)}


def loops(runs: Runs) -> Facts:
    (run,) = runs
    base = cell_of(run, "asyncio")
    on_base = [
        cell for cell in _ranked(run.cells) if cell.model not in ON_STREAMS | {"asyncio-streams"}
    ]
    rows = [
        [cell.model, "1" if cell is base else times(cell, base), *_speed(cell)] for cell in on_base
    ]
    return {
        **{cell.model: times(cell, base) for cell in on_base if cell is not base},
        "table": _table(f"loop | times asyncio's CPU | {SPEED}", rows),
    }


def _ranked(cells: Iterable[Cell]) -> list[Cell]:
    """What can be, the cheapest first."""
    able = [cell for cell in cells if cell.verdict not in UNRANKED]
    return sorted(able, key=lambda cell: cell.server.cpu_us_per_op or float("inf"))


def size(runs: Runs) -> Facts:
    (run,) = runs
    sizes = sorted({cell.size for cell in run.cells})
    facts = {
        f"{name}-{each}": times(cell_of(run, name, size=each), cell_of(run, name, size=sizes[0]))
        for name in ("asyncio", "uvloop")
        for each in sizes[1:]
    }
    rows = []
    for each in sizes:
        asyncio, uvloop = (cell_of(run, name, size=each) for name in ("asyncio", "uvloop"))
        costs = map(cost_text, (asyncio, uvloop))
        facts[f"ns-{each}"] = _number(1000 * _cost(asyncio) / each)
        share = f"{facts[f'ns-{each}']} ns"
        payload = f"{each / _cost(asyncio):,.0f} MB/s"
        rows.append([f"{each:,} B", *costs, share, payload, times(asyncio, uvloop)])
    heads = "message | asyncio: server CPU | uvloop: server CPU | asyncio: for a byte"
    heads += " | a core of asyncio, each way | asyncio, times uvloop's"
    return facts | {"table": _table(heads, rows)}


def slow(runs: Runs) -> Facts:
    (run,) = runs
    facts: Facts = {}
    rows = []
    for cell in sorted(run.cells, key=lambda cell: (cell.model, cell.slow_share)):
        if "rate-unmet" in cell.verdicts:
            raise LookupError(f"{cell.model} did not do what was due, and its latencies only grow")
        us = cell.latency_us
        name = f"{cell.model}-{'slow' if cell.slow_share else 'none'}"
        facts |= {f"{name}-p90": milliseconds(us.p90), f"{name}-p50": milliseconds(us.p50)}
        share = f"{_share(cell.slow_share)} of them"
        latencies = map(milliseconds, (us.p50, us.p90, us.p99))
        rows.append([cell.model, share, *latencies, cell.verdict])
    return facts | {"table": _table("model | slow | p50 | p90 | p99 | verdict", rows)}


def streams(runs: Runs) -> Facts:
    (run,) = runs
    facts = {
        name: times(cell_of(run, f"{name}-streams"), cell_of(run, name))
        for name in ("asyncio", "uvloop")
    }
    rows = [[cell.model, *_speed(cell)] for cell in _ranked(run.cells)]
    return facts | {"table": _table(f"model | {SPEED}", rows)}


def idle(runs: Runs) -> Facts:
    (run,) = runs
    each_kb = {name: f"{_number(found / 1024)} KB" for name, found in _idle(run)}
    many = max(cell.idle for cell in run.cells)
    rows = []
    for name, memory in each_kb.items():
        held = cell_of(run, name, idle=many).held
        kernel = f"{_number(held.kernel_kb / many)} KB" if held else "-"
        rows.append([name, memory, kernel])
    heads = "model | server memory for each | kernel memory for each, both ends"
    return each_kb | {"table": _table(heads, rows)}


def _idle(run: Run) -> Iterator[tuple[str, float]]:
    found = bytes_per_idle(run.cells)
    if not found:
        raise LookupError("no idle connections were held")
    yield from found.items()


def udp(runs: Runs) -> Facts:
    (run,) = runs
    facts: Facts = {}
    rows = []
    for cell in run.cells:
        if cell.rounds:
            lost = _share(lost_share(cell.rounds))
            facts[f"{cell.model}-{cell.connections}"] = lost
            sent = sum(each.sent for each in cell.rounds)
            rows.append([cell.model, f"{cell.connections:,}", f"{sent:,}", lost, *_speed(cell)])
    heads = f"model | in flight at a time | sent | lost | {SPEED}"
    return facts | {"table": _table(heads, rows)}


def python(runs: Runs) -> Facts:
    """Against the oldest of them."""
    (run,) = runs
    labels = _labels(run)
    cells = {cell.model: cell for cell in run.cells if cell.ops_per_s}
    facts: Facts = {}
    rows = []
    for name in dict.fromkeys(map(plain, cells)):
        first = cells[f"{name}@{labels[0]}"]
        for label in labels:
            cell = cells[f"{name}@{label}"]
            ratio = "1" if cell is first else times(cell, first)
            facts[f"{name}-{label.replace('.', '')}"] = ratio
            rows.append([cell.model, ratio, *_speed(cell)])
    return facts | {"table": _table(f"model | times the first one's CPU | {SPEED}", rows)}


def load(runs: Runs) -> Facts:
    (run,) = runs
    facts: Facts = {}
    rows = []
    for cell in run.cells:
        if cell.pace is None or cell.share is None:  # its closed loop, of which it is a share
            continue
        if "rate-unmet" in cell.verdicts:
            raise LookupError(f"{cell.model} did not do what was due, and its latencies only grow")
        share = round(100 * cell.share)
        facts[f"{cell.model}-{share}-p99"] = milliseconds(cell.latency_us.p99)
        latencies = map(milliseconds, (cell.latency_us.p50, cell.latency_us.p99))
        rows.append([cell.model, f"{share} %", count(cell.pace.offered), *latencies, cell.verdict])
    heads = "model | of its capacity | messages/s | p50 | p99 | verdict"
    return facts | {"table": _table(heads, rows)}


QUESTIONS: dict[str, Question] = {
    "loop": Question(60, loop, drawn=True),
    "threads": Question(25, threads),
    "free": Question(80, free),
    "tls": Question(80, tls),
    "loops": Question(50, loops, drawn=True),
    "python": Question(25, python),
    "cores": Question(30, gains),
    "size": Question(35, size),
    "slow": Question(70, slow),
    "load": Question(60, load),
    "streams": Question(20, streams),
    "idle": Question(50, idle),
    "udp": Question(30, udp),
}


def picture(run: Run) -> str:
    """Its bars, of what was measured, as SVG."""
    measured = [cell for cell in run.cells if cell.ops_per_s]
    return chart(msgspec.structs.replace(run, cells=measured))
