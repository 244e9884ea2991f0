"""The law of scalability: planted constants are found again, with intervals that hold them."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.results.records import Cell, Scalability
from compare.results.scalability import FORETOLD, Law, fit, scalabilities

MakeCell = Callable[..., Cell]
RUNGS = (1, 2, 4, 8, 16)
PLANTED = Law(10_000.0, 0.05, 0.002)
WITHIN = 0.10


@pytest.fixture
def ladder(made_up_cell: MakeCell) -> Callable[..., list[Cell]]:
    """A cell for each number of cores, with rounds as a law has it and `noise` on each."""

    def ladder(
        law: Law = PLANTED,
        rungs: Sequence[int] = RUNGS,
        *,
        noise: float = 0.0,
        rounds: int = 5,
        seed: int = 7,
        **changes: Any,
    ) -> list[Cell]:
        chance = random.Random(seed)
        cells = []
        minutes = [chance.gauss(1.0, 5 * noise) for _ in range(rounds)]
        for cores in rungs:
            rates = tuple(law.at(cores) * each * chance.gauss(1.0, noise) for each in minutes)
            cells.append(made_up_cell("epoll", rates, cores=cores, **changes))
        return cells

    return ladder


Ladder = Callable[..., list[Cell]]


def only(found: list[Scalability]) -> Scalability:
    (one,) = found
    return one


# The law


@given(
    one=st.floats(10, 1e7),
    contention=st.floats(0, 1),
    coherency=st.floats(0, 0.1),
    rungs=st.sets(st.integers(1, 64), min_size=3, max_size=8),
)
def test_constants_of_rates_that_keep_to_the_law_are_found(
    one: float, contention: float, coherency: float, rungs: set[int]
) -> None:
    law = Law(one, contention, coherency)
    found = fit([(cores, law.at(cores)) for cores in sorted(rungs)])
    assert found.one == pytest.approx(one, rel=1e-4)
    assert found.contention == pytest.approx(contention, rel=1e-4, abs=1e-6)
    assert found.coherency == pytest.approx(coherency, rel=1e-4, abs=1e-6)


@given(
    points=st.lists(
        st.tuples(st.integers(1, 64), st.floats(1e-3, 1e9)),
        min_size=2,
        max_size=8,
        unique_by=lambda point: point[0],
    )
)
def test_no_constant_is_below_zero_whatever_was_measured(points: list[tuple[int, float]]) -> None:
    law = fit(points)
    assert law.one > 0
    assert law.contention >= 0
    assert law.coherency >= 0
    assert all(law.at(cores) > 0 for cores, _ in points)


def test_of_two_numbers_of_cores_it_is_amdahls_law() -> None:
    law = fit([(1, 1000.0), (4, 1000.0 * 4 / (1 + 0.2 * 3))])
    assert law == pytest.approx((1000.0, 0.2, 0.0))


def test_one_number_of_cores_has_no_law() -> None:
    with pytest.raises(ValueError, match="takes two numbers of cores"):
        fit([(2, 1000.0)])


def test_more_than_so_many_times_is_no_negative_contention() -> None:
    law = fit([(1, 1000.0), (2, 2100.0), (4, 4400.0)])
    assert (law.contention, law.coherency) == (0.0, 0.0)


def test_beyond_its_peak_more_cores_do_less() -> None:
    peak = PLANTED.peak
    assert peak == pytest.approx(((1 - 0.05) / 0.002) ** 0.5)
    assert PLANTED.at(peak) > max(PLANTED.at(peak - 1), PLANTED.at(peak + 1))
    assert Law(1.0, 0.5).peak is None


# Of cells


def test_planted_constants_are_found_on_sixteen_cores(ladder: Ladder) -> None:
    found = only(scalabilities(ladder(noise=0.005, rounds=11)))
    assert found.coherency is not None
    assert found.contention.value == pytest.approx(PLANTED.contention, rel=WITHIN)
    assert found.coherency.value == pytest.approx(PLANTED.coherency, rel=WITHIN)
    assert found.one_ops_per_s == pytest.approx(PLANTED.one, rel=0.05)
    assert found.peak_cores == pytest.approx(PLANTED.peak, rel=WITHIN)
    assert [rung.cores for rung in found.rungs] == [*RUNGS]
    for rung in found.rungs:
        law = PLANTED.at(rung.cores) / PLANTED.at(1) / rung.cores
        assert rung.efficiency == pytest.approx(law, rel=0.02)


@pytest.mark.parametrize("coherency", [0.0, 0.002])
def test_intervals_hold_the_truth_as_often_as_they_say(ladder: Ladder, coherency: float) -> None:
    """With 95 %: fewer than 180 of 200 would be a chance of one in a thousand."""
    law = Law(10_000.0, 0.05, coherency)
    held = {"contention": 0, "coherency": 0}
    for seed in range(200):
        found = only(scalabilities(ladder(law, noise=0.02, seed=seed)))
        for name in held:
            constant = getattr(found, name)
            low, high = constant.ci95
            assert low <= constant.value <= high
            held[name] += low <= getattr(law, name) <= high
    assert min(held.values()) >= 180


def test_what_slows_a_whole_round_down_is_no_contention(ladder: Ladder) -> None:
    """All numbers of cores had the same bad minute."""
    cells = ladder(noise=0.004, rounds=8)  # and the minutes differ by five times that
    rates = [each.ops_per_s for each in cells[0].rounds]
    assert max(rates) > 1.03 * min(rates)
    low, high = only(scalabilities(cells)).contention.ci95 or (0.0, 1.0)
    assert high - low < 0.02


def test_one_round_has_no_interval(ladder: Ladder) -> None:
    found = only(scalabilities(ladder(rounds=1)))
    assert found.contention.ci95 is None
    assert all(rung.efficiency_ci95 is None for rung in found.rungs)


def test_of_two_numbers_coherency_is_not_told_and_that_is_said(ladder: Ladder) -> None:
    found = only(scalabilities(ladder(rungs=(1, 2))))
    assert found.coherency is None
    assert found.peak_cores is None
    assert "two numbers of cores tell contention only" in " ".join(found.notes)


def test_each_model_and_load_has_a_law_of_its_own(ladder: Ladder, made_up_cell: MakeCell) -> None:
    cells = [*ladder(), *ladder(connections=64), made_up_cell("uvloop", (1.0, 2.0))]
    found = scalabilities(cells)
    assert [(each.model, each.connections, each.cores) for each in found] == [
        ("epoll", 4, 0),
        ("epoll", 64, 0),
    ]


@pytest.mark.parametrize("verdict", ["failed", "errors", "unsupported"])
def test_what_is_not_ranked_is_no_rung(ladder: Ladder, verdict: str) -> None:
    cells = ladder(rungs=(1, 2, 4)) + ladder(rungs=(8,), verdict=verdict)
    assert [rung.cores for rung in only(scalabilities(cells)).rungs] == [1, 2, 4]


def test_open_loops_and_single_numbers_have_no_law(ladder: Ladder) -> None:
    assert scalabilities(ladder(rungs=(4,))) == []
    assert scalabilities(ladder(loop="open", rate=100.0)) == []


def test_rounds_that_not_all_had_are_not_paired(ladder: Ladder, made_up_cell: MakeCell) -> None:
    """Of the second number only one round is another's, too."""
    cells = [*ladder(rungs=(1, 4)), made_up_cell("epoll", (15_000.0,), cores=2)]
    found = only(scalabilities(cells))
    assert [rung.cores for rung in found.rungs] == [1, 2, 4]
    assert found.contention.ci95 is None


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        ("not-pinned", "on 16 cores the driver had a part of one of them"),
        ("driver-bound", "on 16 cores the driver was the limit"),
        ("both-full", "--drivers"),
        ("unbound", "more --connections"),
    ],
)
def test_what_is_not_the_servers_is_said(ladder: Ladder, verdict: str, words: str) -> None:
    cells = ladder(rungs=RUNGS[:-1]) + ladder(rungs=(16,), verdict=verdict, verdicts=[verdict])
    (note,) = only(scalabilities(cells)).notes
    assert words in note


def test_where_coherency_may_be_nothing_no_peak_is_told(ladder: Ladder) -> None:
    for seed in range(20):
        found = only(scalabilities(ladder(Law(1000.0, 0.1), noise=0.02, seed=seed)))
        assert found.coherency is not None
        low, _ = found.coherency.ci95 or (0.0, 0.0)
        assert (found.peak_cores is None) == (low == 0.0)


def test_a_peak_far_beyond_what_was_measured_is_not_foretold(ladder: Ladder) -> None:
    found = only(scalabilities(ladder(Law(1000.0, 0.1, 1e-9))))
    assert found.coherency is not None
    assert FORETOLD * 16 < (1 / 1e-9) ** 0.5
    assert found.peak_cores is None
