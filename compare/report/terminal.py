"""A run as tables: one for each workload and number of connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import get_args

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from compare.host.machine import describe
from compare.models.interpreter import Interpreter
from compare.report.breakeven import show_break_evens
from compare.report.profiles import calls_in_words, frames_in_words
from compare.report.reasons import reasons_of
from compare.report.scaling import show_scaling
from compare.report.slow import show_slow
from compare.report.sweeps import show_sweeps
from compare.report.words import (
    count,
    duration,
    escape,
    half,
    megabytes,
    microseconds,
    milliseconds,
    spread,
    three,
)
from compare.results.naming import handling, noun, operation_of, schedule, transport
from compare.results.ranking import by_load, ordered
from compare.results.records import Cell, Comparison, Metric, Run, Verdict

BAR_WIDTH = 14
GAP = 3  # between two columns
NARROW = 60  # columns, with fewer of which half of the figures would be cut
WIDE = 120  # columns that the whole table needs, with a reason or two
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_COLOURS = {"ok": "", "failed": "red", "errors": "red"}
Standings = Mapping[tuple[str, Metric], Comparison]


def show(run: Run, console: Console) -> None:
    """Print all tables, what they were measured on, and how to read what is odd."""
    for load, cells in by_load(run.cells).items():
        console.print()
        console.print(_heading(run, cells), soft_wrap=True)
        mine = [each for each in run.comparisons if each.load == load]
        table = table_of(cells, mine, width=console.width)
        console.print(table)
        if "verdict" not in {each.header for each in table.columns}:
            for line in _verdicts(ordered(cells, mine), standings_of(mine)):
                console.print(line)
        for sentence in reasons_of(ordered(cells, mine)):
            console.print(escape(sentence.replace("\n", "\n    ")))
        for sentence in (*calls_in_words(cells), *frames_in_words(cells)):
            console.print(escape(sentence), soft_wrap=True)
    show_sweeps(run.cells, console)
    show_break_evens(run.break_evens, console)
    show_slow(run.cells, console)
    show_scaling(run.scalability, console)
    console.print()
    whose = "drivers: " if run.settings.target else ""
    console.print(f"[dim]{whose}{escape(describe(run.machine))}[/]", soft_wrap=True)
    for note in _notes(run):
        console.print(note, soft_wrap=True)


def _heading(run: Run, cells: list[Cell]) -> str:
    settings = run.settings
    load = cells[0].load
    made = max((len(c.rounds) for c in cells), default=0)
    rounds = "1 round" if made == 1 else f"{made} rounds"
    if 1 < made < settings.rounds and not (run.interrupted or load.idle):
        rounds += f" of at most {settings.rounds}, after which all was told,"
    each = f"{settings.duration_s:g} s"
    windows = [one.window_ns for cell in cells for round_ in cell.rounds for one in round_.slices]
    if not (settings.alone or load.is_whole) and windows:
        each += f" in slices of {sum(windows) / len(windows) / 1e6:.0f} ms"
    how = "closed loop"
    if load.loop == "open":
        slo = f"the highest rate with p99 below {(settings.slo_us or 0) / 1000:g} ms"
        how = f"open loop, {schedule(load) or slo}, {settings.arrivals} arrivals"
    if settings.cluster is not None:
        drivers = sum(each.role == "driver" for each in run.hosts)
        pinned = f"{drivers} driver{'s' if drivers != 1 else ''} on {settings.cluster}"
    elif settings.drivers > 1:
        pinned = f"{settings.drivers} drivers"
    elif not (cores := settings.first_cores(load.cores)):
        pinned = "not pinned"
    else:
        many = "core" if len(cores) == 1 else "cores"
        theirs = ",".join(map(str, sorted(cores)))
        pinned = f"server on {many} {theirs}, driver on core {settings.driver_core}"
    at_once = " at a time" if load.workload == "tcp-short" else ""
    operation = f"; one operation is {what}" if (what := operation_of(load)) else ""
    return (
        f"[bold]{escape(load.workload)}[/]   {load.connections} {noun(load)}{at_once}"
        + transport(load)
        + (f" beside {load.idle:,} idle" if load.idle else "")
        + f", {load.size} B"
        + (f", {costs}" if (costs := handling(load)) else "")
        + f", {how}, {rounds} of {each}"
        f"   [dim]{pinned}{operation}{_agreed(cells)}[/]"
    )


def _agreed(cells: Sequence[Cell]) -> str:
    """What TLS came to, each once; empty over plain TCP."""
    done = [cell.handshakes for cell in cells if cell.handshakes]
    agreed = dict.fromkeys(f"{each.version} with {each.cipher}" for each in done)
    return f"; {', '.join(agreed)}" if agreed else ""


def columns_of(
    cells: Sequence[Cell], comparisons: Iterable[Comparison], *, width: int
) -> dict[str, Callable[[Cell], str]]:
    """What is shown of each cell of a load, with rich's markup, in so many columns of text."""
    wide, narrow = width >= WIDE, width < NARROW
    standings = standings_of(comparisons)
    top = max((cell.ops_per_s or 0 for cell in cells), default=0)
    columns: dict[str, Callable[[Cell], str]] = {
        "model": lambda cell: escape(cell.model),
        "due/s": lambda cell: count(cell.pace.offered) if cell.pace else "-",
        "ops/s": lambda cell: (_bar(cell, top) if wide else "") + rate_text(cell),
        "p50": lambda cell: milliseconds(cell.latency_us.p50),
        "p99": lambda cell: milliseconds(cell.latency_us.p99) + _tail_spread(cell),
        "p99.9": lambda cell: milliseconds(cell.latency_us.p99_9),
        "service p99": lambda cell: milliseconds(cell.pace.service_us.p99 if cell.pace else None),
        "served": served_text,
        "CPU/op": cost_text,
        "x least": lambda cell: ratio_text(standings.get((cell.model, "cpu_us_per_op"))),
        "memory": lambda cell: f"{megabytes(pss)} MB" if (pss := cell.server.pss_kb) else "-",
        "verdict": lambda cell: verdict_text(cell, standings),
    }
    if not wide:
        del columns["p99.9"], columns["memory"], columns["x least"]
    if narrow:
        del columns["p50"], columns["served"]
        columns["ops/s"] = lambda cell: rate_text(cell).partition(" ±")[0]
        columns["p99"] = lambda cell: milliseconds(cell.latency_us.p99)
        columns["CPU/op"] = lambda cell: microseconds(cell.server.cpu_us_per_op)
    if cells[0].loop == "open" and not narrow:
        del columns["memory" if wide else "served"]
    if cells[0].loop == "closed" or narrow:
        del columns["due/s"], columns["service p99"]
    return columns


