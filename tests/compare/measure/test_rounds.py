"""The rounds of a run: their order, those that are noisy, and how many it takes."""

from __future__ import annotations

from typing import Any

import pytest
from made_up_instrument import Instrument
from short_runs import asked, ignore

from compare.driver.probe import Work
from compare.measure import run
from compare.measure.run import MOST_ROUNDS, execute
from compare.results.records import Key, Percentiles

pytestmark = pytest.mark.usefixtures("nothing_left", "whom_the_gate_lets_in")


# Their order


def test_every_round_has_every_cell_once_in_an_order_of_its_own(instrument: Instrument) -> None:
    settings = asked("one", "two", workloads=["tcp-long", "chat"], connections=[1, 8], rounds=6)
    result = execute(settings, ignore, ignore)
    rounds = [instrument.keys[start : start + 8] for start in range(0, 48, 8)]
    cells = {cell.key for cell in result.cells}
    assert len(cells) == 8
    assert all(set(each) == cells for each in rounds)
    assert len({tuple(each) for each in rounds}) > 3
    assert {len(cell.rounds) for cell in result.cells} == {6}


def test_seed_decides_the_order(instrument: Instrument) -> None:
    orders = []
    for seed in (1, 1, 2):
        execute(asked("one", "two", connections=[1, 2, 3, 4], seed=seed), ignore, ignore)
        orders.append([instrument.keys.pop(0) for _ in range(8)])
    assert orders[0] == orders[1] != orders[2]


# Noise


def test_noisy_round_is_made_again_and_counted(instrument: Instrument) -> None:
    noisy = iter([False, True, True, False, False])
    instrument.find = lambda key, rate: {"server_waited": 0.5 if next(noisy) else 0.0}
    notes: list[str] = []
    settings = asked("one", rounds=3)
    (cell,) = execute(settings, lambda progress: notes.append(progress.note), ignore).cells
    assert (len(cell.rounds), cell.discarded) == (3, 2)
    assert cell.verdict == "ok"
    assert len(instrument.keys) == 5
    assert "noisy, once more" in notes


def test_round_on_a_slower_machine_is_made_again_once(instrument: Instrument) -> None:
    """As slow as it has become after the first round, which tells how fast it can be."""
    works = iter([Work(100, 100, 100), *[Work(100, 100, 200)] * 4])
    instrument.find = lambda key, rate: {"work": next(works)}
    (cell,) = execute(asked("one", rounds=3), ignore, ignore).cells
    assert [each.work and each.work.between_ns for each in cell.rounds] == [100, 200, 200]
    assert cell.discarded == 2


def test_single_round_is_not_made_again_for_that(instrument: Instrument) -> None:
    works = iter([Work(100, 100, 100), Work(100, 100, 200)])
    instrument.find = lambda key, rate: {"work": next(works)}
    result = execute(asked("one", "two", rounds=1), ignore, ignore)
    assert [cell.discarded for cell in result.cells] == [0, 0]


@pytest.mark.parametrize("what", ["server_waited", "driver_waited", "stolen"])
def test_noise_that_does_not_end_is_kept_after_as_many_rounds_again(
    instrument: Instrument, what: str
) -> None:
    instrument.find = lambda key, rate: {what: 0.5}
    (cell,) = execute(asked("one", rounds=3), ignore, ignore).cells
    assert (len(cell.rounds), cell.discarded) == (3, 3)
    assert cell.verdict == "noisy"
    assert len(instrument.keys) == 6


def test_noise_of_one_cell_costs_the_others_nothing(instrument: Instrument) -> None:
    instrument.find = lambda key, rate: {"stolen": 0.5 if key.model == "two" else 0.0}
    one, two = execute(asked("one", "two", rounds=2), ignore, ignore).cells
    assert (one.discarded, two.discarded) == (0, 2)
    assert one.verdict == "ok"


# Rounds without a number


def test_narrow_intervals_need_no_more_rounds(instrument: Instrument) -> None:
    (cell,) = execute(asked("one", rounds=5, precise=True), ignore, ignore).cells
    assert len(cell.rounds) == 5
    assert cell.verdict == "ok"


@pytest.mark.parametrize("what", ["rate", "p99"])
def test_rounds_go_on_until_both_intervals_are_narrow(instrument: Instrument, what: str) -> None:
    def find(key: Key, rate: float | None) -> dict[str, Any]:
        value = 1000.0 + (100.0 * len(instrument.keys) if len(instrument.keys) <= 5 else 0)
        if what == "rate":
            return {"rate": value}
        return {"latency_us": Percentiles(p99=value)}

    instrument.find = find
    seen: list[tuple[int, int]] = []
    settings = asked("one", rounds=5, precise=True)
    (cell,) = execute(
        settings, lambda progress: seen.append((progress.done, progress.total)), ignore
    ).cells
    assert 5 < len(cell.rounds) < MOST_ROUNDS
    ci95 = cell.ops_per_s_ci95 if what == "rate" else cell.p99_us_ci95
    assert ci95 is not None
    assert ci95[1] - ci95[0] <= 2 * run.PRECISE * ci95[1]
    assert all(done <= total for done, total in seen)
    assert seen[-1] == (len(cell.rounds),) * 2


def test_only_what_is_wide_goes_on(instrument: Instrument) -> None:
    instrument.find = lambda key, rate: {
        "rate": 1000.0 + 300 * (key.model == "two" and len(instrument.keys) % 2)
    }
    one, two = execute(asked("one", "two", rounds=5, precise=True), ignore, ignore).cells
    assert (len(one.rounds), len(two.rounds)) == (5, MOST_ROUNDS)


def test_what_stays_wide_says_so(instrument: Instrument) -> None:
    instrument.find = lambda key, rate: {"rate": 1000.0 + 300 * (len(instrument.keys) % 2)}
    (cell,) = execute(asked("one", rounds=5, precise=True), ignore, ignore).cells
    assert len(cell.rounds) == MOST_ROUNDS
    told = "after 30 rounds the interval of the rate or of the p99 is still ±"
    assert any(reason.startswith(told) for reason in cell.reasons)


@pytest.mark.usefixtures("instrument")
def test_cell_that_failed_does_not_keep_the_others_from_going_on() -> None:
    one, bad = execute(asked("one", "bad", rounds=5, precise=True), ignore, ignore).cells
    assert (one.verdict, bad.verdict) == ("ok", "failed")
