"""What more cores gain, as it is shown."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import msgspec
import pytest
from rich.console import Console

from compare.report.page import Given, page
from compare.report.scaling import curves, show_scaling
from compare.report.terminal import show
from compare.results.records import Cell, Run, Scalability
from compare.results.scalability import Law, scalabilities

MakeCell = Callable[..., Cell]
MakeRun = Callable[..., Run]
Cells = Callable[..., list[Cell]]
HOSTILE = "[red]</script><b>\x1b[2J"
LAW = Law(1000.0, 0.05, 0.01)


@pytest.fixture
def ladder(made_up_cell: MakeCell) -> Cells:
    def ladder(model: str = "uvloop-workers", rungs: Sequence[int] = (1, 2, 4)) -> list[Cell]:
        steady = (0.99, 1.0, 1.01)
        return [
            made_up_cell(model, tuple(LAW.at(cores) * each for each in steady), cores=cores)
            for cores in rungs
        ]

    return ladder


def shown(found: Sequence[Scalability]) -> str:
    out = io.StringIO()
    show_scaling(found, Console(file=out, width=500, highlight=False, emoji=False))
    return out.getvalue()


def test_run_without_it_shows_nothing() -> None:
    assert shown([]) == ""
    assert list(curves([])) == []


def test_table_has_efficiencies_constants_and_the_peak(ladder: Cells) -> None:
    text = shown(scalabilities(ladder()))
    (row,) = [line for line in text.splitlines() if line.startswith("uvloop-workers")]
    assert "100%" in row
    assert f"{LAW.at(2) / 2000:.0%}" in row
    assert f"{LAW.at(4) / 4000:.0%}" in row
    assert "0.05 (" in row
    assert "0.01 (" in row
    assert row.endswith("10 cores")


def test_what_cannot_be_told_is_a_dash_and_said_once_for_all(ladder: Cells) -> None:
    text = shown(scalabilities(ladder("one", (1, 2)) + ladder("two", (1, 2))))
    assert text.count("two numbers of cores tell contention only") == 1
    rows = [line for line in text.splitlines() if line.startswith(("one ", "two  "))]
    assert len(rows) == 2
    assert all(row.split()[-2:] == ["-", "-"] for row in rows)


def test_rungs_that_one_model_lacks_are_a_dash(ladder: Cells) -> None:
    text = shown(scalabilities(ladder("one") + ladder("other", (1, 2))))
    (row,) = [line for line in text.splitlines() if line.startswith("other ")]
    assert "-" in row.split()
    assert "other: two numbers of cores" in text


def test_curve_has_what_was_measured_and_the_law(ladder: Cells) -> None:
    (figure,) = curves(scalabilities(ladder()))
    measured, law = figure.traces
    assert measured["x"] == [1, 2, 4]
    assert measured["y"] == pytest.approx([LAW.at(cores) / LAW.one for cores in (1, 2, 4)])
    assert (law["x"][0], law["x"][-1]) == (1, 4)
    assert law["y"] == pytest.approx([LAW.at(cores) / LAW.one for cores in law["x"]])
    assert [row[1] for row in figure.rows[1:]] == ["1", "2", "4"]


def test_terminal_and_page_show_it_in_a_run(ladder: Cells, made_up_run: MakeRun) -> None:
    cells = ladder(HOSTILE)
    run = with_laws(made_up_run(cells, server_cores=[0, 1, 2, 3], rungs=[1, 2, 4]), cells)
    out = io.StringIO()
    show(run, Console(file=out, width=200, highlight=False, emoji=False))
    text = out.getvalue()
    assert "what more cores gain" in text
    assert "server on core 0, driver" in text
    assert "server on cores 0,1,2,3, driver" in text
    html = page([Given("run 7", run, "compare scale --cores 1,2,4")])
    assert "What more cores gain" in html
    assert "<b>" not in html.partition("<main")[2]


def test_page_of_two_runs_names_whose_it_is(ladder: Cells, made_up_run: MakeRun) -> None:
    cells = ladder()
    run = with_laws(made_up_run(cells), cells)
    html = page([Given("before", run, None), Given("after", run, None)])
    assert "uvloop-workers (before)" in html
    assert "uvloop-workers (after)" in html


def with_laws(run: Run, cells: list[Cell]) -> Run:
    return msgspec.structs.replace(run, scalability=scalabilities(cells))