def table_of(cells: list[Cell], comparisons: Sequence[Comparison], *, width: int) -> Table:
    """One workload. On a narrow terminal without bars, tails and memory, and without verdicts."""
    columns = columns_of(cells, comparisons, width=width)
    if not _has_room_for_verdicts(columns, cells, width):
        del columns["verdict"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=False)
    for name in columns:
        left = name in ("model", "ops/s", "verdict")
        table.add_column(
            name,
            justify="left" if left else "right",
            no_wrap=name != "verdict",
            overflow="fold" if name == "verdict" else "ellipsis",  # half a figure is another one
        )
    for cell in ordered(cells, comparisons):
        table.add_row(*(show_column(cell) for show_column in columns.values()))
    return table


def _has_room_for_verdicts(
    columns: Mapping[str, Callable[[Cell], str]], cells: Sequence[Cell], width: int
) -> bool:
    """Whether the longest fits beside the figures; else they stand below, and in no half words."""
    for name, show_column in columns.items():
        if name != "verdict":
            texts = (name, *map(show_column, cells))
            width -= max(Text.from_markup(each).cell_len for each in texts) + GAP
    return width >= max(map(len, get_args(Verdict)))


def _verdicts(cells: Iterable[Cell], standings: Standings) -> Iterator[str]:
    for cell in cells:
        if (verdict := verdict_text(cell, standings)) != "ok":
            yield f"{escape(cell.model)}: {verdict}"


def served_text(cell: Cell) -> str:
    """How many connections were, of how many."""
    counts = cell.counts
    return f"{counts.served}/{counts.attempted}" if counts.attempted else "-"


def verdict_text(cell: Cell, standings: Standings) -> str:
    """Where it stands, and all verdicts in words, with colour where they are not plain ok."""
    words = []
    for verdict in cell.verdicts or [cell.verdict]:
        colour = _COLOURS.get(verdict, "yellow")
        words += [] if verdict == "ok" else [f"[{colour}]{verdict}[/]"]
    ranked: tuple[Metric, ...] = ("p99_us",) if cell.pace else ("ops_per_s",)
    for metric in ranked:
        if standing := standing_text(standings.get((cell.model, metric))):
            words.insert(0, f"p99: {standing}" if cell.pace else standing)
    if not words and cell.counts.served < cell.counts.attempted:
        return "[yellow]starved[/]"
    return "; ".join(words) if words else "ok"


def standings_of(comparisons: Iterable[Comparison]) -> Standings:
    """By model and metric; of one load."""
    return {(each.model, each.metric): each for each in comparisons}


def standing_text(each: Comparison | None) -> str:
    """The best, tied with it, how far behind, or what it would take to tell."""
    if each is None:
        return ""
    if each.standing == "best":
        return "[bold green]best[/]"
    best = escape(each.best)
    if each.standing == "tied":
        return f"[green]tied with {best}[/]"
    if each.ratio_ci95 is None:
        return f"{each.ratio:.2f} x {best}, of one round: --rounds tells more"
    low, high = each.ratio_ci95
    if each.standing == "behind":
        return f"behind {best} by {_by(each.metric, low, high)}"
    digits = 2 if low <= 1 <= high or "1.00" not in (f"{low:.2f}", f"{high:.2f}") else 3
    times = f"{each.ratio:.{digits}f} x ({low:.{digits}f} to {high:.{digits}f})"
    if not low <= 1 <= high:  # by itself, but not of all models and metrics together
        sure = f"; sure in about {duration(each.needs_s)} more" if each.needs_s else ""
        return f"probably behind {best}: {times}{sure}"
    more = f", about {duration(each.needs_s)} more would" if each.needs_s else ""
    return f"cannot tell yet from {best}: {times}{more}"


