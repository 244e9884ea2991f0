"""How one load is shared out over drivers, and what each of them did for itself."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare.contract.outcome import Outcome
from compare.contract.spec import Shard, Spec, Target
from compare.driver.shared_room import SMALLEST

shards = pytest.importorskip("compare.cluster.shards")
clock = pytest.importorskip("compare.cluster.clock")
MakeSpec = Callable[..., Spec]


def workers(many: int, core: int | None = None) -> list[Any]:
    return [
        SimpleNamespace(core=core, address=f"tcp://host{number}:1", place=("boot", core))
        for number in range(many)
    ]


def split(spec: Spec, many: int) -> list[Spec]:
    found: list[Spec] = shards.split(spec, workers(many))
    return found


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 10_000), st.integers(1, 8), st.none() | st.floats(1, 10**6))
def test_shares_of_the_one_server_add_up(
    made_up_spec: MakeSpec, connections: int, many: int, rate: float | None
) -> None:
    target = Target("10.0.0.1", 7, rate=rate)
    found = split(made_up_spec(connections=connections, targets=[target]), many)
    assert len(found) == min(many, connections)
    assert sum(each.connections for each in found) == connections
    places = [(each.host, each.port, each.pid) for spec in found for each in spec.targets]
    assert places == [("10.0.0.1", 7, None)] * len(found)
    rates = [each.rate for spec in found for each in spec.targets]
    if rate is None:
        assert rates == [None] * len(found)
    else:
        assert sum(each for each in rates if each) == pytest.approx(rate)


def test_each_has_a_number_and_messages_of_its_own(made_up_spec: MakeSpec) -> None:
    found = split(made_up_spec(connections=9, targets=[Target("", 7)]), 3)
    assert [each.shard for each in found] == [Shard(number, 3) for number in range(3)]
    assert len({each.seed for each in found}) == 3


def test_who_has_a_core_of_its_own_need_not_sleep(made_up_spec: MakeSpec) -> None:
    spec = made_up_spec(connections=2, targets=[Target("", 7)])
    pinned, free = (shards.split(spec, workers(1, core)) for core in (3, None))
    assert pinned[0].pinned
    assert not free[0].pinned


@pytest.mark.parametrize(
    ("members", "size", "expected"),
    [
        (9, SMALLEST, [3, 3, 3]),
        (5, SMALLEST, [3, 2]),  # each has two at least, or nothing would be delivered within it
        (1, SMALLEST, [1]),
        (9, SMALLEST - 1, [9]),  # too short to carry what tells lines apart
    ],
)
def test_members_of_a_room_are_never_alone_with_a_driver(
    made_up_spec: MakeSpec, members: int, size: int, expected: list[int]
) -> None:
    spec = made_up_spec(workload="chat", connections=members, size=size, targets=[Target("", 7)])
    assert [each.connections for each in split(spec, 3)] == expected


@pytest.mark.parametrize(("cores", "shared"), [((3, 3), True), ((3, 4), False)])
def test_shard_is_what_a_driver_did_for_itself(
    made_up_spec: MakeSpec,
    made_up_outcome: Callable[..., Outcome],
    cores: tuple[int, int],
    shared: bool,
) -> None:
    driven = [
        SimpleNamespace(
            worker=workers(1, core)[0],
            clock=clock.Clock(2000, 3000),
            spec=made_up_spec(connections=2),
            outcome=made_up_outcome(operations=500, driver_cpu_ns=25 * 10**7, late_ns=7000),
        )
        for core in cores
    ]
    for each in shards.shards_of(driven):
        assert each.connections == 2
        assert (each.ops_per_s, each.cpu_fraction) == (500.0, 0.25)
        assert (each.late_us, each.clock_offset_us, each.clock_error_us) == (7.0, 2.0, 3.0)
        assert each.shares_core == shared
        assert each.late_fraction is None
