"""What changes with a parameter, in tables and in curves, and what became of the idle."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from rich.console import Console

from compare.report.page import Given, page
from compare.report.sweeps import curves, show_sweeps
from compare.report.terminal import show
from compare.results.records import Cell, Idle, Pace, Percentiles, Run, Server

MakeCell = Callable[..., Cell]
MakeRun = Callable[..., Run]
MakeIdle = Callable[..., Idle]
MakePace = Callable[..., Pace]
HOSTILE = "[red]</script><b>\x1b[2J"


def shown(cells: Sequence[Cell], width: int = 500) -> str:
    out = io.StringIO()
    show_sweeps(cells, Console(file=out, width=width, highlight=False, emoji=False))
    return out.getvalue()


def tables_of(text: str) -> Iterator[tuple[str, dict[str, list[str]]]]:
    """Each heading, and the words of its rows by the first of them."""
    for part in text.split("\n\n"):
        heading, *rows = part.strip().splitlines()
        words = [re.split(r"\s{2,}", row.strip()) for row in rows]
        yield heading, {each[0]: each[1:] for each in words}


@pytest.fixture
def by_share(made_up_cell: MakeCell, made_up_pace: MakePace) -> list[Cell]:
    """Two models at three shares of what each can do, and in a closed loop."""
    cells = []
    for number, model in enumerate(("epoll", "uvloop"), 1):
        cells.append(made_up_cell(model, (1000.0 * number,)))
        cells += [
            made_up_cell(
                model,
                (1000.0 * number * share,),
                loop="open",
                share=share,
                pace=made_up_pace(1000.0 * number * share),
                latency_us=Percentiles(p50=1000 * share, p99=20_000 * share * number),
                server=Server(cpu_us_per_op=10 * share),
            )
            for share in (0.9, 0.1, 0.5)
        ]
    return cells


@pytest.fixture
def by_idle(made_up_cell: MakeCell, made_up_idle: MakeIdle) -> list[Cell]:
    """epoll beside 100 and 1,000; blocking gave way, and was not asked for more."""
    return [
        made_up_cell("epoll", (2000.0,), idle=100, held=made_up_idle(100)),
        made_up_cell("epoll", (1000.0,), idle=1000, held=made_up_idle(1000)),
        made_up_cell(
            "blocking",
            (),
            idle=100,
            verdict="gave-way",
            held=made_up_idle(100, 1, gave_way=["it serves one"]),
            ops_per_s=None,
            latency_us=Percentiles(),
            server=Server(),
        ),
        made_up_cell("blocking", (), idle=1000, verdict="unsupported", ops_per_s=None),
    ]


# On a terminal


def test_without_several_values_nothing_is_said(made_up_cell: MakeCell) -> None:
    assert shown([]) == ""
    assert shown([made_up_cell("epoll", (1.0,)), made_up_cell("uvloop", (1.0,))]) == ""


def test_latencies_by_share_are_a_table_of_p50_and_one_of_p99(by_share: list[Cell]) -> None:
    found = dict(tables_of(shown(by_share)))
    words = "by share of what each does in a closed loop   tcp-long, 4 connections, open loop"
    assert list(found) == [
        f"p50 latency, {words}",
        f"p99 latency, {words}",
        f"server CPU for an operation, {words}",
    ]
    p50, p99, cost = found.values()
    assert p50["model"] == p99["model"] == ["0.1", "0.5", "0.9"]
    assert p50["epoll"] == p50["uvloop"] == ["0.10 ms", "0.50 ms", "0.90 ms"]
    assert p99["epoll"] == ["2.00 ms", "10 ms", "18 ms"]
    assert p99["uvloop"] == ["4.00 ms", "20 ms", "36 ms"]
    assert cost["epoll"] == ["1.00 µs", "5.00 µs", "9.00 µs"]


@pytest.mark.parametrize(
    ("parameter", "values", "heads", "words"),
    [
        ("connections", (1, 1000), ["1", "1,000"], "by connections   tcp-long"),
        ("idle", (10, 10_000), ["10", "10,000"], "by idle connections   tcp-long, 4 connections"),
    ],
)
def test_closed_loops_are_told_by_rate_p99_and_cost(
    made_up_cell: MakeCell,
    parameter: str,
    values: tuple[int, int],
    heads: list[str],
    words: str,
) -> None:
    cells = [
        made_up_cell(model, (), ops_per_s=rate, **{parameter: value})
        for value, rate in zip(values, (2e6, 1234.0), strict=True)
        for model in ("epoll", "uvloop")
    ]
    found = dict(tables_of(shown(cells)))
    assert list(found) == [
        f"{measure}, {words}"
        for measure in ("operations a second", "p99 latency", "server CPU for an operation")
    ]
    rates, p99, cost = found.values()
    row = ["2.00M", "1.2k"]
    assert rates == {"model": heads, rates_rule(rates): [], "epoll": row, "uvloop": row}
    assert p99["epoll"] == ["0.30 ms"] * 2
    assert cost["epoll"] == ["5.25 µs"] * 2


def test_one_model_alone_has_one_table(made_up_cell: MakeCell) -> None:
    cells = [made_up_cell("epoll", (), ops_per_s=size * 10.0, size=size) for size in (16, 1024)]
    (found,) = dict(tables_of(shown(cells))).values()
    assert found["bytes of a message"][:2] == ["operations a second", "one-way payload a second"]
    assert found["16"] == ["160", "2.56 kB/s", "0.30 ms", "5.25 µs"]
    assert found["1,024"] == ["10.2k", "10.5 MB/s", "0.30 ms", "5.25 µs"]


def test_sizes_are_told_by_bytes_a_second_too(made_up_cell: MakeCell) -> None:
    """An operation of 64 KiB is no less for there being fewer of them."""
    cells = [
        made_up_cell(model, (), ops_per_s=rate, size=size)
        for size, rate in ((1, 5.0), (1000, 2e5), (65_536, 5e4))
        for model in ("epoll", "uvloop")
    ]
    found = dict(tables_of(shown([*cells, made_up_cell("blocking", (), size=1)])))
    where = "by bytes of a message   tcp-long, 4 connections"
    payload = found[f"one-way payload a second, {where}"]
    assert payload["model"] == ["1", "1,000", "65,536"]
    assert payload["epoll"] == payload["uvloop"] == ["5 B/s", "200 MB/s", "3.28 GB/s"]
    assert payload["blocking"] == ["-", "-", "-"]
    (figure,) = [each for each in curves(cells) if "payload" in each.rows[0][2]]
    assert figure.rows[0][2] == "one-way payload a second, MB"
    assert figure.traces[0]["y"] == [5e-6, 200.0, pytest.approx(3276.8)]


def rates_rule(table: dict[str, list[str]]) -> str:
    """The line under the head."""
    return next(key for key in table if set(key) == {"─"})


def test_rate_that_is_due_is_written_out(made_up_cell: MakeCell) -> None:
    cells = [
        made_up_cell(model, (), loop="open", rate=rate)
        for model in ("epoll", "uvloop")
        for rate in (0.5, 1_000_001.0)
    ]
    (head,) = {tuple(rows["model"]) for _, rows in tables_of(shown(cells))}
    assert head == ("0.5", "1,000,001")


def test_value_that_a_model_was_not_measured_at_is_a_dash(by_idle: list[Cell]) -> None:
    rates = next(rows for _, rows in tables_of(shown(by_idle)))
    assert rates["epoll"] == ["2.0k", "1.0k"]
    assert rates["blocking"] == ["-", "-"]


def test_what_became_of_the_idle_is_a_table_and_what_each_takes_a_line(
    by_idle: list[Cell],
) -> None:
    text = shown(by_idle)
    rows = [line.split() for line in text[text.index("each served once") :].splitlines()]
    assert ["epoll", "100", "100", "1.5", "s", "0.20", "ms", "1.50", "ms"] in [
        row[:9] for row in rows
    ]
    assert ["blocking", "100", "1"] in [row[:3] for row in rows]
    assert ["epoll", "1,000", "1,000"] in [row[:3] for row in rows]
    assert not [row for row in rows if row[:2] == ["blocking", "1,000"]]
    assert "\nepoll: 1.00 KB of server memory for each idle one\n" in text
    assert "blocking: " not in text


def test_few_idle_connections_say_nothing_of_memory(
    made_up_cell: MakeCell, made_up_idle: MakeIdle
) -> None:
    """Pages are larger than what one of them takes."""
    cells = [made_up_cell("epoll", (1.0,), idle=many, held=made_up_idle(many)) for many in (10, 50)]
    assert "each served once" in shown(cells)
    assert "KB of server memory" not in shown(cells)


@pytest.mark.parametrize("width", [80, 200])
def test_whole_run_shows_its_sweeps_after_its_tables(
    made_up_run: MakeRun, by_idle: list[Cell], width: int
) -> None:
    out = io.StringIO()
    show(made_up_run(by_idle), Console(file=out, width=width, highlight=False, emoji=False))
    text = out.getvalue()
    tables = [text.index(f"beside {many} idle") for many in ("100", "1,000")]
    assert max(tables) < text.index("operations a second, by idle connections")
    assert text.index("each served once") < text.index("A CPU")


def test_names_that_look_like_markup_are_shown_as_they_are(
    made_up_cell: MakeCell, made_up_idle: MakeIdle
) -> None:
    cells = [
        made_up_cell(HOSTILE, (1.0,), idle=many, held=made_up_idle(many)) for many in (100, 1000)
    ]
    text = shown(cells)
    assert text.count("[red]</script><b>?[2J") == 1 + 2 + 1
    assert "\x1b" not in text


# On the page


def test_each_measure_is_a_curve_and_a_table(by_share: list[Cell]) -> None:
    p50, p99, cost = curves(by_share)
    assert p99.title == "P99 latency by operations due in a second"
    assert p50.rows[0] == ["model", "operations due in a second", "p50 latency, ms"]
    assert [(each["name"], each["x"], each["y"]) for each in p99.traces] == [
        ("epoll", [100.0, 500.0, 900.0], [2.0, 10.0, 18.0]),
        ("uvloop", [200.0, 1000.0, 1800.0], [4.0, 20.0, 36.0]),
    ]
    assert ["uvloop", "1,000", "20"] in p99.rows
    assert cost.rows[0][2] == "server CPU for an operation, µs"
    assert len({each.id for each in (p50, p99, cost)}) == 3


def test_what_is_no_rate_is_on_a_logarithmic_axis(
    by_idle: list[Cell], by_share: list[Cell]
) -> None:
    for figure in curves(by_idle):
        assert figure.layout["xaxis"]["type"] == "log"
        assert figure.traces[0]["name"] == "epoll"
        assert "A flat line is what epoll promises." in figure.caption
    for figure in curves(by_share):
        assert "type" not in figure.layout["xaxis"]


def test_model_without_a_figure_is_no_curve(by_idle: list[Cell]) -> None:
    rates, *_ = curves(by_idle)
    assert [each["name"] for each in rates.traces] == ["epoll"]
    assert [row[0] for row in rates.rows[1:]] == ["epoll", "epoll"]


def test_measure_that_nobody_has_is_no_figure(made_up_cell: MakeCell) -> None:
    bare: dict[str, Any] = {"latency_us": Percentiles(), "server": Server()}
    cells = [made_up_cell("epoll", (1.0,), idle=many, **bare) for many in (10, 100)]
    assert [each.title for each in curves(cells)] == ["Operations a second by idle connections"]


def test_page_shows_curves_in_a_part_of_their_own(
    made_up_run: MakeRun, by_idle: list[Cell]
) -> None:
    text = page([Given("run 7", made_up_run(by_idle))])
    assert 'href="#sweeps"' in text
    section = text[text.index('<section id="sweeps"') :].partition("</section>")[0]
    assert "What changes with what" in section
    for words in ("Operations a second", "P99 latency", "Server CPU for an operation"):
        assert f"{words} by idle connections" in section
    assert "Server memory for idle connections, KB by idle connections" in section
    assert section.count("</details>") == 4


def test_page_without_several_values_has_no_such_part(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    text = page([Given("run 7", made_up_run([made_up_cell("epoll", (1.0,))]))])
    assert 'id="sweeps"' not in text
    assert 'href="#sweeps"' not in text


def test_everything_on_a_page_of_many_loads_has_an_id_of_its_own(
    made_up_run: MakeRun, made_up_cell: MakeCell, made_up_pace: MakePace
) -> None:
    cells = [
        made_up_cell("epoll", (1000.0,), connections=connections, size=size, idle=idle, **due)
        for connections in (4, 64)
        for size in (16, 1000)
        for idle in (10, 100)
        for due in (
            {},
            {"loop": "open", "share": 0.5, "pace": made_up_pace()},
            {"loop": "open", "share": 0.9, "pace": made_up_pace()},
            {"loop": "open", "rate": 900.0, "pace": made_up_pace()},
            {"loop": "open", "rate": 950.0, "pace": made_up_pace()},
        )
    ]
    text = page([Given("run 7", made_up_run(cells))])
    ids = re.findall(r'<(?:section|h\d|div|figure|details)[^>]* id="([^"]+)"', text)
    assert len(ids) == len(set(ids)) > len(cells)
    drawn = [each.id for each in curves(cells)]
    assert len(drawn) == len(set(drawn))


def test_hostile_name_is_no_markup_in_a_curve(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    cells = [made_up_cell(HOSTILE, (1.0,), idle=many) for many in (10, 100)]
    text = page([Given("run 7", made_up_run(cells))])
    assert HOSTILE not in text
    assert "</script><b>" not in text