def _by(metric: Metric, low: float, high: float) -> str:
    """By how much it is less, or more; from 2 x on, how many times."""
    if metric == "ops_per_s":
        low, high = 1 / high, 1 / low
    if low > 2:
        ends, unit = (f"{low:.1f}", f"{high:.1f}"), "x"
    elif metric == "ops_per_s":
        ends, unit = (_percent(1 / low), _percent(1 / high)), "%"
    else:
        ends, unit = (_percent(low), _percent(high)), "%"
    return f"{' to '.join(dict.fromkeys(ends))} {unit}"


def _percent(ratio: float) -> str:
    off = abs(ratio - 1) * 100
    return f"{off:.1f}" if off < 10 else f"{off:.0f}"


def ratio_text(each: Comparison | None) -> str:
    """How many times the least, as a column has it."""
    if each is None:
        return "-"
    if each.standing == "best" or each.ratio_ci95 is None:
        return "1" if each.standing == "best" else f"{each.ratio:.2f}"
    return f"{each.ratio:.2f} {half(each.ratio_ci95)}"


def cost_text(cell: Cell) -> str:
    """CPU time of the server for an operation, and how sure it is."""
    cost, interval = cell.server.cpu_us_per_op, cell.cpu_us_per_op_ci95
    if not cost or not interval:
        return microseconds(cost)
    return f"{microseconds(cost)} {spread((interval[1] - interval[0]) / 2 / cost)}"


def _tail_spread(cell: Cell) -> str:
    """In an open loop, where it is what was asked for."""
    p99, interval = cell.latency_us.p99, cell.p99_us_ci95
    if not (cell.pace and p99 and interval):
        return ""
    # It is that of all operations: the interval, which is over rounds, lies around it somewhere.
    return f" {spread(max(interval[1] - p99, p99 - interval[0]) / p99)}"


def rate_text(cell: Cell) -> str:
    if cell.ops_per_s is None:
        return "-".rjust(7)
    rate = f"{count(cell.ops_per_s):>7}"
    if not cell.ops_per_s_ci95 or not cell.ops_per_s:
        return rate
    low, high = cell.ops_per_s_ci95
    return f"{rate} {spread((high - low) / 2 / cell.ops_per_s)}"


def _bar(cell: Cell, top: float) -> str:
    eighths = round((cell.ops_per_s or 0) / top * BAR_WIDTH * 8) if top else 0
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(BAR_WIDTH + 1)


def pythons(interpreters: Iterable[Interpreter]) -> Iterable[str]:
    """What ran the servers, a line for each."""
    for each in interpreters:
        yield f"[dim]{each.label}: {escape(str(each))}, {escape(each.path)}[/]"


def _shards(run: Run) -> Iterable[str]:
    """How well several drivers did together."""
    rounds = [each for cell in run.cells for each in cell.rounds if each.shards]
    if not rounds:
        return
    skew = max(each.start_skew_us or 0.0 for each in rounds) / 1000
    error = max(shard.clock_error_us for each in rounds for shard in each.shards) / 1000
    known = f"; their clocks are known to {error:.2f} ms" if error else ""
    yield f"[dim]The drivers of a cell began within {skew:.1f} ms of each other{known}.[/]"
    if any(shard.shares_core for each in rounds for shard in each.shards):
        yield "[dim]Drivers shared a core: latencies hold what they waited for each other.[/]"


def _notes(run: Run) -> Iterable[str]:
    spent = run.took_s - run.measured_s
    yield (
        f"[dim]seed {run.settings.seed}; took {three(run.took_s)} s, "
        f"{three(spent)} s of it neither measuring nor warming up[/]"
    )
    yield from pythons(run.settings.interpreters)
    for source in run.settings.sources:
        yield f"[dim]@{source.label}: {escape(source.commit or source.path)}[/]"
    yield from _shards(run)
    yield (
        "[dim]Ratios are of rounds, those of ops/s paired slice by slice in them; what is said of "
        "all models of a load holds together with 95 %. Tied is within "
        f"{100 * run.settings.margin:.3g}%.[/]"
    )
    if any(each.standing == "unclear" for each in run.comparisons):
        yield (
            "[dim]Where it cannot tell yet, more rounds do (without --quick), a quieter machine, "
            "or CPU/op, which others disturb less.[/]"
        )
    yield "[dim]What the words mean: docs/measuring.md, How to read a table.[/]"
    loops = {cell.loop for cell in run.cells}
    if "closed" in loops:
        yield (
            "[dim]Closed loop: each connection waits for its reply, so ops/s is capacity, and the "
            "latencies are those at full load.[/]"
        )
    if "open" in loops:
        yield (
            "[dim]Open loop: latencies count from when an operation was due, so that they hold "
            "what waiting behind a stall costs; service p99 is from when it was sent.[/]"
        )
    if run.interrupted and run.cells:
        yield "[yellow]Interrupted: this is what was measured until then.[/]"
