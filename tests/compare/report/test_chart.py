"""The picture of a run: what it shows, and that nothing in it is obeyed."""

from __future__ import annotations

from collections.abc import Callable
from xml.etree import ElementTree

import pytest
from made_up_records import made_up_cell, made_up_run

from compare.report.chart import COLOURS, WIDTH, Theme, chart
from compare.results.records import Cell, Run

SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>\x1b[2J\x00"


def texts(picture: str) -> list[str]:
    return [each.text or "" for each in ElementTree.fromstring(picture).iter(f"{SVG}text")]


def boxes(picture: str, colour: str) -> list[dict[str, float]]:
    found = ElementTree.fromstring(picture).iter(f"{SVG}rect")
    return [
        {name: float(value) for name, value in each.items() if name != "fill"}
        for each in found
        if each.get("fill") == colour
    ]


@pytest.fixture
def run() -> Run:
    return made_up_run([made_up_cell("epoll", (1000.0,) * 5), made_up_cell("uvloop", (500.0,) * 5)])


@pytest.mark.parametrize("theme", COLOURS)
def test_bars_are_as_long_as_rates_and_lie_within_the_picture(run: Run, theme: Theme) -> None:
    picture = chart(run, theme)
    first, second = boxes(picture, COLOURS[theme][-1])
    assert first["width"] == pytest.approx(2 * second["width"])
    for each in boxes(picture, COLOURS[theme][-1]) + boxes(picture, COLOURS[theme][1]):
        assert 0 <= each["x"] <= each["x"] + each["width"] <= WIDTH
    assert "1.0k, 5.25 µs" in texts(picture)


def test_each_load_has_a_panel_and_the_machine_is_named(run: Run) -> None:
    cells = [*run.cells, made_up_cell("epoll", (10.0,) * 5, workload="chat")]
    told = texts(chart(made_up_run(cells)))
    assert "tcp-long, 4 connections" in told
    assert [each for each in told if each.startswith("chat, ")]
    assert "CPython 3.11.7" in told[-1]
    assert told[-1].endswith("2024-01-01")


@pytest.mark.parametrize(
    "cell",
    [
        lambda: made_up_cell("epoll", (), verdict="unsupported"),
        lambda: made_up_cell(HOSTILE, (3.0,)),
    ],
)
def test_odd_cells_make_a_picture_all_the_same(cell: Callable[[], Cell]) -> None:
    picture = chart(made_up_run([cell()]))
    assert "<script" not in picture
    assert texts(picture)
