"""Break-even points and slow messages, on a terminal and on the page."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from rich.console import Console

from compare.report.breakeven import answer, break_even_charts, show_break_evens
from compare.report.page import Given, page
from compare.report.slow import show_slow, slow_charts
from compare.report.spreadsheet import table_of
from compare.report.terminal import show
from compare.results.breakeven import break_evens
from compare.results.records import BreakEven, Cell, Percentiles, Run, Share

MakeCell = Callable[..., Cell]
MakeRun = Callable[..., Run]
COSTS = {"uvloop": 10.0, "asyncio": 15.0, "[red]threaded": 30.0}


def shown(show: Callable[[Console], None], width: int = 200) -> str:
    out = io.StringIO()
    show(Console(file=out, width=width, highlight=False, emoji=False))
    return out.getvalue()


@pytest.fixture
def by_work(made_up_cell: MakeCell) -> list[Cell]:
    return [
        made_up_cell(
            model, tuple(1e6 / (cost + work) * wobble for wobble in (1.0, 1.01)), work_us=work
        )
        for work in (0.0, 50.0, 200.0)
        for model, cost in COSTS.items()
    ]


@pytest.fixture
def slow(made_up_cell: MakeCell) -> list[Cell]:
    return [
        made_up_cell(
            model,
            (1000.0,),
            latency_us=Percentiles(p50=100.0, p90=200.0, p99=300.0 if not us else p99),
            slow_share=0.01 if us else 0.0,
            slow_us=us,
        )
        for us in (20_000.0, 0.0)
        for model, p99 in (("epoll", 25_000.0), ("threaded", 9_000.0))
    ]


def of(from_us: float | None, *ends: float | None, **changes: Any) -> BreakEven:
    values: dict[str, Any] = {"workload": "tcp-long", "connections": 4, "size": 1000}
    return BreakEven(
        **values,
        model="asyncio",
        to="uvloop",
        metric="ops_per_s",
        margin=0.05,
        shares=[Share(work_us=work, ratio=0.9, ratio_ci95=None) for work in (0.0, 500.0)],
        from_us=from_us,
        from_us_ci95=(ends[0], ends[1]) if ends else None,
        **changes,
    )


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (of(62.4), "62us"),
        (of(62.4, 41.0, 110.0), "62us (41us to 110us)"),
        (of(62.4, 41.0, None), "62us (41us to ?)"),
        (of(None), "beyond 500us"),
        (of(None, 310.0, None), "beyond 500us (310us to ?)"),
        (of(None, None, None), "beyond 500us"),
        (of(0.0, 0.0, 20.0), "0us (0us to 20us)"),
        (of(2400.0), "2.4ms"),
    ],
)
def test_point_is_told_with_what_is_known_of_it(found: BreakEven, words: str) -> None:
    assert answer(found) == words


def test_a_row_for_each_pair_and_a_column_for_each_amount_of_work(by_work: list[Cell]) -> None:
    found = [each for each in break_evens(by_work) if each.metric == "ops_per_s"]
    text = shown(lambda console: show_break_evens(found, console))
    assert "break-even: operations a second, by work for a message" in text
    (head,) = [line for line in text.splitlines() if line.startswith("ratio")]
    assert head.split() == ["ratio", "0us", "50us", "200us", "within", "5%", "from"]
    (row,) = [line for line in text.splitlines() if line.startswith("asyncio / uvloop    ")]
    assert row.split()[3:7] == ["0.67", "±0.00", "0.92", "±0.00"]
    assert row.split()[9] in ("87us", "88us", "89us", "90us", "91us")
    (beyond,) = [line for line in text.splitlines() if line.startswith("[red]threaded / uvloop")]
    assert "beyond 200us" in beyond


def test_whole_run_shows_it_and_the_page_draws_it(
    made_up_run: MakeRun, by_work: list[Cell]
) -> None:
    run = msgspec.structs.replace(made_up_run(by_work), break_evens=break_evens(by_work))
    assert "break-even" in shown(lambda console: show(run, console))
    text = page([Given("run 7", run)])
    section = text[text.index('<section id="sweeps"') :].partition("</section>")[0]
    assert "Break-even: operations a second" in section
    assert '<th scope="row">[red]threaded / uvloop</th>' in section
    both = page([Given("old", run), Given("new", run)])
    assert "asyncio (old) / uvloop (old)" in both
    assert "asyncio (new) / uvloop (new)" in both


def test_without_several_amounts_of_work_nothing_is_said(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    cells = [made_up_cell(model, (1000.0, 1001.0)) for model in ("a", "b")]
    run = msgspec.structs.replace(made_up_run(cells), break_evens=break_evens(cells))
    text = shown(lambda console: show(run, console))
    assert "break-even" not in text
    assert "slow" not in text


def test_chart_has_a_line_for_each_pair_and_the_bounds(by_work: list[Cell]) -> None:
    figure, *_ = break_even_charts(break_evens(by_work))
    pairs = [trace for trace in figure.traces if trace["model"]]
    assert [trace["name"] for trace in pairs] == ["asyncio / uvloop", "[red]threaded / uvloop"]
    assert all(trace["x"] == [0.0, 50.0, 200.0] for trace in pairs)
    assert pairs[0]["y"] == pytest.approx([10 / 15, 60 / 65, 210 / 215], rel=1e-3)
    assert all(len(trace["error_y"]["array"]) == 3 for trace in pairs)
    bounds = [trace["y"] for trace in figure.traces if not trace["model"]]
    assert bounds == [[1 / 1.05] * 2, [1.05] * 2]
    json.dumps([figure.traces, figure.layout])


def test_it_comes_back_from_a_file_and_older_files_have_none(
    made_up_run: MakeRun, by_work: list[Cell]
) -> None:
    run = msgspec.structs.replace(made_up_run(by_work), break_evens=break_evens(by_work))
    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run
    old = json.loads(msgspec.json.encode(made_up_run(by_work)))
    del old["break_evens"]
    for name in ("works_us", "waits_us", "slows"):
        del old["settings"][name]
    for cell in old["cells"]:
        for name in ("work_us", "wait_us", "slow_share", "slow_us"):
            cell.pop(name, None)
    read = msgspec.json.decode(json.dumps(old), type=Run)
    assert read.break_evens == []
    assert not any(cell.is_handled for cell in read.cells)


def test_a_spreadsheet_has_what_a_message_cost(made_up_run: MakeRun, slow: list[Cell]) -> None:
    head, first, *_ = table_of(made_up_run(slow)).splitlines()
    row = dict(zip(head.split(","), first.split(","), strict=True))
    assert (row["work_us"], row["slow_share"], row["slow_us"]) == ("0.0", "0.01", "20000.0")


# Slow messages.


def test_latencies_with_and_without_slow_messages_stand_together(slow: list[Cell]) -> None:
    lines = shown(lambda console: show_slow(slow, console)).splitlines()
    rows = [line.split() for line in lines if line.startswith(("epoll", "threaded"))]
    assert [row[0] for row in rows] == ["epoll", "epoll", "threaded", "threaded"]
    assert [row[1] for row in rows] == ["none", "1%", "none", "1%"]
    assert "25 ms" in " ".join(rows[1])


def test_p99_beside_slow_messages_is_drawn(slow: list[Cell]) -> None:
    (figure,) = slow_charts(slow)
    assert {trace["name"]: trace["y"] for trace in figure.traces} == {
        "epoll": [0.3, 25.0],
        "threaded": [0.3, 9.0],
    }
    assert figure.traces[0]["x"] == ["none", "1% by 20ms"]
    assert list(slow_charts(slow[:2])) == []
