"""Loads that are put on more and more cores of the server."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from made_up_instrument import ONE, TWO, Instrument
from short_runs import asked, run_of

from compare.measure.run import loads_of
from compare.models.own_servers import from_option
from compare.results.records import Key
from compare.results.scalability import Law

SCALES = Path(__file__).parents[1] / "servers" / "scales.py"
RUNGS = [1, 2, 4, 8, 16]
WITHIN = 0.10
MINE = sorted(os.sched_getaffinity(0))

pytestmark = pytest.mark.usefixtures("nothing_left", "whom_the_gate_lets_in")


def test_every_load_is_put_on_each_number_of_cores() -> None:
    loads = loads_of(asked(rungs=[1, 4], connections=[8, 64]))
    assert [(each.cores, each.connections) for each in loads] == [(1, 8), (1, 64), (4, 8), (4, 64)]
    assert {each.cores for each in loads_of(asked())} == {0}


def test_planted_law_is_told_of_each_model_on_sixteen_cores(instrument: Instrument) -> None:
    laws = {"one": Law(20_000.0, 0.02, 0.001), "two": Law(30_000.0, 0.2)}

    def find(key: Key, _: float | None) -> dict[str, Any]:
        minute = 1 + 0.2 * (instrument.numbers[-1] % 3)
        return {"rate": minute * laws[key.model].at(key.load.cores)}

    instrument.find = find
    run = run_of(ONE, TWO, rungs=RUNGS, server_cores=[*range(16)], driver_core=16, rounds=3)
    assert len(run.cells) == 2 * len(RUNGS)
    found = {each.model: each for each in run.scalability}
    for name, law in laws.items():
        coherency = found[name].coherency
        assert coherency is not None
        assert found[name].contention.value == pytest.approx(law.contention, rel=WITHIN)
        assert coherency.value == pytest.approx(law.coherency, rel=WITHIN, abs=1e-6)


def test_only_where_the_driver_has_one_of_them_it_is_not_apart(instrument: Instrument) -> None:
    run = run_of(ONE, rungs=[1, 2], server_cores=[0, 1], driver_core=1)
    verdicts = {cell.cores: cell.verdicts for cell in run.cells}
    assert "not-pinned" in verdicts[2]
    assert "not-pinned" not in verdicts[1]
    (one,) = run.scalability
    assert any("on 2 cores the driver had a part" in note for note in one.notes)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_planted_server_of_sixteen_cores_has_its_law_told() -> None:
    """It has them all on one: how fast it answers is by `{workers}`."""
    law = Law(200.0, 0.25, 0.01)
    command = f"{sys.executable} {SCALES} {{port}} {{workers}} {' '.join(map(str, law))}"
    model = replace(from_option(f"planted={command}"), unchecked=True)
    run = run_of(
        model,
        rungs=RUNGS,
        server_cores=MINE[:1] * 16,
        driver_core=MINE[-1],
        connections=[128],  # so that a driver that has no core for a while does not show
        rounds=2,
        alone=True,
        duration_s=2.0,
        warmup_s=0.5,
    )
    (found,) = run.scalability
    assert found.coherency is not None
    assert found.one_ops_per_s == pytest.approx(law.one, rel=WITHIN)
    assert found.contention.value == pytest.approx(law.contention, rel=WITHIN)
    assert found.coherency.value == pytest.approx(law.coherency, rel=WITHIN)
