"""A run in few columns."""

from __future__ import annotations

from made_up_records import made_up_cell, made_up_run
from rich.console import Console

from compare.contract.counts import Counts
from compare.report.brief import show
from compare.results.records import Run


def shown(run: Run, width: int = 80) -> list[str]:
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        show(run, console)
    return [each.rstrip() for each in capture.get().splitlines()]


def test_two_loads_of_five_models_are_on_one_page() -> None:
    models = ["yours", "poll", "epoll", "epoll-et", "bare-epoll"]
    cells = [made_up_cell(name, (1e5, 1.1e5), idle=idle) for idle in (10, 1000) for name in models]
    for width in (60, 80):
        lines = shown(made_up_run(cells), width)
        assert len(lines) <= 18
        assert [each.split() for each in lines if "ops/s" in each] == [
            ["model", "ops/s", "CPU/op", "p99"]
        ] * 2
        assert sum("bare-epoll" in each for each in lines) == 2
        assert not any("…" in each for each in lines)
        assert "tcp-long, 4 connections beside 1,000 idle" in lines


def test_who_was_not_served_has_a_column_and_what_is_amiss_a_line() -> None:
    cell = made_up_cell(
        "yours",
        (10.0,),
        verdict="errors",
        reasons=["3 starved: it serves one client at a time"],
        counts=Counts(attempted=4, connected=4, served=1),
    )
    lines = shown(made_up_run([cell]))
    assert "served" in lines[1]
    assert "1/4" in "".join(lines)
    assert lines[-1] == "yours: 3 starved: it serves one client at a time"


def test_nothing_measured_is_shown_as_that() -> None:
    cell = made_up_cell("yours", (), verdict="failed", reasons=["it ended: exit status 1"])
    assert shown(made_up_run([cell]))[-1] == "yours: it ended: exit status 1"
