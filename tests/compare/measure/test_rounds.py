"""The rounds of a run: who is measured together, in which order, and how many it takes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from made_up_instrument import BAD, ONE, TWO, Instrument
from short_runs import BELIEVED, run_of

from compare.measure.progress import Progress
from compare.measure.run import EARLY, LOOKS_FROM, MOST_ROUNDS, Watcher
from compare.models.model import Model
from compare.results.ranking import rank
from compare.results.records import Cell, Key, Run

pytestmark = pytest.mark.usefixtures("nothing_left", "whom_the_gate_lets_in")

FOUR_LOADS: dict[str, Any] = {"workloads": ["tcp-long", "chat"], "connections": [1, 8]}


def loads(keys: list[Key]) -> set[tuple[str, int]]:
    return {(key.load.workload, key.load.connections) for key in keys}


@pytest.fixture
def noisy(instrument: Instrument) -> Callable[..., None]:
    """Has every round find other figures; those of `two` are so many times those of `one`.

    steady: the ratio is the same in every round, and not a little different.
    """

    def noisy(rate: float = 1.0, cost: float = 1.0, *, steady: bool = False) -> None:
        def find(key: Key, _: float | None) -> dict[str, Any]:
            number = instrument.numbers[-1]
            minute = 1 + 0.3 * (number % 3)
            own = 1.0 if steady else (1.2, 0.8)[number % 2]
            ratios = (rate * own, cost * own) if key.model == "two" else (1.0, 1.0)
            return {"rate": 1000 * minute * ratios[0], "cost": 5 / minute * ratios[1]}

        instrument.find = find

    return noisy


Noisy = Callable[..., None]


# Who is measured together


def test_all_cells_with_the_same_load_are_measured_together(instrument: Instrument) -> None:
    run_of(ONE, TWO, **FOUR_LOADS, rounds=3)
    assert len(instrument.blocks) == 4 * 3
    for block in instrument.blocks:
        assert {key.model for key in block} == {"one", "two"}
        assert len(loads(block)) == 1


def test_every_round_has_every_block_once_and_its_number(instrument: Instrument) -> None:
    """So that the rounds of one block are far from each other."""
    result = run_of(ONE, TWO, **FOUR_LOADS, rounds=3)
    assert instrument.numbers == [1] * 4 + [2] * 4 + [3] * 4
    for number in range(3):
        blocks = instrument.blocks[4 * number : 4 * number + 4]
        assert len(set.union(*map(loads, blocks))) == 4
    for cell in result.cells:
        assert [each.number for each in cell.rounds] == [1, 2, 3]


def test_alone_each_is_measured_by_itself_in_an_order_of_its_own(
    instrument: Instrument, noisy: Noisy
) -> None:
    noisy()
    result = run_of(ONE, TWO, connections=[1, 8], rounds=6, alone=True)
    assert all(len(block) == 1 for block in instrument.blocks)
    rounds = [instrument.keys[start : start + 4] for start in range(0, 24, 4)]
    cells = {cell.key for cell in result.cells}
    assert all(set(each) == cells for each in rounds)
    assert len({tuple(each) for each in rounds}) > 1
    assert {len(cell.rounds) for cell in result.cells} == {6}


def test_seed_decides_the_order_of_those_that_are_alone(instrument: Instrument) -> None:
    orders = []
    for seed in (1, 1, 2):
        run_of(ONE, TWO, connections=[*range(1, 9)], alone=True, seed=seed)
        orders.append([instrument.keys.pop(0) for _ in range(16)])
    assert orders[0] == orders[1] != orders[2]


def test_cell_that_failed_leaves_its_block(instrument: Instrument) -> None:
    run_of(ONE, TWO, BAD, rounds=3)
    models = [{key.model for key in block} for block in instrument.blocks]
    assert models == [{"one", "two", "bad"}, {"one", "two"}, {"one", "two"}]


def test_who_is_started_first_differs_from_round_to_round(instrument: Instrument) -> None:
    """The last one is slower for as long as it lives."""
    run_of(ONE, TWO, rounds=12, margin=1e-9)
    assert {block[0].model for block in instrument.blocks} == {"one", "two"}


@pytest.mark.usefixtures("instrument")
def test_watcher_is_told_how_many_are_beside() -> None:
    seen: set[tuple[int, int]] = set()

    def watch(progress: Progress) -> None:
        if progress.finished is None and progress.round:
            seen.add((progress.round, progress.beside))

    run_of(ONE, TWO, BAD, rounds=2, watch=watch)
    assert {(1, 2), (2, 1)} <= seen


# How many rounds


def noting(seen: list[tuple[int, int]]) -> Watcher:
    """What is done, of how many, whenever it is told."""
    return lambda told: seen.append((told.done, told.total))


def rounds_of(run: Run) -> list[int]:
    return [len(cell.rounds) for cell in run.cells]


@pytest.mark.parametrize("ratios", [(0.9, 1.0), (1.0, 1.2), (0.9, 1.2), (1.0, 1.0)])
def test_block_whose_questions_are_answered_is_over(
    noisy: Noisy, ratios: tuple[float, float]
) -> None:
    """Behind or tied, by the rate and by the CPU time, however much both vary together."""
    noisy(*ratios, steady=True)
    run = run_of(ONE, TWO, rounds=10)
    assert rounds_of(run) == [LOOKS_FROM] * 2
    decided = [each for each in run.comparisons if each.metric != "p99_us"]
    assert len(decided) == 4
    assert all(each.standing != "unclear" for each in decided)


@pytest.mark.parametrize("what", ["rate", "cost"])
def test_block_with_one_open_question_has_all_its_rounds(
    instrument: Instrument, noisy: Noisy, what: str
) -> None:
    noisy(0.8, 1.2, steady=True)
    find = instrument.find

    def find_with_noise(key: Key, rate: float | None) -> dict[str, Any]:
        found = find(key, rate)
        assert not isinstance(found, str)
        if key.model == "two":
            found[what] *= 1 + 0.8 * (instrument.numbers[-1] % 2)
        return found

    instrument.find = find_with_noise
    run = run_of(ONE, TWO, rounds=10)
    assert rounds_of(run) == [10, 10]


def first_rounds(cells: list[Cell], many: int) -> list[Cell]:
    return [msgspec.structs.replace(cell, rounds=cell.rounds[:many]) for cell in cells]


def test_early_answer_must_be_surer_than_one_at_the_end(
    instrument: Instrument, noisy: Noisy
) -> None:
    noisy(steady=True)
    find, ratios = instrument.find, itertools.cycle([0.88, 0.93])

    def find_behind(key: Key, rate: float | None) -> dict[str, Any]:
        found = find(key, rate)
        assert not isinstance(found, str)
        if key.model == "two":
            found["rate"] *= next(ratios)
        return found

    instrument.find = find_behind
    run = run_of(ONE, TWO, rounds=10)
    early = first_rounds(run.cells, LOOKS_FROM)
    assert [each.standing for each in rank(early)] == ["best", "behind"]
    assert [each.standing for each in rank(early, confidence=EARLY)] == ["best", "unclear"]
    (many,) = {*rounds_of(run)}
    assert LOOKS_FROM < many < 10
    assert [each.standing for each in rank(run.cells, confidence=EARLY)] == ["best", "behind"]


def test_fewer_rounds_than_it_takes_to_look_are_all_made(noisy: Noisy) -> None:
    noisy(0.5, steady=True)
    assert rounds_of(run_of(ONE, TWO, rounds=3)) == [3, 3]


def test_one_with_nobody_to_be_compared_with_has_all_its_rounds(noisy: Noisy) -> None:
    noisy(steady=True)
    assert rounds_of(run_of(ONE, rounds=6)) == [6]


def test_block_that_is_over_does_not_end_the_others(instrument: Instrument, noisy: Noisy) -> None:
    noisy()
    unclear = instrument.find

    def find(key: Key, rate: float | None) -> dict[str, Any] | str:
        return {} if key.load.workload == "chat" else unclear(key, rate)

    instrument.find = find
    run = run_of(ONE, TWO, workloads=["chat", "tcp-long"], rounds=8)
    assert rounds_of(run) == [LOOKS_FROM] * 2 + [8] * 2


def test_precise_goes_on_until_all_is_answered(instrument: Instrument, noisy: Noisy) -> None:
    """What differs by chance is tied after all, once there are enough rounds."""
    noisy(steady=True)
    find = instrument.find

    def find_nearly_the_same(key: Key, rate: float | None) -> dict[str, Any]:
        found = find(key, rate)
        assert not isinstance(found, str)
        if key.model == "two":
            found["rate"] *= 0.97 + 0.06 * (instrument.numbers[-1] % 2)
        return found

    instrument.find = find_nearly_the_same
    seen: list[tuple[int, int]] = []
    run = run_of(ONE, TWO, rounds=5, precise=True, watch=noting(seen))
    (many,) = {*rounds_of(run)}
    assert 5 < many < MOST_ROUNDS
    assert all(done <= total for done, total in seen)
    assert seen[-1] == (2 * many, 2 * many)


@pytest.mark.slow
def test_precise_ends_all_the_same(noisy: Noisy) -> None:
    noisy()
    run = run_of(ONE, TWO, rounds=5, precise=True)
    assert rounds_of(run) == [MOST_ROUNDS] * 2
    unclear = [each for each in run.comparisons if each.standing == "unclear"]
    assert all(each.needs_s for each in unclear)
    assert unclear


@pytest.mark.parametrize("models", [(ONE, TWO), (ONE, TWO, BAD), (BAD,)])
def test_progress_ends_at_its_total(noisy: Noisy, models: tuple[Model, ...]) -> None:
    """Also where a block is over sooner, and whoever has failed in it."""
    noisy(0.5, steady=True)
    seen: list[tuple[int, int]] = []
    run_of(
        *models,
        connections=[1, 8],
        rounds=10,
        watch=noting(seen),
    )
    assert seen[0] == (0, 2 * len(models) * 10)
    assert all(done <= total for done, total in seen)
    assert seen[-1][0] == seen[-1][1]


def test_progress_of_a_precise_run_does_not_exceed_its_total(noisy: Noisy) -> None:
    noisy()
    seen: list[tuple[int, int]] = []
    run_of(
        ONE,
        TWO,
        BAD,
        rounds=5,
        precise=True,
        watch=noting(seen),
    )
    assert all(done <= total for done, total in seen)


@pytest.mark.usefixtures("instrument")
def test_cell_that_failed_does_not_keep_the_others_from_an_answer() -> None:
    run = run_of(ONE, TWO, BAD, rounds=9)
    one, two, bad = run.cells
    assert bad.verdict == "failed"
    assert {one.verdict, two.verdict} <= {*BELIEVED}
    assert [len(one.rounds), len(two.rounds)] == [LOOKS_FROM] * 2
    assert {each.model for each in run.comparisons} == {"one", "two"}
