"""Who is best, from made-up cells."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from compare.results.ranking import rank, rank_all
from compare.results.records import Cell, Pace

MakeCell = Callable[..., Cell]

SLOW = (100_000.0, 101_000.0, 99_000.0, 100_500.0, 99_500.0)
SLOW_TOO = (100_100.0, 100_900.0, 99_100.0, 100_400.0, 99_600.0)
FAST = (200_000.0, 201_000.0, 199_000.0, 200_500.0, 199_500.0)


def standings(*cells: Cell) -> dict[str, str]:
    return {each.model: each.standing for each in rank(cells)}


def test_best_comes_first_and_is_held_against_itself(made_up_cell: MakeCell) -> None:
    best, other = rank([made_up_cell("slow", SLOW), made_up_cell("fast", FAST)])
    assert (best.model, best.standing, best.ratio, best.ratio_ci95) == ("fast", "best", 1.0, None)
    assert (other.model, other.standing, other.best) == ("slow", "behind", "fast")
    assert other.ratio == pytest.approx(0.5, rel=0.02)
    assert other.ratio_ci95 is not None
    assert other.ratio_ci95[0] < 0.5 < other.ratio_ci95[1] < 1
    assert other.chance == pytest.approx(2 / 252)


def test_interval_that_holds_one_is_a_tie(made_up_cell: MakeCell) -> None:
    cells = made_up_cell("one", SLOW), made_up_cell("two", SLOW_TOO)
    assert standings(*cells) == {"two": "best", "one": "tied"}


def test_order_of_the_cells_does_not_matter(made_up_cell: MakeCell) -> None:
    cells = [
        made_up_cell("fast", FAST),
        made_up_cell("slow", SLOW),
        made_up_cell("slow-too", SLOW_TOO),
    ]
    assert all(rank(each) == rank(cells) for each in itertools.permutations(cells))


@pytest.mark.parametrize(("others", "standing"), [(1, "behind"), (3, "close")])
def test_more_that_are_compared_must_differ_more_each(
    made_up_cell: MakeCell, others: int, standing: str
) -> None:
    """Four rounds against four have a chance of 1 in 35 to part by chance; Holm."""
    cells = [made_up_cell(f"m{number}", SLOW[:4]) for number in range(others)]
    found = standings(*cells, made_up_cell("fast", FAST[:4]))
    assert [found[cell.model] for cell in cells] == [standing] * others


def test_six_rounds_tell_more_models_of_a_table_apart_than_five(made_up_cell: MakeCell) -> None:
    """Five against five part by chance in 2 of 252: too often for seven comparisons by Holm."""
    for many, standing in ((5, "close"), (6, "behind")):
        slow = [100.0 + number for number in range(many)]
        cells = [made_up_cell(f"m{number}", slow) for number in range(7)]
        found = standings(*cells, made_up_cell("fast", [2 * each for each in slow]))
        assert {found[cell.model] for cell in cells} == {standing}


def test_one_alone_has_nobody_to_beat(made_up_cell: MakeCell) -> None:
    assert rank([]) == []
    assert rank([made_up_cell("only", FAST)]) == []


@pytest.mark.parametrize("verdict", ["failed", "unsupported", "rate-unmet"])
def test_figure_that_cannot_be_believed_is_not_ranked(made_up_cell: MakeCell, verdict: str) -> None:
    cells = [
        made_up_cell("doubtful", FAST, verdict=verdict),
        made_up_cell("one", SLOW),
        made_up_cell("two", SLOW_TOO),
    ]
    assert standings(*cells) == {"two": "best", "one": "tied"}


def test_same_rate_for_all_has_no_best(
    made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    cells = [
        made_up_cell(model, rates, loop="open", pace=made_up_pace(5000.0))
        for model, rates in (("one", SLOW), ("two", FAST))
    ]
    assert rank(cells) == []


def test_each_load_has_a_best_of_its_own(
    made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    loads: list[dict[str, Any]] = [
        {"workload": "tcp-long"},
        {"workload": "chat"},
        {"connections": 8},
        {"loop": "open", "pace": made_up_pace(1.0)},
    ]
    cells = []
    for load in loads:
        cells += [made_up_cell("one", SLOW, **load), made_up_cell("two", FAST, **load)]
    cells[-1] = made_up_cell("two", FAST, loop="open", pace=made_up_pace(2.0))
    found = rank_all(cells)
    assert [each.standing for each in found] == ["best", "behind"] * len(loads)
