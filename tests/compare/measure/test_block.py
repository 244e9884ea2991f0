"""A block, once: several fresh servers that are there at the same time, and one driver."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
import psutil
import pytest
from planted_models import BETTER, GOOD, model_of
from short_runs import asked
from verdicts import verdict

from compare.contract.outcome import Outcome
from compare.contract.spec import FEWEST, HOME_S, LONGEST_S, Target
from compare.measure import block
from compare.measure.block import handler_of, measure, spec_of
from compare.measure.driver_process import DriverError, limit_s
from compare.measure.testbed import Block, Finding
from compare.models.handler import Handler
from compare.models.model import Model
from compare.results.records import Load, Round, Settings

pytestmark = pytest.mark.usefixtures("nothing_left")

SLICED = asked(duration_s=0.2, slice_s=0.02)
WARMED_UP = asked(duration_s=0.2, slice_s=0.02, warmup_s=0.1)
STILL = model_of("still", "timing.py", "stall", 60_000, 0)


def block_of(*models: Model, settings: Settings = SLICED, number: int = 1, **changes: Any) -> Block:
    """rates: by the model's name. Other changes are those of the load."""
    rates = changes.pop("rates", {})
    values: dict[str, Any] = {"workload": "tcp-long", "connections": 4, "size": 100}
    return Block(models, Load(**values | changes), settings, rates, number)


def found_of(*models: Model, **changes: Any) -> list[Finding]:
    found = measure(block_of(*models, **changes), lambda operations: None)
    assert sorted(found) == sorted(each.name for each in models)
    return [found[each.name] for each in models]


def measured(finding: Finding) -> tuple[Outcome, Round]:
    assert isinstance(finding, tuple), finding
    return finding


# What the driver is asked for


def test_slow_messages_are_others_in_each_round() -> None:
    cost = {"work_us": 5.0, "slow_share": 0.1, "slow_us": 9.0}
    first, second = (handler_of(block_of(GOOD, number=number, **cost)) for number in (1, -2))
    assert replace(first, seed=0) == replace(second, seed=0) == Handler(**cost, size=100, seed=0)
    assert first.seed != second.seed


def test_time_of_a_round_is_had_in_slices() -> None:
    spec = spec_of(block_of(settings=asked(duration_s=0.5, slice_s=0.02)), [])
    assert (spec.slices, spec.slice_s) == (25, 0.02)


@pytest.mark.parametrize("changes", [{"alone": True}, {"slice_s": 5.0}])
def test_alone_and_with_slices_as_long_it_is_one_window(changes: dict[str, Any]) -> None:
    spec = spec_of(block_of(settings=asked(duration_s=0.5, **changes)), [])
    assert (spec.slices, spec.slice_s) == (1, 0.5)


def test_datagrams_in_an_open_loop_have_one_window_in_which_a_buffer_has_time_to_fill() -> None:
    slices = {}
    for workload in ("udp-echo", "tcp-long"):
        for loop in ("closed", "open"):
            changes = {"workload": workload, "loop": loop}
            block = block_of(settings=asked(duration_s=0.5, slice_s=0.02), **changes)
            slices[workload, loop] = spec_of(block, []).slices
    assert slices.pop(("udp-echo", "open")) == 1
    assert set(slices.values()) == {25}


def test_every_round_has_messages_and_an_order_of_its_own() -> None:
    target = Target("127.0.0.1", 7, 1, 50.0)
    first, second = (
        spec_of(block_of(settings=asked(seed=3), number=number), [target]) for number in (1, 2)
    )
    assert first.seed != second.seed
    assert first == msgspec.structs.replace(second, seed=first.seed)
    assert first.targets == [target]


# All of them


