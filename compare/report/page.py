"""Runs as one HTML page that needs nothing else: no network, no server, no other file."""

from __future__ import annotations

import base64
import datetime
import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from typing import Any

import jinja2
import msgspec
from markupsafe import Markup
from plotly.offline import get_plotlyjs
from rich.text import Text

from compare.host.machine import Machine, describe
from compare.models.matrix import group_of
from compare.report import figures, scaling, scatter, timeline
from compare.report.breakeven import break_even_charts
from compare.report.figures import Figure
from compare.report.flames import Made, made_of
from compare.report.sentences import amount, answer, loads_of
from compare.report.slow import slow_charts
from compare.report.sweeps import curves
from compare.report.terminal import standing_text, standings_of
from compare.report.words import clean, megabytes, milliseconds
from compare.results.naming import operation_of, slug, title
from compare.results.records import (
    BreakEven,
    Cell,
    Comparison,
    Load,
    Metric,
    Run,
    Scalability,
)

HEAT_STEPS = 6
PER_LOAD = (
    figures.percentiles,
    figures.speed,
    figures.cost,
    scatter.speed_against_cost,
    timeline.over_time,
    figures.connections,
)
COLUMNS = (
    *("model", "load", "standing", "operations/s", "p50", "p99", "p99.9"),
    *("CPU, µs/op", "memory, MB", "served", "verdict"),
)


class Given(msgspec.Struct, frozen=True):
    """A run to be shown, what it is called, and the command that makes it again."""

    name: str
    result: Run
    command: str | None = None


def page(given: Sequence[Given]) -> str:
    """One page on one run; of several the cells stand side by side."""
    loads: dict[Load, list[Cell]] = {}
    ranked: list[Comparison] = []
    alike: list[BreakEven] = []
    scaled: list[Scalability] = []
    for each in given:
        named = each.result if len(given) == 1 else _named(each.result, each.name)
        ranked += named.comparisons
        scaled += named.scalability
        alike += named.break_evens
        for load, cells in loads_of(named).items():
            loads.setdefault(load, []).extend(cells)
    promises = {each.result.settings.slo_us for each in given}
    promised = promises.pop() if len(promises) == 1 else None
    of_load = {load: [each for each in ranked if each.load == load] for load in loads}
    sections = [_section(load, cells) for load, cells in loads.items()]
    all_cells = [cell for cells in loads.values() for cell in cells]
    swept = [*break_even_charts(alike), *slow_charts(all_cells), *curves(all_cells)]
    swept += scaling.curves(scaled)
    everything = [*swept]
    for section in sections:
        everything += [*section["figures"], *section["timelines"]]
        everything += [each.flame for each in section["made"].values() if each.flame]
    models = dict.fromkeys(cell.model for cells in loads.values() for cell in cells)
    css, script = _file("page.css"), _file("page.js")
    plotly = get_plotlyjs()
    return str(
        _environment()
        .get_template("page.html")
        .render(
            title=" and ".join(each.name for each in given),
            subtitle=_subtitle(given),
            policy=_policy([plotly, script], css),
            css=Markup(css),
            script=Markup(script),
            plotly=Markup(plotly),
            there_already=re.findall(r'getElementById\("([0-9a-f]{64})"\)', plotly),
            data=Markup(_data(everything, list(models))),
            parts=list(_parts(sections, swept)),
            interrupted=any(each.result.interrupted for each in given),
            answers=[
                {"title": title(load), "sentences": answer(cells, of_load[load], promised)}
                for load, cells in loads.items()
            ],
            heat=_heat(loads, of_load, list(models)),
            columns=COLUMNS,
            cells=[
                _row(load, cell, of_load[load], section["made"].get(cell.model))
                for section, (load, cells) in zip(sections, loads.items(), strict=True)
                for cell in cells
            ],
            groups=list(dict.fromkeys(map(group_of, models))),
            verdicts=sorted({cell.verdict for cells in loads.values() for cell in cells}),
            loads=sections,
            swept=swept,
            how=[_how(each) for each in given],
        )
    )


def _named(run: Run, name: str) -> Run:
    """With its models named after it, since others have the same."""

    def named(each: Any) -> Any:
        return msgspec.structs.replace(each, model=f"{each.model} ({name})")

    return msgspec.structs.replace(
        run,
        cells=[named(cell) for cell in run.cells],
        scalability=[named(each) for each in run.scalability],
        comparisons=[
            msgspec.structs.replace(named(each), best=f"{each.best} ({name})")
            for each in run.comparisons
        ],
        break_evens=[
            msgspec.structs.replace(named(each), to=f"{each.to} ({name})")
            for each in run.break_evens
        ],
    )


def _section(load: Load, cells: list[Cell]) -> dict[str, Any]:
    drawn = [figure for make in PER_LOAD if (figure := make(load, cells))]
    return {
        "id": f"load-{slug(load)}",
        "title": title(load),
        "operation": f"One operation is {what}." if (what := operation_of(load)) else "",
        "figures": drawn,
        "timelines": [
            figure
            for number, cell in enumerate(cells)
            if (figure := timeline.timeline(load, cell, number))
        ],
        "made": {
            cell.model: made
            for number, cell in enumerate(cells)
            if (made := made_of(load, cell, number))
        },
    }


def _parts(
    sections: Sequence[dict[str, Any]], swept: Sequence[Figure]
) -> Iterator[tuple[str, str]]:
    if sections:
        yield "answer", "The answer"
        yield "matrix", "The matrix"
    for section in sections:
        yield section["id"], section["title"]
    if swept:
        yield "sweeps", "What changes with what"
    yield "how", "How it was measured"


