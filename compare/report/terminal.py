"""A run as tables: one for each workload and number of connections."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from rich import box, markup
from rich.console import Console
from rich.table import Table

from compare.host.machine import describe
from compare.models.interpreter import Interpreter
from compare.models.matrix import WORKLOADS
from compare.results.ranking import ENOUGH, rank
from compare.results.records import Cell, Comparison, Loop, Run, Settings

BAR_WIDTH = 14
LONGEST = 4000  # characters of what somebody else said
WIDE = 120  # columns that the whole table needs, with a reason or two
CLOSE = 0.05  # with too few rounds to tell apart, this near is worth saying
_EIGHTHS = " ▏▎▍▌▋▊▉█"
_COLOURS = {
    "ok": "",
    "failed": "red",
    "noisy": "yellow",
    "driver-bound": "yellow",
    "rate-unmet": "yellow",
}


def clean(text: str) -> str:
    """`text` from elsewhere: nothing that a terminal would obey, and not more than one reads."""
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in short)


def escape(text: str) -> str:
    """The same, and no markup."""
    return markup.escape(clean(text))


def show(run: Run, console: Console) -> None:
    """Print all tables, what they were measured on, and how to read what is odd."""
    groups: dict[tuple[str, int, Loop], list[Cell]] = {}
    for cell in run.cells:
        groups.setdefault((cell.workload, cell.connections, cell.loop), []).append(cell)
    for (workload, connections, loop), cells in groups.items():
        console.print()
        console.print(_heading(run, workload, connections, loop), soft_wrap=True)
        wide = console.width >= WIDE
        console.print(table_of(cells, wide=wide))
        if not wide:
            for cell in cells:
                for reason in cell.reasons:
                    console.print(f"{escape(cell.model)}: {escape(reason)}")
    console.print()
    whose = "drivers: " if run.settings.target else ""
    console.print(f"[dim]{whose}{escape(describe(run.machine))}[/]", soft_wrap=True)
    for note in _notes(run):
        console.print(note, soft_wrap=True)


def _heading(run: Run, workload: str, connections: int, loop: Loop) -> str:
    settings = run.settings
    rounds = "1 round" if settings.rounds == 1 else f"{settings.rounds} rounds"
    if settings.precise:
        rounds = f"{settings.rounds} rounds and more"
    how = f"{loop} loop" if loop == "closed" else f"open loop, {_schedule(settings)}"
    if settings.cluster is not None:
        drivers = sum(each.role == "driver" for each in run.hosts)
        pinned = f"{drivers} driver{'s' if drivers != 1 else ''} on {settings.cluster}"
    elif settings.server_core is None:
        pinned = "not pinned"
    else:
        pinned = f"server on core {settings.server_core}, driver on core {settings.driver_core}"
    noun = {"udp-echo": "client sockets", "chat": "members", "tcp-short": "connections at a time"}
    return (
        f"[bold]{workload}[/]   {connections} {noun.get(workload, 'connections')}, "
        f"{settings.sizes[workload]} B, {how}, {rounds} of {settings.duration_s:g} s"
        f"   [dim]{pinned}; one operation is {WORKLOADS[workload].operation}[/]"
    )


def _schedule(settings: Settings) -> str:
    if settings.rate is not None:
        rate = f"{settings.rate:,g}/s due"
    elif settings.load is not None:
        rate = f"{settings.load:.0%} of each one's closed loop due"
    else:
        rate = f"the highest rate with p99 below {(settings.slo_us or 0) / 1000:g} ms"
    return f"{rate}, {settings.arrivals} arrivals"


def table_of(cells: list[Cell], *, wide: bool) -> Table:
    """One workload. On a narrow terminal without bars, tails, memory and reasons."""
    standings = standings_of(cells)
    top = max((cell.ops_per_s or 0 for cell in cells), default=0)
    columns: dict[str, Callable[[Cell], str]] = {
        "model": lambda cell: escape(cell.model),
        "due/s": lambda cell: _count(cell.pace.offered) if cell.pace else "-",
        "ops/s": lambda cell: (_bar(cell, top) if wide else "") + _rate(cell),
        "p50": lambda cell: milliseconds(cell.latency_us.p50),
        "p99": lambda cell: milliseconds(cell.latency_us.p99),
        "p99.9": lambda cell: milliseconds(cell.latency_us.p99_9),
        "service p99": lambda cell: milliseconds(cell.pace.service_us.p99 if cell.pace else None),
        "served": _served,
        "CPU/op": lambda cell: microseconds(cell.server.cpu_us_per_op),
        "memory": lambda cell: f"{rss / 1024:.0f} MB" if (rss := cell.server.rss_kb) else "-",
        "verdict": lambda cell: verdict_text(cell, standings.get(cell.model), reasons=wide),
    }
    if not wide:
        del columns["p99.9"], columns["memory"]
    if cells[0].loop == "open":
        del columns["memory" if wide else "served"]
    else:
        del columns["due/s"], columns["service p99"]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, expand=False)
    for name in columns:
        left = name in ("model", "ops/s", "verdict")
        table.add_column(
            name,
            justify="left" if left else "right",
            no_wrap=name != "verdict",
            overflow="fold",
        )
    for cell in sorted(cells, key=lambda cell: -(cell.ops_per_s or 0)):
        table.add_row(*(show_column(cell) for show_column in columns.values()))
    return table


def _served(cell: Cell) -> str:
    counts = cell.counts
    return f"{counts.served}/{counts.attempted}" if counts.attempted else "-"


def verdict_text(cell: Cell, standing: str | None, *, reasons: bool = True) -> str:
    """The verdict in words, with colour where it is not plain ok."""
    colour = _COLOURS.get(cell.verdict, "dim")
    words = [] if cell.verdict == "ok" else [f"[{colour}]{cell.verdict}[/]"]
    if standing is not None:
        words.append(standing)
    if reasons:
        words += [escape(reason) for reason in cell.reasons]
    return "; ".join(words) if words else "ok"


def standings_of(cells: list[Cell]) -> dict[str, str]:
    """For each model that can be ranked: the best, tied with it, or how far behind."""
    return {each.model: words for each in rank(cells) if (words := _standing(each, cells))}


def _standing(each: Comparison, cells: list[Cell]) -> str:
    few = min(len(cell.rounds) for cell in cells if cell.model in (each.model, each.best)) < ENOUGH
    if each.standing == "best":
        return "[green]fastest[/]" if few else "[bold green]best[/]"
    if few:
        close = each.ratio > 1 - CLOSE
        return f"within {CLOSE:.0%} of {each.best}: more rounds would tell" if close else ""
    low, high = each.ratio_ci95 or (each.ratio, each.ratio)
    figures = f"{each.ratio:.2f} x {each.best} ({low:.2f} to {high:.2f})"
    if each.standing == "tied":
        return f"[green]tied with {each.best}[/]"
    return figures if each.standing == "behind" else f"{figures}: more rounds would tell"


def _rate(cell: Cell) -> str:
    if cell.ops_per_s is None:
        return "-".rjust(7)
    spread = ""
    if cell.ops_per_s_ci95 and cell.ops_per_s:
        low, high = cell.ops_per_s_ci95
        spread = f" ±{(high - low) / 2 / cell.ops_per_s:.0%}"
    return f"{_count(cell.ops_per_s):>7}{spread}"


def _bar(cell: Cell, top: float) -> str:
    eighths = round((cell.ops_per_s or 0) / top * BAR_WIDTH * 8) if top else 0
    whole, rest = divmod(eighths, 8)
    return ("█" * whole + (_EIGHTHS[rest] if rest else "")).ljust(BAR_WIDTH + 1)


def _count(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:.2f}M"
    return f"{value / 1e3:.1f}k" if value >= 1000 else f"{value:.0f}"


def microseconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:.1f} µs" if value >= 10 else f"{value:.2f} µs"


def milliseconds(us: float | None) -> str:
    if us is None:
        return "-"
    ms = us / 1000
    return f"{ms:.2f} ms" if ms < 10 else f"{ms:.0f} ms"


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
        f"[dim]seed {run.settings.seed}; took {run.took_s:.0f} s, "
        f"{spent:.0f} s of it neither measuring nor warming up[/]"
    )
    yield from pythons(run.settings.interpreters)
    yield from _shards(run)
    if again := sum(cell.discarded for cell in run.cells):
        rounds = (
            "1 round was noisy and was" if again == 1 else f"{again} rounds were noisy and were"
        )
        yield f"[dim]{rounds} made again.[/]"
    if run.settings.rounds < 4:
        yield "[dim]Too few rounds for intervals between models: --rounds 5 tells them apart.[/]"
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
    if run.interrupted:
        yield "[yellow]Interrupted: this is what was measured until then.[/]"
