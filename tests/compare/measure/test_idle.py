"""Idle connections beside those that work: served once, left to stand, and what gives way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from machine import needs_descriptors
from made_up_instrument import BAD, ONE, TWO, Instrument
from planted_models import BETTER, GOOD, model_of
from short_runs import BELIEVED, asked, cells_of, run_of

from compare.contract.spec import Spec
from compare.host import process
from compare.host.limits import Limits
from compare.measure import block, idle
from compare.measure.driver_process import DriverError
from compare.measure.idle import most, workers
from compare.models.matrix import MODELS
from compare.models.model import WORKERS, Model
from compare.results.records import Cell, Idle, Key, Load, Run

pytestmark = pytest.mark.usefixtures("nothing_left", "whom_the_gate_lets_in")

MakeIdle = Callable[..., Idle]
SHORT = 0.05  # seconds of a round


def cell_of(run: Run, model: Model, many: int) -> Cell:
    (found,) = (each for each in run.cells if (each.model, each.idle) == (model.name, many))
    return found


# Measured


@pytest.mark.parametrize(
    ("name", "workload"),
    [("epoll", "tcp-long"), ("threaded", "tcp-short"), ("asyncio", "tcp-long")],
)
def test_each_idle_connection_is_served_once_and_others_work_beside_them(
    name: str, workload: str
) -> None:
    settings = {"workloads": [workload], "idle": [50], "rounds": 2, "duration_s": SHORT}
    cell = cells_of(MODELS[name], **settings)[name]
    assert cell.verdict in BELIEVED, cell.reasons
    assert (cell.idle, len(cell.rounds)) == (50, 2)
    assert cell.ops_per_s
    for each in cell.rounds:
        assert each.held is not None
        assert each.held.all_served
        assert each.held.counts.attempted == each.held.counts.served == 50
        assert each.held.first_reply_us.p50 is not None
        assert (each.held.errors, each.held.processes) == ({}, 1)
    assert cell.held in [each.held for each in cell.rounds]
    if workload == "tcp-long":
        assert cell.counts.served == 4  # the idle are not counted with those that work


@pytest.mark.slow
def test_idle_connections_stand_until_the_last_slice_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drive, seen = block.Driver.drive, []

    def noted(driver: Any, spec: Spec, *more: Any) -> Any:
        found = drive(driver, spec, *more)
        pids = [each.pid for each in spec.targets if each.pid is not None]
        seen.extend(process.count_descriptors(pid) for pid in pids)
        return found

    monkeypatch.setattr(block.Driver, "drive", noted)
    epoll = MODELS["epoll"]
    (without,), (beside,) = (run_of(epoll, idle=[many], duration_s=SHORT).cells for many in (0, 50))
    assert (without.held, beside.held is not None) == (None, True)
    assert seen[0] < 50 < seen[1]


def test_descriptors_of_the_idle_are_not_taken_for_those_that_work() -> None:
    cell = cells_of(MODELS["epoll"], idle=[50], duration_s=SHORT)["epoll"]
    assert cell.server.peak_connections == 4


def test_servers_beside_each_other_have_as_many_each() -> None:
    run = run_of(GOOD, BETTER, idle=[20], duration_s=SHORT)
    assert [each.held and each.held.counts.served for each in run.cells] == [20, 20]
    assert all(each.ops_per_s for each in run.cells)
    assert {each.model for each in run.comparisons} == {"good", "better"}


def test_they_are_opened_at_the_rate_that_is_asked_for() -> None:
    cell = cells_of(GOOD, idle=[50], ramp=200.0, duration_s=SHORT)["good"]
    assert cell.held is not None
    assert cell.held.took_s >= 0.2
    assert cell.held.counts.served == 50


def test_open_loop_has_them_beside_it_too() -> None:
    cell = cells_of(GOOD, idle=[20], rates=[200.0])["good"]
    assert (cell.loop, cell.idle) == ("open", 20)
    assert cell.held is not None
    assert cell.pace is not None
    assert cell.pace.rate == 200.0


# What gives way


@pytest.mark.slow
@pytest.mark.usefixtures("impatient_holders")
def test_model_that_serves_one_gives_way_and_the_others_are_measured() -> None:
    blocking = MODELS["blocking"]
    run = run_of(blocking, GOOD, idle=[5, 20], duration_s=SHORT, rounds=2)
    gave = cell_of(run, blocking, 5)
    assert gave.verdict == "gave-way"
    assert gave.reasons == ["it serves one client at a time: 4 are connected and wait"]
    assert (gave.rounds, gave.ops_per_s) == ([], None)
    assert gave.held is not None
    assert not gave.held.all_served
    assert (gave.held.counts.served, gave.held.counts.starved) == (1, 4)
    more = cell_of(run, blocking, 20)
    assert (more.verdict, more.held) == ("unsupported", None)
    assert more.reasons == ["it gave way at 5 idle connections already"]
    for many in (5, 20):
        assert cell_of(run, GOOD, many).ops_per_s
        assert len(cell_of(run, GOOD, many).rounds) == 2


@needs_descriptors(1200)
@pytest.mark.usefixtures("impatient_holders")
def test_model_with_a_limit_of_its_own_gives_way_by_its_name() -> None:
    cell = cells_of(MODELS["select"], idle=[1100], duration_s=SHORT)["select"]
    assert cell.verdict == "gave-way"
    assert cell.reasons[0] == "select: it can use no more than 1024 descriptors"
    assert cell.held is not None
    assert 0 < cell.held.counts.served < 1024


@pytest.mark.usefixtures("impatient_holders")
@pytest.mark.parametrize(
    ("fault", "words"), [("refuses", "5 of 5 refused"), ("silent", "5 of 5 starved")]
)
def test_what_became_of_those_that_were_not_served_is_named(fault: str, words: str) -> None:
    cell = cells_of(model_of("odd", "echo.py", fault), idle=[5], duration_s=SHORT)["odd"]
    assert cell.verdict == "gave-way"
    assert words in cell.reasons


@pytest.mark.usefixtures("impatient_holders")
def test_server_that_ends_under_them_is_named_with_how() -> None:
    dies = model_of("dies", "echo.py", "dies", 100, 3)
    cell = cells_of(dies, GOOD, idle=[20], duration_s=SHORT)["dies"]
    assert cell.verdict in ("gave-way", "failed")
    assert "exit status 3" in "; ".join(cell.reasons)


def test_holders_that_fail_cost_the_round_and_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Idle:
        raise DriverError("a process that held connections ended: out of memory?")

    monkeypatch.setattr(block, "hold", fail)
    cell = cells_of(GOOD, idle=[20], duration_s=SHORT)["good"]
    assert (cell.verdict, cell.held) == ("failed", None)
    assert cell.reasons == ["a process that held connections ended: out of memory?"]


# Who is asked for more, with an instrument that is made up


Gives = Callable[..., Instrument]


@pytest.fixture
def gives_way(instrument: Instrument, made_up_idle: MakeIdle) -> Gives:
    """Has `two` serve no more than so many idle connections, from so many-eth round on."""

    def gives_way(most: int, *, since: int = 1) -> Instrument:
        def find(key: Key, rate: float | None) -> dict[str, Any] | Idle:
            held = made_up_idle(key.load.idle)
            if key.model == "two" and key.load.idle > most and instrument.numbers[-1] >= since:
                return made_up_idle(key.load.idle, most, gave_way=["a limit"])
            return {"held": held}

        instrument.find = find
        return instrument

    return gives_way


def asked_of(instrument: Instrument, model: Model) -> list[int]:
    return [key.load.idle for key in instrument.keys if key.model == model.name]


def test_who_gave_way_is_not_asked_for_more(gives_way: Gives) -> None:
    """Also where nobody else is, so that nothing of a block is left in the middle of a round."""
    instrument = gives_way(50)
    run = run_of(TWO, idle=[1000, 10, 100], rounds=2)
    assert asked_of(instrument, TWO) == [10, 100, 10]
    assert [each.idle for each in run.cells] == [10, 100, 1000]
    assert [each.verdict for each in run.cells[1:]] == ["gave-way", "unsupported"]


def test_others_go_on(gives_way: Gives) -> None:
    instrument = gives_way(50)
    run = run_of(ONE, TWO, idle=[10, 100, 1000], rounds=2)
    assert asked_of(instrument, ONE) == [10, 100, 1000] * 2
    assert asked_of(instrument, TWO) == [10, 100, 10]
    assert all(len(cell_of(run, ONE, many).rounds) == 2 for many in (10, 100, 1000))


def test_giving_way_under_one_load_says_nothing_of_another(gives_way: Gives) -> None:
    instrument = gives_way(50)
    run_of(ONE, TWO, idle=[100, 1000], connections=[1, 8], rounds=1)
    assert asked_of(instrument, TWO) == [100, 100]


def test_who_gives_way_later_on_has_the_rounds_that_it_had(gives_way: Gives) -> None:
    gives_way(50, since=2)
    run = run_of(ONE, TWO, idle=[100], rounds=3)
    gave = cell_of(run, TWO, 100)
    assert gave.verdict == "gave-way"
    assert gave.reasons == ["a limit"]
    assert gave.held is not None
    assert gave.held.counts.served == 50


@pytest.mark.parametrize("models", [(ONE, TWO), (TWO,), (ONE, TWO, BAD)])
def test_progress_ends_at_its_total(gives_way: Gives, models: tuple[Model, ...]) -> None:
    gives_way(50)
    seen: list[tuple[int, int, str | None]] = []
    run_of(
        *models,
        watch=lambda told: seen.append((told.done, told.total, told.failure)),
        idle=[10, 100, 1000],
        rounds=3,
    )
    assert all(done <= total for done, total, _ in seen)
    assert seen[-1][0] == seen[-1][1]
    assert {"gave way: a limit"} <= {failure for *_, failure in seen if failure}


def test_who_gave_way_is_not_ranked(gives_way: Gives) -> None:
    gives_way(50)
    run = run_of(ONE, TWO, idle=[10, 100], rounds=2)
    assert {(each.model, each.idle) for each in run.comparisons} == {("one", 10), ("two", 10)}


def test_who_gave_way_in_a_closed_loop_has_no_open_one(gives_way: Gives) -> None:
    gives_way(50)
    run = run_of(TWO, idle=[100], shares=[0.5], rounds=1)
    assert [(each.loop, each.verdict) for each in run.cells] == [
        ("closed", "gave-way"),
        ("open", "unsupported"),
    ]


def test_cell_has_the_idle_connections_of_its_worst_round(
    instrument: Instrument, made_up_idle: MakeIdle
) -> None:
    overflowed = made_up_idle(100, gave_way=["the backlog: it was full 3 times"])
    helds = iter([made_up_idle(100), overflowed, made_up_idle(100, 99)])
    instrument.find = lambda key, rate: {"held": next(helds)}
    (cell,) = run_of(ONE, idle=[100], rounds=3).cells
    assert cell.held is not None
    assert cell.held.counts.served == 99
    assert "the backlog: it was full 3 times" in cell.reasons


def test_where_all_together_are_too_many_each_has_the_machine_to_itself(
    gives_way: Gives,
) -> None:
    instrument = gives_way(10**9)
    run_of(ONE, TWO, idle=[50_000, 50_001], rounds=1)
    sizes = {keys[0].load.idle: len(keys) for keys in instrument.blocks}
    assert sizes == {50_000: 2, 50_001: 1}


# How many, and how many processes


def load(**changes: int) -> Load:
    return Load(workload="tcp-long", connections=64, size=100, **changes)


def limits(descriptors: int) -> Limits:
    return msgspec.structs.replace(idle.limits_here(), descriptors=descriptors)


def test_most_is_what_one_process_may_have_with_some_to_spare() -> None:
    assert 19_000 < most(limits(20_000)) < 20_000
    for descriptors in (1, 200, 264):
        assert most(limits(descriptors)) == 1


@pytest.mark.parametrize("descriptors", [1, 199, 200, 201, 1024, 20_000])
def test_server_of_several_processes_has_two_where_nobody_is_idle(descriptors: int) -> None:
    for cores in ([], [3]):
        assert workers(load(), asked(server_cores=cores), limits(descriptors)) == WORKERS


def test_server_of_several_processes_has_as_many_as_it_takes() -> None:
    assert workers(load(idle=10_000), asked(), limits(20_000)) == WORKERS
    assert workers(load(idle=1_000_000), asked(), limits(20_000)) * (20_000 - 200) > 1_000_000


@pytest.mark.parametrize(
    ("cores", "server_cores", "many"),
    [(0, range(4), 4), (1, range(4), 1), (2, range(4), 2), (4, range(4), 4)],
)
def test_server_of_several_processes_has_one_on_each_core(
    cores: int, server_cores: Sequence[int], many: int
) -> None:
    settings = asked(server_cores=[*server_cores])
    assert settings.first_cores(cores) == [*range(many)]
    assert workers(load(cores=cores), settings, limits(20_000)) == many
    assert workers(load(cores=cores, idle=10_000), settings, limits(2_000)) > 4
