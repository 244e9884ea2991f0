"""The tables, from made-up runs; what is said of who is best is in test_standings."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from compare.report.terminal import show
from compare.results.records import Cell, Pace, Percentiles, Run, Server

MakeRun = Callable[..., Run]
MakeCell = Callable[..., Cell]

SLOW = (100_000.0, 101_000.0, 99_000.0, 100_500.0, 99_500.0)
FAST = (200_000.0, 201_000.0, 199_000.0, 200_500.0, 199_500.0)
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
HOSTILE = {
    "markup": "[red]alarm[/red] [bold]",
    "a closing tag of nothing": "[/] [/red]",
    "a link": "[link=https://example.com]click[/link]",
    "a lone bracket": "got [1, 2], expected [",
    "a backslash before a bracket": r"C:\[red]",
}
CONTROL = {
    "clears the screen": "before\x1b[2Jafter",
    "sets the title": "before\x1b]0;title\x07after",
    "an eight-bit sequence": "before\x9b2Jafter",
    "rings the bell": "before\x07after",
    "overwrites the line": "before\rafter",
    "deletes": "before\x08\x08\x08after",
    "ends the text": "before\x00after",
    "turns the direction": "before\u202eafter",
}


def shown(run: Run, *, width: int = 500, terminal: bool = False) -> str:
    """What is printed, as `compare run` prints it into a pipe or on a terminal."""
    out = io.StringIO()
    show(
        run,
        Console(
            file=out,
            width=width,
            highlight=False,
            emoji=False,
            force_terminal=terminal,
            color_system="standard" if terminal else None,
        ),
    )
    return out.getvalue()


def rows_of(text: str) -> dict[str, str]:
    """The first row that begins with each word."""
    rows: dict[str, str] = {}
    for row in text.splitlines():
        if row.strip():
            rows.setdefault(row.split()[0], row.rstrip())
    return rows


# Figures


def test_one_round_has_no_interval(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    cell = made_up_cell("epoll", (157_000.0,), ops_per_s_ci95=None)
    row = rows_of(shown(made_up_run([cell], rounds=1)))["epoll"]
    assert " 157.0k " in row
    assert "±" not in row


def test_interval_is_shown_as_its_half_width(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    cell = made_up_cell("epoll", SLOW, ops_per_s=100_000.0, ops_per_s_ci95=(98_000.0, 102_000.0))
    assert " 100.0k ±2% " in rows_of(shown(made_up_run([cell])))["epoll"]


def test_percentiles_without_enough_samples_are_a_dash(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    latency = Percentiles(p50=410.0, max=9000.0)
    row = rows_of(shown(made_up_run([made_up_cell("epoll", SLOW, latency_us=latency)])))["epoll"]
    assert re.search(r" 0\.41 ms +- +- +4/4 ", row)


@pytest.mark.parametrize(
    ("us", "words"),
    [
        (4.0, "4 µs"),
        (63.26, "63.3 µs"),
        (99.99, "100 µs"),
        (415.0, "0.41 ms"),
        (9990.0, "9.99 ms"),
        (12_345.0, "12 ms"),
    ],
)
def test_latencies_are_in_milliseconds_or_below_a_tenth_in_microseconds(
    made_up_run: MakeRun, made_up_cell: MakeCell, us: float, words: str
) -> None:
    cell = made_up_cell("epoll", SLOW, latency_us=Percentiles(p50=us))
    assert f" {words} " in rows_of(shown(made_up_run([cell])))["epoll"]


@pytest.mark.parametrize(
    ("rate", "words"),
    [(0.0, "0"), (0.25, "0.25"), (12.3, "12"), (999.4, "999"), (1000.0, "1.0k"), (2.5e6, "2.50M")],
)
def test_rates_are_short(
    made_up_run: MakeRun, made_up_cell: MakeCell, rate: float, words: str
) -> None:
    cell = made_up_cell("epoll", (rate,), ops_per_s=rate, latency_us=Percentiles())
    assert f" {words} " in rows_of(shown(made_up_run([cell], rounds=1)))["epoll"]


def test_cost_and_memory_stand_with_their_units(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    cells = [
        made_up_cell("cheap", FAST, server=Server(cpu_us_per_op=6.3, pss_kb=19 * 1024)),
        made_up_cell("dear", SLOW, server=Server(cpu_us_per_op=96.34, rss_kb=19 * 1024)),
        made_up_cell("dead", SLOW, server=Server()),
    ]
    rows = rows_of(shown(made_up_run(cells)))
    assert re.search(r" 6\.30 µs +1 +19 MB ", rows["cheap"])
    assert re.search(r" 96\.3 µs +1\.00 ±0\.00 +- ", rows["dear"])
    assert re.search(r" 4/4 +- +1\.00 ±0\.00 +- ", rows["dead"])


def test_interval_of_the_cost_is_shown_beside_it(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    server = Server(cpu_us_per_op=6.0)
    cell = made_up_cell("epoll", SLOW, server=server, cpu_us_per_op_ci95=(5.7, 6.3))
    assert " 6.00 µs ±5% " in rows_of(shown(made_up_run([cell])))["epoll"]


def test_interval_of_the_p99_is_shown_so_wide_that_all_of_it_is_around_what_is_shown(
    made_up_run: MakeRun, made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    latency = Percentiles(p50=100.0, p90=200.0, p99=1000.0)
    more = {"latency_us": latency, "p99_us_ci95": (980.0, 1100.0)}
    cell = made_up_cell("epoll", SLOW, loop="open", pace=made_up_pace(5000.0), **more)
    assert " 1.00 ms ±10% " in rows_of(shown(made_up_run([cell])))["epoll"]


def test_longest_bar_is_that_of_the_largest_rate(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    rows = rows_of(shown(made_up_run([made_up_cell("fast", FAST), made_up_cell("slow", SLOW)])))
    assert rows["fast"].count("█") == 2 * rows["slow"].count("█") > 0


def test_cell_without_a_figure_is_dashes_and_its_reason(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    cell = Cell(
        model="uvloop",
        workload="tcp-long",
        connections=4,
        size=1000,
        verdict="unsupported",
        reasons=["uvloop is not installed: pip install uvloop"],
    )
    text = shown(made_up_run([cell, made_up_cell("epoll", SLOW)]))
    assert re.search(r"^uvloop( +-){8} +unsupported$", rows_of(text)["uvloop"])
    assert "\nuvloop: uvloop is not installed: pip install uvloop\n" in text


# Open loops


def paced(make_cell: MakeCell, make_pace: Callable[..., Pace], model: str, **changes: Any) -> Cell:
    pace = make_pace(5000.0, service_us=Percentiles(p50=90.0, p99=250.0))
    latency = Percentiles(p50=100.0, p99=12_000.0)
    values = {"loop": "open", "pace": pace, "ops_per_s": 4990.0, "latency_us": latency}
    return make_cell(model, (4990.0,) * 5, **values | changes)


@pytest.mark.parametrize("width", [100, 500])
def test_open_loop_shows_what_was_due_and_the_service_times(
    made_up_run: MakeRun, made_up_cell: MakeCell, made_up_pace: Callable[..., Pace], width: int
) -> None:
    cell = paced(made_up_cell, made_up_pace, "epoll", rate=5000.0)
    text = shown(made_up_run([cell], arrivals="poisson"), width=width)
    assert "tcp-long   4 connections, 1000 B, open loop, 5,000/s due, poisson arrivals, 5 r" in text
    head, row = rows_of(text)["model"], rows_of(text)["epoll"]
    assert re.search(r"due/s +ops/s +p50 +p99 +(p99.9 +)?service p99 ", head)
    assert re.search(r" 5\.0k .* 5\.0k +0\.10 ms +12 ms +(- +)?0\.25 ms ", row)
    assert "from when an operation was due" in text.replace("\n", " ")
    assert "Closed loop" not in text


@pytest.mark.parametrize(
    ("load", "settings", "words"),
    [
        ({"share": 0.7}, {}, "70% of each one's closed loop due, fixed arrivals"),
        (
            {},
            {"slo_us": 2500.0},
            "the highest rate with p99 below 2.5 ms, fixed arrivals",
        ),
    ],
)
def test_open_loop_says_where_its_rate_is_from(
    made_up_run: MakeRun,
    made_up_cell: MakeCell,
    made_up_pace: Callable[..., Pace],
    load: dict[str, float],
    settings: dict[str, float],
    words: str,
) -> None:
    cells = [made_up_cell("epoll", SLOW), paced(made_up_cell, made_up_pace, "epoll", **load)]
    text = shown(made_up_run(cells, **settings))
    assert f"open loop, {words}" in text
    assert "4 connections, 1000 B, closed loop, 5 rounds" in text
    assert text.count("\nepoll ") == 2  # each loop has a table


def test_rate_that_is_not_met_is_told_with_its_reason(
    made_up_run: MakeRun, made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    cell = paced(made_up_cell, made_up_pace, "epoll", verdict="rate-unmet", reasons=["a reason"])
    text = shown(made_up_run([cell]))
    assert rows_of(text)["epoll"].endswith("   rate-unmet")
    assert "\nepoll: a reason\n" in text


# Around the table


def test_what_was_measured_and_on_what_is_said(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    text = shown(made_up_run([made_up_cell("epoll", SLOW)]))
    assert "tcp-long   4 connections, 1000 B, closed loop, 5 rounds of 1 s" in text
    assert "server on core 0, driver on core 1" in text
    assert "A CPU, 2 cores, Linux 6.1, CPython 3.11.7, no uvloop" in text
    assert "seed 7; took 12 s, 2 s of it neither measuring nor warming up" in text
    assert "Interrupted" not in text


def test_each_number_of_connections_has_a_table(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    cells = [made_up_cell("epoll", SLOW, connections=n) for n in (1, 64)]
    text = shown(made_up_run(cells))
    assert "tcp-long   1 connection" in text
    assert "tcp-long   64 connections" in text
    assert text.count("\ntcp-long ") == 2


def test_rounds_that_were_made_are_said_and_not_those_asked_for(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    text = shown(made_up_run([made_up_cell("epoll", SLOW)], rounds=30, precise=True))
    assert "closed loop, 5 rounds of at most 30, after which all was told, of 1 s in slices" in text


def test_one_window_a_round_is_not_called_slices(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    text = shown(made_up_run([made_up_cell("epoll", SLOW)], alone=True))
    assert "closed loop, 5 rounds of 1 s " in text
    assert "in slices" not in text


def test_cores_that_were_shared_are_said(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    cells = [made_up_cell("epoll", SLOW)]
    assert "not pinned; " in shown(made_up_run(cells, server_cores=[], driver_core=None))


def test_margin_is_said(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    assert "Tied is within 2%." in shown(made_up_run([made_up_cell("epoll", SLOW)], margin=0.02))


def test_interrupted_run_says_so(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    run = made_up_run([made_up_cell("epoll", SLOW[:1])], interrupted=True)
    assert "Interrupted: this is what was measured until then." in shown(run)


def test_empty_run_is_shown(made_up_run: MakeRun) -> None:
    assert "seed 7" in shown(made_up_run([], interrupted=True))


@pytest.mark.parametrize("width", [40, 80, 119, 120, 200])
def test_terminal_of_any_width_shows_every_figure_and_every_reason(
    made_up_run: MakeRun, made_up_cell: MakeCell, width: int
) -> None:
    reason = " ".join(f"word{number}" for number in range(40))
    cells = [
        made_up_cell("epoll", FAST),
        made_up_cell("blocking", SLOW, verdict="failed", reasons=[reason]),
    ]
    text = ESCAPE.sub("", shown(made_up_run(cells), width=width, terminal=True))
    assert "…" not in text
    table = text[text.index("\nmodel") :]
    if width >= 80:
        for words in ("200.0k", "100.0k", "0.10 ms", "4/4", "5.25 µs", "failed"):
            assert words in table
        assert re.findall(r"word\d+", table) == reason.split()
    wide = max(map(len, text[text.index("\nmodel") : text.index("\nA CPU")].splitlines()))
    assert wide <= width


# Text that comes from elsewhere


def run_with_reason(made_up_run: MakeRun, made_up_cell: MakeCell, text: str) -> Run:
    cells = [
        made_up_cell("bad", SLOW, verdict="failed", reasons=[f"stderr: {text}"]),
        made_up_cell("good", FAST),
    ]
    return made_up_run(cells)


@pytest.mark.parametrize("width", [100, 500])
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_reason_that_looks_like_markup_is_printed_as_it_is(
    made_up_run: MakeRun, made_up_cell: MakeCell, text: str, terminal: bool, width: int
) -> None:
    run = run_with_reason(made_up_run, made_up_cell, text)
    plain = ESCAPE.sub("", shown(run, terminal=terminal, width=width))
    assert f"stderr: {text}" in plain
    assert "\nbad " in plain
    assert "\ngood " in plain


@pytest.mark.parametrize("width", [100, 500])
@pytest.mark.parametrize("terminal", [True, False])
@pytest.mark.parametrize("text", CONTROL.values(), ids=CONTROL)
def test_control_characters_in_a_reason_do_not_reach_the_terminal(
    made_up_run: MakeRun, made_up_cell: MakeCell, text: str, terminal: bool, width: int
) -> None:
    run = run_with_reason(made_up_run, made_up_cell, text)
    plain = ESCAPE.sub("", shown(run, terminal=terminal, width=width))
    assert {each for each in plain if not each.isprintable()} == {"\n"}
    assert "stderr: before" in plain
    assert "after" in plain


def test_reason_of_several_lines_is_below_its_model(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    text = shown(run_with_reason(made_up_run, made_up_cell, "one\ntwo\nthree"))
    rows = [row for row in text.splitlines() if "two" in row or "three" in row]
    assert rows
    assert all(row.startswith(("bad: ", " " * 4)) for row in rows)


def test_target_in_brackets_is_shown_as_it_is(
    made_up_cell: Callable[..., Cell], made_up_run: Callable[..., Run]
) -> None:
    cells = [made_up_cell("[fd00::1]:7000", (1000.0,))]
    run = made_up_run(cells, rounds=1, cluster="local:2", target="[fd00::1]:7000")
    said = shown(run)
    assert "[fd00::1]:7000" in said
    assert "drivers: A CPU" in said


@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 119, 120])
def test_figure_that_is_cut_has_a_mark(made_up_run, made_up_cell, width: int) -> None:
    """Half a figure is another one."""
    run = made_up_run([made_up_cell("a-server-with-a-name", (62_000.0,) * 5)])
    text = shown(run, width=width)
    assert "62.0k" in text or "…" in text
    row = next(line for line in text.splitlines() if line.startswith("a-"))
    assert max(map(len, text.splitlines()[3:5])) <= width
    for word in row.split()[1:2]:
        assert word == "62.0k" or "…" in word or "█" in word


def test_table_on_forty_columns_has_every_figure_that_it_shows(made_up_run, made_up_cell) -> None:
    text = shown(made_up_run([made_up_cell("epoll", (62_000.0,) * 5)]), width=40)
    row = rows_of(text)["epoll"]
    assert "62.0k" in row
    assert "5.25 µs" in row
    assert "…" not in row


@pytest.mark.parametrize("width", [30, 40, 59, 60, 70, 80, 100, 119, 120, 160])
@pytest.mark.parametrize("open_loop", [False, True])
def test_verdict_is_told_in_whole_words_however_narrow_the_terminal_is(
    made_up_run, made_up_cell, made_up_pace, width: int, *, open_loop: bool
) -> None:
    how = {"pace": made_up_pace(1000.0), "loop": "open", "rate": 1000.0} if open_loop else {}
    cells = [
        made_up_cell("epoll", (62_000.0,) * 3, verdict="driver-bound", **how),
        made_up_cell("mine", (), verdict="failed", **how),
    ]
    text = shown(made_up_run(cells), width=width)
    assert "driver-bound" in text
    assert "failed" in text
