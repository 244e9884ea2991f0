"""What a run does not measure, and the reason it gives."""

from __future__ import annotations

import importlib.util
import resource
from dataclasses import replace
from typing import Any

import pytest
from made_up_instrument import ONE, TWO, Instrument
from planted_models import GOOD
from short_runs import BELIEVED, cells_of, run_of

from compare.host import launch
from compare.measure import driver_process, gate
from compare.measure.block import Here
from compare.measure.testbed import Held
from compare.models.matrix import MODELS, WORKLOADS, Model, Workload
from compare.results.records import Slow

GOOD_OWN = replace(GOOD, own=True)
SLOW: dict[str, list[Any]] = {"slows": [Slow(0.01, 20_000.0)]}

pytestmark = pytest.mark.usefixtures("nothing_left", "whom_the_gate_lets_in")


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a process is started")

    monkeypatch.setattr(driver_process, "start", refuse)
    monkeypatch.setattr(launch, "start", refuse)


@pytest.mark.usefixtures("nothing_starts")
def test_uvloop_that_is_missing_is_unsupported_and_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvloop" else find(name)
    )
    result = run_of(MODELS["uvloop"], MODELS["bare-uvloop"])
    assert [cell.verdict for cell in result.cells] == ["unsupported"] * 2
    for cell in result.cells:
        assert cell.reasons == ["uvloop is not installed: pip install uvloop"]
        assert cell.ops_per_s is None
    assert result.machine.uvloop is None


@pytest.mark.usefixtures("nothing_starts")
def test_what_a_model_cannot_do_is_unsupported_with_the_reason() -> None:
    cells = cells_of(MODELS["bare-epoll"], workloads=["chat"])
    assert cells["bare-epoll"].verdict == "unsupported"
    assert cells["bare-epoll"].reasons == [MODELS["bare-epoll"].cannot["chat"]]


@pytest.mark.usefixtures("nothing_starts")
@pytest.mark.parametrize("cost", [{"works_us": [50.0]}, {"waits_us": [5.0]}, SLOW])
def test_who_cannot_be_told_to_work_or_wait_is_unsupported_and_says_why(
    cost: dict[str, list[Any]],
) -> None:
    cells = cells_of(MODELS["bare-epoll"], GOOD_OWN, **cost)
    assert {cell.verdict for cell in cells.values()} == {"unsupported"}
    assert "no handler" in cells["bare-epoll"].reasons[0]
    assert "of your own" in cells[GOOD_OWN.name].reasons[0]


@pytest.mark.usefixtures("nothing_starts")
def test_more_connections_than_descriptors_are_unsupported_and_say_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    cells = cells_of(MODELS["epoll"], connections=[500])
    assert cells["epoll"].verdict == "unsupported"
    (reason,) = cells["epoll"].reasons
    assert "500 connections need 564 descriptors, and a process may have 200" in reason
    assert "ulimit -Hn 564" in reason
    assert "--connections 136" in reason


@pytest.mark.usefixtures("nothing_starts")
def test_connections_to_all_servers_at_once_are_those_that_the_driver_must_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that alone, one after the other, there may be more."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    models = [MODELS[name] for name in ("epoll", "select", "poll")]
    result = run_of(*models, connections=[60])
    for cell in result.cells:
        assert cell.verdict == "unsupported"
        assert "60 connections to each of 3 servers at once need 244 desc" in cell.reasons[0]
        assert "--alone" in cell.reasons[0]
    model, workload = MODELS["epoll"], WORKLOADS["tcp-long"]
    assert Here().unsupported(model, workload, 60, at_once=1) is None


def test_connections_that_fit_are_measured_beside_those_that_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    result = run_of(GOOD, connections=[500, 4])
    too_many, few = result.cells
    assert (too_many.connections, too_many.verdict) == (500, "unsupported")
    assert few.ops_per_s


@pytest.mark.usefixtures("nothing_starts")
def test_reference_cannot_be_told_to_close_first() -> None:
    cell = cells_of(MODELS["bare-epoll"], workloads=["tcp-short"], close="server")["bare-epoll"]
    assert (cell.verdict, cell.reasons) == ("unsupported", ["it cannot be told to close first"])


# The gate


def test_model_that_fails_the_checks_is_not_measured(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held to them once for each service, of which two workloads may have the same."""
    held: list[tuple[str, str]] = []

    def hold(model: Model, workload: Workload) -> Held:
        held.append((model.name, workload.service))
        if (model.name, workload.service) == ("two", "echo"):
            return Held(barred="it fails")
        return Held(told="it fails another one" if model.name == "one" else None)

    monkeypatch.setattr(gate, "hold", hold)
    workloads = ["tcp-long", "tcp-short", "chat"]
    result = run_of(ONE, TWO, workloads=workloads, rounds=2)
    assert sorted(held) == [("one", "chat"), ("one", "echo"), ("two", "chat"), ("two", "echo")]
    for cell in result.cells:
        if cell.model == "two" and cell.workload != "chat":
            assert (cell.verdict, cell.reasons) == ("failed", ["it fails"])
            assert cell.key not in instrument.keys
        else:
            assert cell.verdict in BELIEVED
            assert ("it fails another one" in cell.reasons) == (cell.model == "one")
            assert instrument.keys.count(cell.key) == 2
