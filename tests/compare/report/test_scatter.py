"""Speed against cost: what is shown, and where names have room."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.report.scatter import SIDES, speed_against_cost
from compare.results.records import Cell, Load, Server

LOAD = Load(workload="tcp-long", connections=4, size=1000)
# So that what lies between them is close, or far, in parts of the picture.
CORNERS = [("least", 1.0, 10_000.0), ("most", 100.0, 100_000.0)]

Point = tuple[str, float | None, float | None]  # model, CPU of an operation, operations a second

names = st.text("abcdefgh-@[]", min_size=1, max_size=24)
figures = st.floats(1e-3, 1e9)
points = st.tuples(names, figures, figures)


def cell_of(model: str, cost: float | None, rate: float | None) -> Cell:
    return Cell(
        model=model,
        **msgspec.structs.asdict(LOAD),
        verdict="ok",
        reasons=[],
        ops_per_s=rate,
        server=Server(cpu_us_per_op=cost),
    )


def traces(shown: Sequence[Point]) -> list[dict[str, Any]]:
    figure = speed_against_cost(LOAD, [cell_of(*point) for point in shown])
    assert figure is not None
    return figure.traces


def sides(*shown: Point) -> list[str]:
    return [each["textposition"] for each in traces(shown)]


# What is shown


def test_each_model_is_a_point_with_its_name_and_a_row() -> None:
    figure = speed_against_cost(LOAD, [cell_of(*each) for each in CORNERS])
    assert figure is not None
    assert [(each["text"], each["x"], each["y"]) for each in figure.traces] == [
        (["least"], [1.0], [10_000.0]),
        (["most"], [100.0], [100_000.0]),
    ]
    assert figure.rows == [
        ["model", "CPU, µs an operation", "operations a second"],
        ["least", "1", "10,000"],
        ["most", "100", "100,000"],
    ]


@pytest.mark.parametrize(
    "unknown", [("x", None, 1.0), ("x", 1.0, None), ("x", 0.0, 1.0), ("x", 1.0, 0.0)]
)
def test_model_without_a_speed_or_a_cost_is_no_point(unknown: Point) -> None:
    assert [each["model"] for each in traces([*CORNERS, unknown])] == ["least", "most"]
    assert speed_against_cost(LOAD, [cell_of(*each) for each in (CORNERS[0], unknown)]) is None


def test_one_model_alone_is_no_picture() -> None:
    assert speed_against_cost(LOAD, [cell_of(*CORNERS[0])]) is None
    assert speed_against_cost(LOAD, []) is None


@given(st.lists(points, min_size=2, max_size=12))
def test_any_points_have_as_many_places(shown: list[Point]) -> None:
    found = sides(*shown)
    assert len(found) == len(shown)
    assert set(found) <= set(SIDES)


# Where names have room


def test_name_with_nothing_beside_it_is_above_its_point() -> None:
    assert sides(*CORNERS, ("middle", 10.0, 50_000.0)) == ["top center"] * 3


@pytest.mark.parametrize(
    ("times_dearer", "times_faster"), [(1.0, 1.0), (1.02, 1.0), (1.0, 1.01), (1.02, 0.99)]
)
def test_names_of_points_that_are_close_are_on_different_sides(
    times_dearer: float, times_faster: float
) -> None:
    close = ("asyncio", 10.0 * times_dearer, 50_000.0 * times_faster)
    *_, one, other = sides(*CORNERS, ("epoll", 10.0, 50_000.0), close)
    assert one != other


@given(model=names, other=names, cost=figures, rate=figures)
def test_names_at_one_point_are_on_different_sides(
    model: str, other: str, cost: float, rate: float
) -> None:
    one, two = sides((model, cost, rate), (other, cost, rate))
    assert one != two


def test_four_names_at_one_point_are_on_its_four_sides() -> None:
    found = sides(*CORNERS, *[(model, 10.0, 50_000.0) for model in ("poll", "fork", "trio", "uv")])
    assert set(found[2:]) == set(SIDES)


def test_name_does_not_cover_the_point_above_it() -> None:
    found = sides(*CORNERS, ("below", 10.0, 50_000.0), ("above", 10.0, 54_000.0))
    assert found[2:] == ["middle right", "top center"]


def test_more_names_at_one_point_than_it_has_sides_have_a_place_each() -> None:
    assert len(sides(*[(f"model-{n}", 10.0, 50_000.0) for n in range(40)])) == 40


def test_points_that_are_far_from_each_other_do_not_move_names() -> None:
    found = sides(
        *CORNERS, ("one", 3.0, 40_000.0), ("two", 3.0, 80_000.0), ("three", 30.0, 40_000.0)
    )
    assert found == ["top center"] * 5
