"""From how much work on two models are within a margin of each other."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.results.breakeven import break_evens, crossing
from compare.results.records import BreakEven, Cell

MakeCell = Callable[..., Cell]
WORKS = (0.0, 20.0, 50.0, 100.0, 200.0, 500.0)
LIMIT = math.log(1.05)


def difference(work: float, costs: tuple[float, float]) -> float:
    """Of two models that cost so much for a message beside the work."""
    return math.log((work + costs[0]) / (work + costs[1]))


@pytest.mark.parametrize("works", [WORKS, (0.0, 500.0), (0.0, 100.0, 500.0)])
def test_where_costs_are_fixed_the_point_is_found(works: Sequence[float]) -> None:
    costs = 15.0, 10.0
    truth = 5 / 0.05 - 10  # (work + 15) / (work + 10) = 1.05
    found = crossing(works, [difference(work, costs) for work in works], LIMIT)
    assert found == pytest.approx(truth, rel=0.05)


def test_what_is_alike_at_once_is_alike_from_the_least_work_on() -> None:
    assert crossing([5.0, 10.0], [0.01, 0.02], LIMIT) == 5.0


def test_what_is_never_alike_has_no_point() -> None:
    assert crossing([5.0, 10.0], [0.01, 0.2], LIMIT) is None


def test_it_is_the_last_time_that_counts() -> None:
    found = crossing([0.0, 10.0, 20.0, 30.0], [0.2, 0.01, 0.2, 0.04], LIMIT)
    assert found is not None
    assert 20.0 < found < 30.0


@given(
    st.lists(st.tuples(st.floats(0, 2), st.floats(0, 2)), min_size=2, max_size=8),
    st.floats(0.001, 1),
)
def test_smaller_differences_are_never_alike_later(
    ends: list[tuple[float, float]], limit: float
) -> None:
    works = [float(number) for number in range(len(ends))]
    near = crossing(works, [min(each) for each in ends], limit)
    far = crossing(works, [max(each) for each in ends], limit)
    assert near is not None or far is None
    if near is not None and far is not None:
        assert near <= far + 1e-6
    for found in (near, far):
        assert found is None or 0 <= found <= works[-1]


@pytest.fixture
def by_work(made_up_cell: MakeCell) -> list[Cell]:
    """Four models whose messages cost 10, 15, 15 and 30 us beside the work."""
    costs = {"uvloop": 10.0, "epoll": 15.0, "asyncio": 15.0, "threaded": 30.0}
    return [
        made_up_cell(
            model, tuple(1e6 / (cost + work) * wobble for wobble in (1.0, 1.01, 0.99)), work_us=work
        )
        for work in WORKS
        for model, cost in costs.items()
    ]


def of_pair(found: list[BreakEven], model: str, to: str) -> BreakEven:
    (each,) = [each for each in found if (each.model, each.to) == (model, to)]
    return each


def test_each_is_held_against_the_best_and_against_its_own_kind(by_work: list[Cell]) -> None:
    found = [each for each in break_evens(by_work) if each.metric == "ops_per_s"]
    assert {(each.model, each.to) for each in found} == {
        ("epoll", "uvloop"),
        ("asyncio", "uvloop"),
        ("threaded", "uvloop"),
    }
    near = of_pair(found, "asyncio", "uvloop")
    assert near.from_us == pytest.approx(90.0, rel=0.05)
    assert near.from_us_ci95 == (pytest.approx(90.0, rel=0.05),) * 2
    assert [share.work_us for share in near.shares] == [*WORKS]
    assert near.shares[0].ratio == pytest.approx(10 / 15)
    far = of_pair(found, "threaded", "uvloop")
    assert far.from_us == pytest.approx(20 / 0.05 - 10, rel=0.05)
    assert (near.work_us, near.margin) == (0.0, 0.05)


def test_a_wider_margin_is_kept_sooner(by_work: list[Cell]) -> None:
    found = [each for each in break_evens(by_work, 0.2) if each.metric == "ops_per_s"]
    assert of_pair(found, "asyncio", "uvloop").from_us == pytest.approx(5 / 0.2 - 10, rel=0.1)


def test_who_was_not_measured_with_work_is_nobody_to_compare_with(
    by_work: list[Cell], made_up_cell: MakeCell
) -> None:
    reference = made_up_cell("bare-epoll", (200_000.0,) * 3)
    found = break_evens([reference, *by_work])
    assert {each.to for each in found if each.metric == "ops_per_s"} == {"uvloop"}


def test_one_round_has_no_interval(made_up_cell: MakeCell) -> None:
    cells = [
        made_up_cell(model, (1e6 / (cost + work),), work_us=work)
        for work in (0.0, 200.0)
        for model, cost in (("uvloop", 10.0), ("asyncio", 15.0))
    ]
    (found,) = [each for each in break_evens(cells) if each.metric == "ops_per_s"]
    assert found.from_us == pytest.approx(90.0, rel=0.1)
    assert found.from_us_ci95 is None


def test_nothing_is_said_where_work_has_one_value(made_up_cell: MakeCell) -> None:
    cells = [made_up_cell(model, (1000.0, 1001.0), work_us=50.0) for model in ("a", "b")]
    assert break_evens(cells) == []