@pytest.mark.parametrize("workload", ["tcp-long", "tcp-short"])
def test_each_server_is_measured(workload: str) -> None:
    for finding in found_of(GOOD, BETTER, workload=workload, number=3):
        outcome, seen = measured(finding)
        assert seen.number == 3
        assert outcome.counts.served >= 4
        assert outcome.errors == {}
        assert seen.operations > 0
        assert len(seen.slices) >= 3
        assert seen.server.cpu_us_per_op
        assert seen.messages == []


def test_all_servers_are_there_at_the_same_time(
    monkeypatch: pytest.MonkeyPatch, is_alive: Callable[[int], bool]
) -> None:
    drive, seen = block.Driver.drive, []

    def noted(driver: Any, spec: Any, *more: Any) -> list[Outcome]:
        seen.extend(is_alive(target.pid) for target in spec.targets)
        return drive(driver, spec, *more)

    monkeypatch.setattr(block.Driver, "drive", noted)
    found_of(GOOD, BETTER)
    assert seen == [True, True]


def test_picture_is_made_in_the_first_round_alone() -> None:
    (first,), (second,) = (found_of(GOOD, number=number) for number in (1, 2))
    picture = measured(first)[0].trace
    assert picture is not None
    assert len(picture.lanes) == 4
    assert any(lane.spans for lane in picture.lanes)
    assert measured(second)[0].trace is None


def test_each_has_the_rate_that_is_its_own() -> None:
    rates = {"good": 100.0, "better": 500.0}
    paces = [measured(each)[1].pace for each in found_of(GOOD, BETTER, rates=rates)]
    assert [pace and pace.rate for pace in paces] == [100.0, 500.0]


# What goes wrong with one


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (("starts.py", "exits"), "exit status 3"),
        (("echo.py", "dies", 100, 20), "the server ended while it was measured: exit status 3"),
        (("starts.py", "ends-badly"), "exit status 4"),
    ],
)
def test_server_that_fails_costs_the_others_nothing(server: tuple[Any, ...], words: str) -> None:
    bad, good = found_of(model_of("bad", *server), GOOD)
    assert isinstance(bad, str)
    assert words in bad
    outcome, seen = measured(good)
    assert outcome.counts.served == 4
    assert seen.operations > 0


