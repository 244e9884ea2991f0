"""One driver that turns to several servers: in which order, for how long, and each by itself."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from planted_servers import CORRECT, Plant, late_of

from compare.contract import histogram
from compare.contract.outcome import Outcome
from compare.contract.spec import FEWEST, LONGEST_S, Spec, Target
from compare.driver import drive as driving
from compare.driver.drive import LATENCIES, LEAD_LATENCIES, _slices, drive
from compare.driver.load import LEAD_S
from compare.host import process

DriveAll = Callable[..., list[Outcome]]
MakeSpec = Callable[..., Spec]


# Each server by itself


@pytest.mark.parametrize("workload", list(CORRECT))
def test_each_server_receives_its_own_messages_in_its_own_turns(
    plant: Plant, drive_all: DriveAll, workload: str
) -> None:
    """And its outcome is that of these: what it used between them counts for none."""
    servers = [plant(*CORRECT[workload]) for _ in range(3)]
    outcomes = drive_all(servers, workload, slices=6)
    assert len({len(each.slices) for each in outcomes}) == 1
    at_once = 3 if workload == "chat" else 1  # operations by one line, with four members
    for server, outcome in zip(servers, outcomes, strict=True):
        assert_outcome_is_that_of_its_turns(outcome, process.cpu_of_tree_ns(server.pid))
        late = late_of(outcome, workload)
        assert outcome.gave_up is None
        assert len(outcome.slices) >= FEWEST
        assert outcome.operations == sum(each.operations for each in outcome.slices) > 0
        turns = sum(each.turn_operations for each in outcome.slices)
        report = server.report()
        received = report["lines" if workload == "chat" else "received"]
        # The first of each connection came before, by which it was warmed up.
        assert received * at_once == turns + late + 4 * at_once


def assert_outcome_is_that_of_its_turns(outcome: Outcome, cpu_ns: int) -> None:
    """`cpu_ns` is what its server has used in all."""
    slices, used = outcome.slices, outcome.server
    assert outcome.window_ns == sum(each.window_ns for each in slices)
    assert outcome.driver_cpu_ns == sum(each.driver_cpu_ns for each in slices) > 0
    assert outcome.driver_wait_ns == sum(each.driver_wait_ns for each in slices)
    assert used is not None
    assert used.elapsed_ns == sum(each.turn_ns for each in slices) >= outcome.window_ns
    assert used.cpu_ns == sum(each.cpu_ns or 0 for each in slices)
    assert 0 < used.cpu_ns <= cpu_ns
    timed = histogram.merge([outcome.latency]).get_total_count()
    # What began in a slice and what was completed in it differ by what was under way.
    assert timed == pytest.approx(outcome.operations, abs=len(slices) * 64)
    assert outcome.latency_max_ns <= max(each.turn_ns for each in slices)


def test_fault_of_one_server_is_not_counted_for_another(plant: Plant, drive_all: DriveAll) -> None:
    faulty, right = plant("echo.py", "eof", 100, 50), plant("echo.py", "correct")
    ended, served = drive_all([faulty, right], "tcp-long")
    assert ended.errors == {"eof": 4}
    assert faulty.report()["faults"] == 4
    assert served.errors == {}
    assert len(served.slices) >= FEWEST


def test_server_that_stands_still_has_no_more_turns_and_the_others_have_theirs(
    plant: Plant, drive_all: DriveAll
) -> None:
    still, right = plant("timing.py", "stall", 60_000, 100), plant("echo.py", "correct")
    waited, served = drive_all([still, right], "tcp-long", slices=20)
    assert 1 <= len(waited.slices) < len(served.slices)
    assert (waited.gave_up or "").startswith("4 replies did not come within 1 s: the server ")
    assert (waited.counts.served, waited.counts.timed_out) == (4, 4)
    assert served.gave_up is None
    assert (served.counts.served, served.counts.timed_out) == (4, 0)


def test_server_that_dies_ends_its_own_turns_only(plant: Plant, drive_all: DriveAll) -> None:
    dying, right = plant("echo.py", "dies", 100, 20), plant("echo.py", "correct")
    gone, served = drive_all([dying, right], "tcp-long")
    assert gone.counts.reset + gone.errors.get("eof", 0) == 4
    assert len(gone.slices) < len(served.slices)
    assert served.errors == {}


def test_server_that_refuses_does_not_keep_the_others_waiting(
    plant: Plant, drive_all: DriveAll
) -> None:
    """There is nobody to send anything to: another turn would show nothing else."""
    closed, right = plant("echo.py", "refuses"), plant("echo.py", "correct")
    refused, served = drive_all([closed, right], "tcp-long")
    assert refused.counts.refused == 4
    assert [each.operations for each in refused.slices] == [0]
    assert len(served.slices) >= FEWEST


def test_what_is_due_in_the_slices_of_each_is_done(plant: Plant, drive_all: DriveAll) -> None:
    """In all slices together as much as was asked for, also where less than one is in each."""
    rates = (20.0, 70.0, 500.0)
    servers = [plant("echo.py", "correct") for _ in rates]
    load = {"rates": rates, "slices": 25, "warmup_s": 0.4, "pinned": True}
    for rate, outcome in zip(rates, drive_all(servers, "tcp-long", **load), strict=True):
        pace = outcome.pace
        assert pace is not None
        assert outcome.errors == {}
        assert pace.missed == 0
        assert pace.offered == pytest.approx(rate * outcome.window_ns / 1e9, abs=8)
        assert histogram.merge([outcome.latency]).get_total_count() == pace.offered
        assert histogram.merge([pace.service]).get_total_count() == pace.offered


@pytest.mark.parametrize("model", ["prefork", "fork"])
def test_most_sockets_are_those_of_all_its_processes_each_once(
    serve: Plant, drive_all: DriveAll, model: str
) -> None:
    server = serve("blocking", "serve", "echo", "--model", model)
    idle = process.count_sockets(server.pid)
    (outcome,) = drive_all([server], "tcp-long", slice_s=0.1)
    assert outcome.counts.served >= 1
    assert outcome.peak_descriptors == idle + outcome.counts.served


# In which order


class FakeTurns:
    """Stands for the turns of a server, which are noted down."""

    taken: list[tuple[int, float, float]]
    last_of: dict[int, int]  # after how many turns a server has no more
    usual: float

    def __init__(self, spec: Spec, target: Target, told: Callable[[], None]) -> None:
        self._port = target.port
        self.workload = SimpleNamespace(connect=lambda: None, lead_s=LEAD_S)
        self.load = SimpleNamespace(samples=[])
        self.over = False
        self._turns = 0

    def warm_up(self) -> None:
        assert not self.taken

    def usual_s(self) -> float:
        return self.usual

    def take(self, slice_s: float, lead_s: float) -> None:
        self.taken.append((self._port, slice_s, lead_s))
        self._turns += 1
        self.over = self._turns == self.last_of.get(self._port)

    def finish(self) -> int:
        return self._port


@pytest.fixture
def turns(monkeypatch: pytest.MonkeyPatch) -> type[FakeTurns]:
    FakeTurns.taken, FakeTurns.last_of, FakeTurns.usual = [], {}, 0.0
    monkeypatch.setattr(driving, "Turns", FakeTurns)
    return FakeTurns


def order_of(turns: type[FakeTurns], spec: Spec) -> list[int]:
    turns.taken = []
    drive(spec)
    return [port for port, _, _ in turns.taken]


@pytest.fixture
def four(made_up_spec: MakeSpec) -> MakeSpec:
    """A load for four servers, told apart by their ports."""
    targets = [Target("", port) for port in range(4)]
    return lambda **changes: made_up_spec(
        **{"targets": targets, "slices": 20, "slice_s": 0.02} | changes
    )


def test_everybody_has_one_turn_in_every_pass(turns: type[FakeTurns], four: MakeSpec) -> None:
    order = order_of(turns, four())
    passes = [tuple(order[start : start + 4]) for start in range(0, len(order), 4)]
    assert len(passes) == 20
    assert all(sorted(each) == [0, 1, 2, 3] for each in passes)
    assert len(set(passes)) > 1


def test_order_is_that_of_the_seed(turns: type[FakeTurns], four: MakeSpec) -> None:
    order = order_of(turns, four(seed=1))
    assert order_of(turns, four(seed=1)) == order
    assert order_of(turns, four(seed=2)) != order


def test_who_has_no_more_turns_is_passed_over(turns: type[FakeTurns], four: MakeSpec) -> None:
    turns.last_of = {2: 1, 3: 5}
    order = order_of(turns, four())
    assert [order.count(port) for port in range(4)] == [20, 20, 1, 5]


def test_outcomes_come_in_the_order_of_the_targets(turns: type[FakeTurns], four: MakeSpec) -> None:
    assert drive(four()) == [0, 1, 2, 3]


def test_slowest_of_the_servers_decides_how_long_all_slices_are(
    monkeypatch: pytest.MonkeyPatch, turns: type[FakeTurns], four: MakeSpec
) -> None:
    slow = {3: 0.05}
    monkeypatch.setattr(turns, "usual_s", lambda self: slow.get(self._port, 0.0001))
    order_of(turns, four(slice_s=0.02))
    assert {slice_s for _, slice_s, _ in turns.taken} == {LATENCIES * 0.05}
    # What is left out before it is each one's own affair.
    assert {lead_s for _, _, lead_s in turns.taken} == {LEAD_S, LEAD_LATENCIES * 0.05}


def test_no_more_is_left_out_before_a_slice_than_the_longest_one_has(
    monkeypatch: pytest.MonkeyPatch, turns: type[FakeTurns], four: MakeSpec
) -> None:
    monkeypatch.setattr(turns, "usual_s", lambda self: 3.0)
    order_of(turns, four())
    assert {(slice_s, lead_s) for _, slice_s, lead_s in turns.taken} == {(LONGEST_S, LONGEST_S)}


def test_server_that_has_no_turn_does_not_decide_how_long_the_slices_are(
    monkeypatch: pytest.MonkeyPatch, turns: type[FakeTurns], four: MakeSpec
) -> None:
    def warm_up(self: FakeTurns) -> None:
        self.over = self._port == 3

    monkeypatch.setattr(turns, "warm_up", warm_up)
    monkeypatch.setattr(turns, "usual_s", lambda self: 5.0 if self._port == 3 else 0.0001)
    assert 3 not in order_of(turns, four(slice_s=0.02))
    assert {slice_s for _, slice_s, _ in turns.taken} == {0.02}
    assert len(turns.taken) == 3 * 20


# For how long


def slices_of(spec: MakeSpec, usual_s: float, **changes: Any) -> tuple[int, float]:
    return _slices(spec(**{"slices": 25, "slice_s": 0.02} | changes), usual_s)


def test_slices_are_as_asked_where_answers_are_quick(made_up_spec: MakeSpec) -> None:
    assert slices_of(made_up_spec, 0.0001) == (25, 0.02)


@pytest.mark.parametrize("usual_s", [0.01, 0.02, 0.05])
def test_slice_is_longer_where_latencies_are_and_there_are_fewer(
    made_up_spec: MakeSpec, usual_s: float
) -> None:
    slices, slice_s = slices_of(made_up_spec, usual_s)
    assert slice_s == LATENCIES * usual_s > 0.02
    assert slices < 25
    assert slices * slice_s == pytest.approx(0.5, rel=0.2)


def test_slice_has_its_longest_and_a_round_its_fewest(made_up_spec: MakeSpec) -> None:
    slices, slice_s = slices_of(made_up_spec, 10.0)
    assert (slices, slice_s) == (FEWEST, LONGEST_S)


@pytest.mark.parametrize("usual_s", [0.0001, 1.0])
def test_one_window_alone_is_as_long_as_was_asked(made_up_spec: MakeSpec, usual_s: float) -> None:
    assert slices_of(made_up_spec, usual_s, slices=1, slice_s=1.5) == (1, 1.5)