def _heat(
    loads: dict[Load, list[Cell]],
    ranked: dict[Load, list[Comparison]],
    models: Sequence[str],
) -> dict[str, Any]:
    """The share of the operations of the best, paired; where nothing is, of the most.

    In an open loop, where all do what they are asked to, that of the best p99 in each one's.
    """
    rows: dict[str, list[tuple[str, list[tuple[str, int]]]]] = {}
    for model in models:
        row: list[tuple[str, int]] = []
        for load, cells in loads.items():
            shares = _shares(load, ranked[load])
            top = max((cell.ops_per_s or 0.0 for cell in cells), default=0.0)
            mine = next((cell for cell in cells if cell.model == model), None)
            if mine is None or not mine.ops_per_s or not top:
                words = "" if mine is None else "0" if mine.verdict == "ok" else mine.verdict
                row.append((words, 0))
                continue
            whole = mine.ops_per_s / top if load.loop == "closed" else None
            share = shares.get(model, whole)
            row.append(("-", 0) if share is None else _step(share))
        if any(text for text, _ in row):
            rows.setdefault(group_of(model), []).append((model, row))
    return {"heads": [title(load) for load in loads], "groups": list(rows.items())}


def _shares(load: Load, ranked: Sequence[Comparison]) -> dict[str, float]:
    if load.loop == "open":
        return {each.model: 1 / each.ratio for each in ranked if each.metric == "p99_us"}
    return {each.model: each.ratio for each in ranked if each.metric == "ops_per_s"}


def _step(share: float) -> tuple[str, int]:
    share = min(1.0, share)
    return f"{share:.2f}", max(1, round(share * HEAT_STEPS))


def _row(load: Load, cell: Cell, ranked: list[Comparison], made: Made | None) -> dict[str, Any]:
    us, server, counts = cell.latency_us, cell.server, cell.counts
    standings = standings_of(ranked)
    metric: Metric = "p99_us" if cell.pace else "ops_per_s"
    standing = Text.from_markup(standing_text(standings.get((cell.model, metric)))).plain
    numbers: list[tuple[float | None, str]] = [
        (cell.ops_per_s, amount(cell.ops_per_s)),
        *((value, milliseconds(value)) for value in (us.p50, us.p99, us.p99_9)),
        (server.cpu_us_per_op, amount(server.cpu_us_per_op)),
        (server.pss_kb, "-" if server.pss_kb is None else megabytes(server.pss_kb)),
        (counts.served, f"{counts.served:,} of {counts.attempted:,}"),
    ]
    return {
        "load": title(load),
        "group": group_of(cell.model),
        "verdict": cell.verdict,
        "texts": [
            (cell.model, cell.model),
            (title(load), title(load)),
            (standing, standing),
            *((text, "" if value is None else repr(value)) for value, text in numbers),
        ],
        "verdicts": "; ".join(cell.verdicts or [cell.verdict]),
        "reasons": "; ".join(cell.reasons),
        "made": made and made.id,
    }


def _subtitle(given: Sequence[Given]) -> str:
    machine, started = given[0].result.machine, given[0].result.started
    when = datetime.datetime.fromisoformat(started).strftime("%d %B %Y, %H:%M UTC")
    return f"{when}; {machine.cpu}, {machine.cores} cores, {machine.python}"


def _how(given: Given) -> dict[str, Any]:
    """Everything that figures depend on, in rows."""
    result = given.result
    rows = [["what", "as it was"], ["started", result.started], ["took", f"{result.took_s:,.0f} s"]]
    rows += [[name.replace("_", " "), _word(value)] for name, value in _fields(result.machine)]
    rows += [[f"{each.role} on {each.worker}", describe(each.machine)] for each in result.hosts]
    rows += [[name.replace("_", " "), _word(value)] for name, value in _fields(result.settings)]
    if result.ended:
        rows.append(["ended", result.ended])
    rows += [[name.replace("_", " "), _word(value)] for name, value in _fields(result.limits)]
    command = given.command or "compare run"
    if "--seed" not in command:
        command += f" --seed {result.settings.seed}"
    return {"title": given.name, "rows": rows, "command": command}


def _fields(record: msgspec.Struct | Machine) -> Iterator[tuple[str, object]]:
    for name in record.__struct_fields__:
        yield name, getattr(record, name)


def _word(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_word(each)}" for key, each in value.items()) or "none"
    if isinstance(value, list):
        return ", ".join(map(_word, value)) or "none"
    return "-" if value is None else str(value)


def _environment() -> jinja2.Environment:
    """Everything that is put into the page is escaped, but for what we say is Markup."""
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(_file),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        finalize=lambda value: clean(value) if type(value) is str else value,
    )


def _file(name: str) -> str:
    return resources.files("compare.report").joinpath(name).read_text(encoding="utf-8")


def _data(everything: Sequence[Figure], models: list[str]) -> str:
    """The figures as JSON in which nothing ends a script element or begins a comment."""
    drawn = {each.id: {"traces": each.traces, "layout": each.layout} for each in everything}
    text = json.dumps({"figures": drawn, "models": models}, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _policy(scripts: Sequence[str], css: str) -> str:
    """A Content-Security-Policy of nothing but what is in the page, by its hash."""
    allowed = " ".join(map(_hash, scripts))
    # plotly makes an empty style element of its own, and fills it by the CSS object model.
    return (
        f"default-src 'none'; script-src {allowed}; style-src {_hash(css)} {_hash('')}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"
