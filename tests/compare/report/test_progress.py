"""What is shown while a run goes on."""

from __future__ import annotations

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from compare.measure.progress import Progress
from compare.report import progress
from compare.report.progress import Live, Plain, spark
from compare.results.records import Cell, Key, Load, Round, Run

LOAD = Load(workload="tcp-long", connections=4, size=1000)


def test_spark_shows_the_last_rates_against_the_highest() -> None:
    assert spark([]) == ""
    assert spark([0.0, 0.0]) == ""
    assert spark([0.0, 50.0, 100.0]) == "▁▄█"
    assert len(spark([1.0] * 1000)) == progress.SPARK_WIDTH


def test_rate_of_less_than_one_a_second_is_told(
    capsys: pytest.CaptureFixture[str], made_up_round: Callable[..., Round]
) -> None:
    under_way = Progress(Key("epoll", LOAD), 1, 1, 1, finished=made_up_round(0.25))
    Plain().watch(under_way)
    assert capsys.readouterr().err.endswith(": 0.25/s\n")


def test_rates_are_those_of_the_window_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    times = iter([0.0, 0.1, 0.3, 5.0, 5.1])
    monkeypatch.setattr("compare.measure.run.time.monotonic", lambda: next(times))
    under_way = Progress(Key("epoll", LOAD), 1, 0, 1)
    for operations in (0, 10, 50):
        under_way.count(operations)
    assert under_way.rates == pytest.approx([100.0, 200.0])
    under_way.begin()
    under_way.count(0)
    under_way.count(7)
    assert under_way.rates == pytest.approx([70.0])


def test_table_fills_and_is_drawn_twice_a_second_at_most(
    monkeypatch: pytest.MonkeyPatch,
    made_up_cell: Callable[..., Cell],
    made_up_run: Callable[..., Run],
) -> None:
    now = 100.0
    monkeypatch.setattr(progress.time, "monotonic", lambda: now)
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=100, height=30, color_system=None)
    under_way = Progress(Key("asyncio", LOAD), 2, 1, 4)
    under_way.rates = [100.0, 200.0]
    with Live(console) as view:
        view.show(made_up_run([made_up_cell("epoll", (1000.0,))]))
        now += 1.0
        view.watch(under_way)
        drawn = file.getvalue()
        now += 0.4
        view.watch(under_way)
        assert file.getvalue() == drawn
        now += 0.2
        view.watch(under_way)
        assert len(file.getvalue()) > len(drawn)
    assert "epoll" in drawn
    assert "round 2  asyncio tcp-long 4  ▄█ 200/s" in drawn
    assert "1/4   0:03 left" in drawn


def test_those_that_are_measured_beside_each_other_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(progress.time, "monotonic", lambda: 100.0)
    file = io.StringIO()
    with Live(Console(file=file, force_terminal=True, width=100, color_system=None)) as view:
        under_way = Progress(Key("asyncio", LOAD), 2, 1, 4)
        under_way.beside = 4
        view.watch(under_way)
    assert "round 2  5 models tcp-long 4" in file.getvalue()


def test_elsewhere_a_line_tells_of_each_cell_that_is_done(
    capsys: pytest.CaptureFixture[str], made_up_round: Callable[..., Round]
) -> None:
    under_way = Progress(Key("epoll", LOAD), 1, 0, 2)
    Plain().watch(under_way)
    under_way.finished, under_way.done = made_up_round(1234.0), 1
    Plain().watch(under_way)
    assert capsys.readouterr().err == "[1/2] round 1 epoll tcp-long 4: 1,234/s\n"
