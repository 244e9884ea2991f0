"""What changes with one parameter, from made-up cells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.results.records import Cell, Idle
from compare.results.sweep import PARAMETERS, bytes_per_idle, sweeps

MakeCell = Callable[..., Cell]
MakeIdle = Callable[..., Idle]


def cell(model: str = "epoll", **changes: Any) -> Cell:
    values: dict[str, Any] = {"workload": "tcp-long", "connections": 4, "size": 100}
    return Cell(model=model, verdict="ok", reasons=[], **values | changes)


def test_what_is_alike_in_all_cells_is_no_sweep() -> None:
    assert sweeps([]) == []
    assert sweeps([cell(), cell("uvloop")]) == []


@pytest.mark.parametrize(
    ("parameter", "values"),
    [
        ("connections", [64, 1, 8]),
        ("idle", [1000, 10]),
        ("size", [65_536, 16]),
        ("work_us", [100.0, 0.0, 20.0]),
        ("wait_us", [5000.0, 0.0]),
        ("cores", [4, 1, 2]),
        ("rate", [20_000.0, 10.5]),
        ("share", [0.9, 0.1, 0.5]),
    ],
)
def test_each_parameter_with_several_values_is_a_curve_for_each_model(
    parameter: str, values: list[float]
) -> None:
    due: dict[str, Any] = {"loop": "open"} if parameter in ("rate", "share") else {}
    cells = [
        cell(model, **due | {parameter: value}) for value in values for model in ("one", "two")
    ]
    (found,) = sweeps(cells)
    assert found.parameter == parameter
    assert found.words == PARAMETERS[parameter][0]
    assert found.values == sorted(values)
    assert list(found.points) == ["one", "two"]
    for model, points in found.points.items():
        assert [value for value, _ in points] == sorted(values)
        assert all(getattr(each, parameter) == value for value, each in points)
        assert {each.model for _, each in points} == {model}


def test_rates_are_no_curve_with_the_closed_loop() -> None:
    cells = [cell(), cell(loop="open", share=0.5)]
    assert sweeps(cells) == []
    (found,) = sweeps([*cells, cell(loop="open", share=0.9)])
    assert [each.loop for _, each in found.points["epoll"]] == ["open", "open"]


def test_each_value_of_one_parameter_has_a_curve_over_the_other() -> None:
    cells = [cell(size=size, idle=idle) for size in (16, 1024) for idle in (10, 100, 1000)]
    found = sweeps(cells)
    assert [(each.parameter, each.fixed.size, each.fixed.idle) for each in found] == [
        *(("idle", 16, 0), ("idle", 1024, 0)),
        *(("size", 0, 10), ("size", 0, 100), ("size", 0, 1000)),
    ]


def test_model_that_has_fewer_values_than_others_has_fewer_points() -> None:
    (found,) = sweeps([cell(idle=10), cell(idle=100), cell("blocking", idle=10)])
    assert [len(points) for points in found.points.values()] == [2, 1]
    assert found.values == [10, 100]


parameters = st.fixed_dictionaries(
    {
        "model": st.sampled_from("abc"),
        "connections": st.integers(1, 3),
        "idle": st.integers(0, 3),
        "size": st.integers(1, 3),
        "share": st.none() | st.sampled_from([0.1, 0.5]),
    }
)


@given(st.lists(parameters, max_size=20, unique_by=lambda each: repr(sorted(each.items()))))
def test_points_of_a_curve_differ_in_its_parameter_alone(found: list[dict[str, Any]]) -> None:
    cells = [cell(**each, loop="open" if each["share"] else "closed") for each in found]
    for sweep in sweeps(cells):
        assert len(sweep.values) > 1
        for points in sweep.points.values():
            values = [value for value, _ in points]
            assert values == sorted(set(values))
            for _, each in points:
                for name in ("connections", "idle", "size", "share"):
                    if name != sweep.parameter:
                        assert getattr(each, name) == getattr(sweep.fixed, name)


# Memory


@given(
    each_kb=st.floats(0.1, 100),
    first_kb=st.integers(0, 10_000),
    idle=st.lists(st.integers(1, 100_000), min_size=2, max_size=5, unique=True),
)
def test_memory_of_an_idle_connection_is_what_one_more_takes(
    made_up_idle: MakeIdle, each_kb: float, first_kb: int, idle: list[int]
) -> None:
    """Not what the first of them take once and for all; to the kilobyte."""
    cells = [
        cell(idle=many, held=made_up_idle(many, server_kb=round(first_kb + many * each_kb)))
        for many in idle
    ]
    off = 1024 / (max(idle) - min(idle))
    assert bytes_per_idle(cells)["epoll"] == pytest.approx(1024 * each_kb, abs=2 * off)


def test_of_one_number_of_them_it_is_the_mean(made_up_idle: MakeIdle) -> None:
    cells = [
        cell(workload=workload, idle=100, held=made_up_idle(100, server_kb=kb))
        for workload, kb in (("tcp-long", 100), ("tcp-short", 300))
    ]
    assert bytes_per_idle(cells) == {"epoll": 2048.0}


def test_those_that_were_not_all_served_say_nothing_of_memory(made_up_idle: MakeIdle) -> None:
    cells = [
        cell(idle=100, held=made_up_idle(100)),
        cell(idle=1000, held=made_up_idle(1000, 999, server_kb=7)),
        cell("blocking", idle=100, held=made_up_idle(100, 1)),
        cell("without"),
    ]
    assert bytes_per_idle(cells) == {"epoll": 1024.0}
