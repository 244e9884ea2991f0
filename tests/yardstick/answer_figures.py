"""The figures of docs/questions.md, each by its name there, of the runs of its question.

What they say is the project's own analysis: a ratio is of rounds that are paired, with its 95 %
interval. One that the runs do not hold raises LookupError.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec
from answer_words import (
    SPEED,
    cell_of,
    labels_of,
    latency,
    number,
    percent,
    plain,
    speed,
    table,
    times,
    with_interval,
)

from compare.models.loops import LOOPS
from compare.report.breakeven import answer, rows_of
from compare.report.chart import chart
from compare.report.terminal import cost_text
from compare.report.words import count, milliseconds, three
from compare.results.loss import lost_share
from compare.results.ranking import UNRANKED, paired
from compare.results.records import Cell, Run, Scalability
from compare.results.statistics import ratio_of
from compare.results.sweep import bytes_per_idle

Runs = Sequence[Run]
Facts = dict[str, str]
ON_STREAMS = {"uvloop-streams"} | {
    each.name for each in LOOPS if "compare.contenders.asyncio_streams" in each.command
}


class Question(NamedTuple):
    """about_s: how long its runs take on two quiet cores. drawn: of its first run, a picture."""

    about_s: int
    facts: Callable[[Runs], Facts]
    drawn: bool = False


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
        "table": table(" | ".join(heads), rows),
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
    """Of messages, of connections, and of messages that wait for something, such as a database."""
    long, short, waiting = runs
    most = max(cell.connections for cell in waiting.cells)
    facts = {
        name: times(cell_of(run, model, **load), cell_of(run, "asyncio", **load))
        for name, run, model, load in (
            ("long", long, "threaded", {}),
            ("short", short, "threaded", {}),
            ("pool", short, "threadpool", {}),
            ("waiting", waiting, "threaded", {"connections": most}),
        )
    }
    rows = [
        [cell.model, cell.workload, *speed(cell)]
        for run in (long, short)
        for cell in run.cells
        if cell.ops_per_s
    ]
    waits = [
        [cell.model, f"{cell.connections:,}", *speed(cell)]
        for cell in waiting.cells
        if cell.ops_per_s
    ]
    return facts | {
        "table": table(f"model | workload | {SPEED}", rows, words=2),
        "waits": table(f"model | connections | {SPEED}", waits),
    }


def gains(runs: Runs) -> Facts:
    """By model, and a table: how many times what it does on one core it does on all of them."""
    (run,) = runs
    if not run.scalability:
        raise LookupError("there is nothing on several numbers of cores")
    return {each.model: _gain(each) for each in run.scalability} | {
        "table": table("model | operations/s by cores | gain", map(_gained, run.scalability))
    }


def free(runs: Runs) -> Facts:
    """What cores gain with a lock and without one, an echo, and work that is Python all the way."""
    own, several, one = runs
    labels = labels_of(one)
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
    return facts | {"echoes": table(heads, costs)} | _python_work(own)


def _python_work(run: Run) -> Facts:
    """Of handlers that are Python all the way: 3.14, 3.14t without the lock, 3.14-processes."""
    facts: Facts = {}
    rows = []
    for each in run.scalability:
        version, _, what = each.model.partition("-")
        with_lock = version.removesuffix("t")
        cores = max(rung.cores for rung in each.rungs)
        on_all = cell_of(run, each.model, cores=cores)
        net = _rate_times(on_all, cell_of(run, with_lock, cores=1))
        facts[f"python-{what or ('threads' if with_lock == version else 'free')}"] = net
        rows.append([*_gained(each), net])
    heads = "Python | operations/s by cores | gain | times the same with the lock on one core"
    return facts | {"python": table(heads, rows)}


def _rate_times(ours: Cell, theirs: Cell) -> str:
    return with_interval(*ratio_of(paired(ours, theirs, "ops_per_s")))


def _gain(each: Scalability) -> str:
    first, *_, last = each.rungs
    more = last.cores / first.cores
    ends = last.efficiency_ci95 and (more * last.efficiency_ci95[0], more * last.efficiency_ci95[1])
    return with_interval(more * last.efficiency, ends)


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
    return facts | {"table": table(f"{heads} | a second, at 100 % of a core", rows, words=3)}


def loops(runs: Runs) -> Facts:
    (run,) = runs
    streams = ON_STREAMS | {"asyncio-streams"}
    return _beside_asyncio("loop", run, [each for each in run.cells if each.model not in streams])


def frameworks(runs: Runs) -> Facts:
    (run,) = runs
    return _beside_asyncio("framework", run, run.cells)


def _beside_asyncio(what: str, run: Run, cells: Iterable[Cell]) -> Facts:
    """How many times its CPU each takes, the cheapest first."""
    base = cell_of(run, "asyncio")
    ratios = {cell.model: times(cell, base) if cell is not base else "1" for cell in _ranked(cells)}
    rows = [[model, ratio, *speed(cell_of(run, model))] for model, ratio in ratios.items()]
    return ratios | {"table": table(f"{what} | times asyncio's CPU | {SPEED}", rows)}


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
        facts[f"ns-{each}"] = number(1000 * _cost(asyncio) / each)
        share = f"{facts[f'ns-{each}']} ns"
        payload = f"{each / _cost(asyncio):,.0f} MB/s"
        rows.append([f"{each:,} B", *costs, share, payload, times(asyncio, uvloop)])
    heads = "message | asyncio: server CPU | uvloop: server CPU | asyncio: for a byte"
    heads += " | a core of asyncio, each way | asyncio, times uvloop's"
    return facts | {"table": table(heads, rows)}


def slow(runs: Runs) -> Facts:
    """Where a handler is slow at times, and where such work is put somewhere else."""
    models, places = runs
    facts: Facts = {}
    rows = []
    for cell in sorted(models.cells, key=lambda cell: (cell.model, cell.slow_share)):
        name = f"{cell.model}-{'slow' if cell.slow_share else 'none'}"
        facts |= {f"{name}-p90": milliseconds(_in_time(cell).latency_us.p90)}
        rows.append([cell.model, f"{percent(cell.slow_share)} of them", *_latencies(cell)])
    by_place = {cell.model: _in_time(cell) for cell in places.cells}
    return facts | {
        **{f"{name}-p90": milliseconds(each.latency_us.p90) for name, each in by_place.items()},
        "table": table("model | slow | p50 | p90 | p99 | verdict", rows),
        "places": table(
            "what is slow runs in | p50 | p90 | p99 | verdict",
            [[f"the {name}", *_latencies(cell)] for name, cell in by_place.items()],
        ),
    }


def _in_time(cell: Cell) -> Cell:
    if "rate-unmet" in cell.verdicts:
        raise LookupError(f"{cell.model} did not do what was due, and its latencies only grow")
    return cell


def _latencies(cell: Cell) -> list[str]:
    return [*(latency(cell, name) for name in ("p50", "p90", "p99")), cell.verdict]


def streams(runs: Runs) -> Facts:
    (run,) = runs
    facts = {
        name: times(cell_of(run, f"{name}-streams"), cell_of(run, name))
        for name in ("asyncio", "uvloop")
    }
    rows = [[cell.model, *speed(cell)] for cell in _ranked(run.cells)]
    return facts | {"table": table(f"model | {SPEED}", rows)}


def idle(runs: Runs) -> Facts:
    (run,) = runs
    each_kb = {name: f"{number(found / 1024)} KB" for name, found in _idle(run)}
    many = max(cell.idle for cell in run.cells)
    rows = []
    for name, memory in each_kb.items():
        held = cell_of(run, name, idle=many).held
        kernel = f"{number(held.kernel_kb / many)} KB" if held else "-"
        rows.append([name, memory, kernel])
    heads = "model | server memory for each | kernel memory for each, both ends"
    return each_kb | {"table": table(heads, rows)}


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
            lost = percent(lost_share(cell.rounds))
            facts[f"{cell.model}-{cell.connections}"] = lost
            sent = sum(each.sent for each in cell.rounds)
            there = percent(sum(each.server.dropped or 0 for each in cell.rounds) / max(1, sent))
            name = [cell.model, f"{cell.connections:,}", f"{sent:,}"]
            rows.append([*name, lost, there, *speed(cell)])
    heads = f"model | in flight at a time | sent | lost | by the server's buffer | {SPEED}"
    return facts | {"table": table(heads, rows)}


def python(runs: Runs) -> Facts:
    """Against the oldest of them."""
    (run,) = runs
    labels = labels_of(run)
    cells = {cell.model: cell for cell in run.cells if cell.ops_per_s}
    facts: Facts = {}
    rows = []
    for name in dict.fromkeys(map(plain, cells)):
        first = cells[f"{name}@{labels[0]}"]
        for label in labels:
            cell = cells[f"{name}@{label}"]
            ratio = "1" if cell is first else times(cell, first)
            facts[f"{name}-{label.replace('.', '')}"] = ratio
            rows.append([cell.model, ratio, *speed(cell)])
    return facts | {"table": table(f"model | times the first one's CPU | {SPEED}", rows)}


def load(runs: Runs) -> Facts:
    run, promised = runs
    facts = _promised(promised)
    rows = []
    for cell in run.cells:
        if cell.pace is None or cell.share is None:  # its closed loop, of which it is a share
            continue
        share = round(100 * cell.share)
        facts[f"{cell.model}-{share}-p99"] = latency(_in_time(cell), "p99")
        rows.append([cell.model, f"{share} %", count(cell.pace.offered), *_latencies(cell)])
    heads = "model | of its capacity | messages/s | p50 | p90 | p99 | verdict"
    return facts | {"table": table(heads, rows)}


def _promised(run: Run) -> Facts:
    """The highest rate at which each keeps its promise, of those that it was asked at."""
    within = {cell.model: cell for cell in run.cells if cell.pace is not None}
    return {f"{model}-slo": count(cell.pace.rate) for model, cell in within.items() if cell.pace}


QUESTIONS: dict[str, Question] = {
    "loop": Question(60, loop, drawn=True),
    "threads": Question(25, threads),
    "free": Question(120, free),
    "tls": Question(80, tls),
    "loops": Question(50, loops, drawn=True),
    "frameworks": Question(55, frameworks),
    "python": Question(25, python),
    "cores": Question(30, gains),
    "size": Question(35, size),
    "slow": Question(70, slow),
    "load": Question(100, load),
    "streams": Question(20, streams),
    "idle": Question(50, idle),
    "udp": Question(30, udp),
}


def picture(run: Run) -> str:
    """Its bars, of what was measured, as SVG."""
    measured = [cell for cell in run.cells if cell.ops_per_s]
    return chart(msgspec.structs.replace(run, cells=measured))
