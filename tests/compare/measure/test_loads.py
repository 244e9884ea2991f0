"""The loads that settings come to, and in which order."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from short_runs import asked

from compare.measure.loads import loads_of
from compare.models.matrix import WORKLOADS
from compare.results.records import Load

several = {
    "workloads": st.lists(st.sampled_from(list(WORKLOADS)), min_size=1, unique=True),
    "connections": st.lists(st.integers(1, 999), min_size=1, max_size=3, unique=True),
    "sizes": st.lists(st.integers(16, 999), max_size=3, unique=True),
    "idle": st.lists(st.integers(0, 999), min_size=1, max_size=3, unique=True),
}
shares = st.lists(st.floats(0.01, 1.5), max_size=3, unique=True)


def test_sizes_are_each_workloads_usual_one_if_none_is_asked_for() -> None:
    loads = loads_of(asked(workloads=list(WORKLOADS), sizes=[]))
    assert [(each.workload, each.size) for each in loads] == [
        (name, workload.size) for name, workload in WORKLOADS.items()
    ]


@given(st.fixed_dictionaries(several), shares)
def test_every_combination_is_there_once_and_closed_loops_come_first(
    parameters: dict[str, list[Any]], shares: list[float]
) -> None:
    loads = loads_of(asked(**parameters, shares=shares))
    sizes = len(parameters["sizes"]) or 1
    many = len(parameters["workloads"]) * len(parameters["connections"]) * sizes
    many *= len(parameters["idle"])
    assert len(set(loads)) == len(loads) == many * (1 + len(shares))
    assert [each.loop for each in loads] == ["closed"] * many + ["open"] * many * len(shares)
    closed = {*loads[:many]}
    assert {each.closed for each in loads} == closed
    assert {each.share for each in loads[many:]} == {*shares}


@given(st.fixed_dictionaries(several), shares)
def test_fewer_idle_connections_come_before_more(
    parameters: dict[str, list[Any]], shares: list[float]
) -> None:
    seen: dict[Any, list[int]] = {}
    for each in loads_of(asked(**parameters, shares=shares)):
        key = (each.workload, each.connections, each.size, each.loop, each.share)
        seen.setdefault(key, []).append(each.idle)
    assert all(idle == sorted(parameters["idle"]) for idle in seen.values())


def test_workloads_connections_and_sizes_are_in_the_order_they_were_asked_for() -> None:
    loads = loads_of(asked(workloads=["tcp-short", "tcp-long"], connections=[8, 1], sizes=[9, 5]))
    assert [(each.workload, each.connections, each.size) for each in loads] == [
        (workload, connections, size)
        for workload in ("tcp-short", "tcp-long")
        for connections in (8, 1)
        for size in (9, 5)
    ]


LONG = Load(workload="tcp-long", connections=4, size=100)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({}, [("closed", None, None)]),
        ({"rates": [5.0, 9.0]}, [("open", 5.0, None), ("open", 9.0, None)]),
        ({"shares": [0.5]}, [("closed", None, None), ("open", None, 0.5)]),
        ({"slo_us": 5000.0}, [("closed", None, None), ("open", None, None)]),
    ],
)
def test_open_loop_needs_the_closed_one_where_its_rate_is_not_given(
    changes: dict[str, Any], found: list[tuple[str, float | None, float | None]]
) -> None:
    loads = loads_of(asked(**changes))
    assert [(each.loop, each.rate, each.share) for each in loads] == found
    assert {each.closed for each in loads} == {LONG}