def test_driver_is_not_asked_where_no_server_started(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(block.Driver, "drive", lambda *_: pytest.fail("it is asked"))
    (bad,) = found_of(model_of("bad", "starts.py", "exits"))
    assert isinstance(bad, str)


def test_traceback_is_told_of_the_server_that_wrote_it() -> None:
    loud, quiet = found_of(model_of("loud", "echo.py", "logs", 100, 1), GOOD)
    assert measured(loud)[1].messages == ["stderr: OSError: ouch"]
    assert measured(quiet)[1].messages == []


@pytest.mark.slow
def test_driver_that_fails_is_asked_again_for_each_by_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """To see which of them it was; what is measured apart is no round of the others."""
    drive = block.Driver.drive

    def fails_with_several(driver: Any, spec: Any, *more: Any) -> list[Outcome]:
        if len(spec.targets) > 1:
            raise DriverError("it is held up")
        return drive(driver, spec, *more)

    monkeypatch.setattr(block.Driver, "drive", fails_with_several)
    numbers = set()
    for round_number in (1, 2):
        for finding in found_of(GOOD, BETTER, number=round_number):
            outcome, seen = measured(finding)
            assert outcome.counts.served == 4
            numbers.add(seen.number)
    assert len(numbers) == 4
    assert not numbers & {1, 2}


def test_why_a_model_was_measured_by_itself_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was measured is kept, and that the driver died is not kept from anybody."""
    drive = block.Driver.drive

    def killed_with_several(driver: Any, spec: Any, *more: Any) -> list[Outcome]:
        if len(spec.targets) > 1:
            driver.end()
        return drive(driver, spec, *more)

    monkeypatch.setattr(block.Driver, "drive", killed_with_several)
    for finding in found_of(GOOD, BETTER):
        _, seen = measured(finding)
        assert "signal 9" in (seen.apart or "")
        assert "in one round measured by itself, since the driver failed" in verdict([seen])[1]


def test_driver_that_cannot_be_started_costs_its_cells_with_the_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(core: int | None) -> Any:
        raise DriverError("cannot start the driver")

    monkeypatch.setattr(block, "Driver", fails)
    assert found_of(GOOD, BETTER) == ["cannot start the driver"] * 2


def test_connections_that_are_gone_while_others_are_measured_cost_the_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drive = block.Driver.drive

    def loses_them(driver: Any, spec: Any, *more: Any) -> list[Outcome]:
        outcomes = drive(driver, spec, *more)
        for each in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess):  # others end meanwhile
                if "compare.driver.hold" in each.cmdline():
                    each.kill()
                    os.waitid(os.P_PID, each.pid, os.WEXITED | os.WNOWAIT)
        return outcomes

    monkeypatch.setattr(block.Driver, "drive", loses_them)
    (found,) = found_of(GOOD, idle=3)
    assert found == ("a process that held connections ended: signal 9 (Killed): out of memory?")


def test_driver_that_fails_since_one_server_ended_is_asked_again_for_the_other(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who is left over is not to blame."""
    drive = block.Driver.drive

    def fails_after(driver: Any, spec: Any, *more: Any) -> list[Outcome]:
        outcomes = drive(driver, spec, *more)
        if len(spec.targets) > 1:
            raise DriverError("it is held up")
        return outcomes

    monkeypatch.setattr(block.Driver, "drive", fails_after)
    dead, good = found_of(model_of("dead", "echo.py", "dies", 100, 20), GOOD)
    assert isinstance(dead, str)
    assert "the server ended while it was measured" in dead
    assert measured(good)[0].counts.served == 4


def test_driver_that_fails_with_one_alone_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked_for = []

    def fails(driver: Any, spec: Any, *more: Any) -> list[Outcome]:
        asked_for.append(len(spec.targets))
        raise DriverError("it is held up")

    monkeypatch.setattr(block.Driver, "drive", fails)
    assert found_of(GOOD) == ["it is held up"]
    assert asked_for == [1]


def test_server_that_stands_still_from_its_warm_up_on_is_told_of() -> None:
    """It has no turn at all, and the others have theirs."""
    still, good = found_of(STILL, GOOD, settings=WARMED_UP)
    assert measured(still)[1].gave_up
    assert measured(still)[1].operations == 0
    assert measured(good)[1].operations > 0


@pytest.mark.slow
def test_so_is_one_that_stands_still_in_an_open_loop() -> None:
    (still,) = found_of(STILL, settings=WARMED_UP, rates={STILL.name: 100.0})
    assert measured(still)[1].gave_up
    assert measured(still)[1].operations == 0
    assert "rate-unmet" in verdict([measured(still)[1]])[0]


def test_driver_has_time_for_all_its_servers_and_for_some_that_stand_still() -> None:
    """Of each slice the windows, and what was seen in them is counted after."""
    block = block_of(settings=asked(duration_s=2.0, warmup_s=0.5))
    limits = [limit_s(spec_of(block, [Target("", 7)] * many)) for many in (1, 2, 3)]
    assert limits[2] - limits[1] == pytest.approx(limits[1] - limits[0])
    assert limits[1] - limits[0] >= 2.0 + 0.5 + HOME_S


@pytest.mark.parametrize("alone", [False, True])
def test_driver_has_time_for_servers_whose_every_turn_is_a_long_one(alone: bool) -> None:
    """Then it makes the slices longer than it was asked, and waits after each."""
    block = block_of(settings=asked(duration_s=0.5, warmup_s=0.5, alone=alone))
    turns = 1 if alone else FEWEST
    two, three = (limit_s(spec_of(block, [Target("", 7)] * many)) for many in (2, 3))
    assert three - two >= 0.5 + HOME_S + turns * (2 * LONGEST_S + HOME_S)
