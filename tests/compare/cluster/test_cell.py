"""How long a cell of a cluster is waited for."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from short_runs import asked

from compare.cluster.clock import SAME
from compare.contract.counts import Counts
from compare.contract.spec import Spec, Target
from compare.measure.driver_process import DriverError, limit_s
from compare.measure.testbed import Block
from compare.models.matrix import MODELS
from compare.results.records import Load

cell = pytest.importorskip("compare.cluster.cell")
testbed = pytest.importorskip("compare.cluster.testbed")
HOUR_S = 3600.0
COUNTED_S = HOUR_S * 0.75e-6 * 200_000  # of an open loop, in which so many are due in a second


def test_drivers_have_time_to_count_what_was_in_a_long_window(
    monkeypatch: pytest.MonkeyPatch, made_up_spec: Callable[..., Spec]
) -> None:
    waited: list[float] = []

    def answers(self: Any, what: str, names: list[str], seconds: float) -> None:
        waited.append(seconds)
        raise DriverError("enough is known")

    name = "driver 0"
    monkeypatch.setattr(cell.Cell, "_ask", lambda *_: {name: Counts(served=1)})
    monkeypatch.setattr(cell.Cell, "_clocks", lambda _: {"tcp://host:1": SAME})
    monkeypatch.setattr(cell.Cell, "_post", lambda *_: None)
    monkeypatch.setattr(cell.Cell, "_answers", answers)
    one = cell.Cell(SimpleNamespace(), 1.0)
    one._futures = {name: SimpleNamespace()}
    one._workers = {name: SimpleNamespace(address="tcp://host:1")}
    spec = made_up_spec(targets=[Target("", 7)], slice_s=HOUR_S)
    with pytest.raises(DriverError):
        one.drive([spec], 1.0, HOUR_S, lambda operations: None)
    assert waited[0] >= HOUR_S + COUNTED_S
    assert waited[0] >= limit_s(spec)


def test_nobody_is_ended_before_a_driver_may_have_ended() -> None:
    load = Load(workload="tcp-long", connections=4, size=100)
    block = Block([MODELS["epoll"]], load, asked(duration_s=HOUR_S, alone=True))
    assert testbed.longest_s(block) >= HOUR_S + COUNTED_S
