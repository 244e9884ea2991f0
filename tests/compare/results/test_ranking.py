"""Who is best, from made-up cells."""

from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from compare.contract.outcome import Slice
from compare.results.ranking import METRICS, paired, rank, rank_all
from compare.results.records import Cell, Comparison, Metric, Pace, Percentiles, Round

MakeCell = Callable[..., Cell]
MakeRound = Callable[..., Round]

SLOW = (100_000.0, 101_000.0, 99_000.0, 100_500.0, 99_500.0)
SLOW_TOO = (100_100.0, 100_900.0, 99_100.0, 100_400.0, 99_600.0)
FAST = (200_000.0, 201_000.0, 199_000.0, 200_500.0, 199_500.0)
# Of the same model in rounds that differ much: it cannot be told from others soon.
UNSTEADY = (100_000.0, 120_000.0, 90_000.0, 115_000.0, 95_000.0)


def standings(*cells: Cell, metric: Metric = "ops_per_s") -> dict[str, str]:
    return {each.model: each.standing for each in rank(cells, metric)}


def found_of(model: str, comparisons: Sequence[Comparison]) -> Comparison:
    (found,) = (each for each in comparisons if each.model == model)
    return found


# The best, and those beside it


def test_best_comes_first_and_is_held_against_itself(made_up_cell: MakeCell) -> None:
    best, other = rank([made_up_cell("slow", SLOW), made_up_cell("fast", FAST)])
    assert (best.model, best.standing, best.ratio, best.ratio_ci95) == ("fast", "best", 1.0, None)
    assert (other.model, other.standing, other.best) == ("slow", "behind", "fast")
    assert other.ratio == pytest.approx(0.5, rel=0.02)
    assert other.ratio_ci95 is not None
    assert other.ratio_ci95[0] < 0.5 < other.ratio_ci95[1] < 1


def test_interval_that_holds_one_within_the_margin_is_a_tie(made_up_cell: MakeCell) -> None:
    cells = made_up_cell("one", SLOW), made_up_cell("two", SLOW_TOO)
    assert standings(*cells) == {"two": "best", "one": "tied"}


def test_interval_that_leaves_the_margin_on_either_side_is_unclear(made_up_cell: MakeCell) -> None:
    cells = made_up_cell("steady", FAST), made_up_cell("unsteady", tuple(2 * x for x in UNSTEADY))
    found = rank(cells)[1]
    assert found.standing == "unclear"
    assert found.ratio_ci95 is not None
    assert found.ratio_ci95[0] < 1 / 1.05
    assert found.ratio_ci95[1] > 1.05


def test_difference_that_is_sure_is_told_within_the_margin_too(made_up_cell: MakeCell) -> None:
    cells = made_up_cell("fast", FAST), made_up_cell("near", tuple(0.99 * rate for rate in FAST))
    assert standings(*cells) == {"fast": "best", "near": "behind"}


def test_margin_decides_what_is_tied(made_up_cell: MakeCell) -> None:
    cells = made_up_cell("one", SLOW), made_up_cell("two", SLOW_TOO)
    assert [each.standing for each in rank(cells, margin=0.0001)] == ["best", "unclear"]
    assert [each.margin for each in rank(cells, margin=0.02)] == [0.02, 0.02]


def test_more_confidence_takes_more(made_up_cell: MakeCell) -> None:
    near = tuple(0.93 * rate for rate in UNSTEADY)
    cells = made_up_cell("one", UNSTEADY), made_up_cell("two", (*near[:4], 0.9 * UNSTEADY[4]))
    assert [each.standing for each in rank(cells)] == ["best", "behind"]
    assert [each.standing for each in rank(cells, confidence=0.9999)] == ["best", "unclear"]


def test_order_of_the_cells_does_not_matter(made_up_cell: MakeCell) -> None:
    cells = [
        made_up_cell("fast", FAST),
        made_up_cell("slow", SLOW),
        made_up_cell("slow-too", SLOW_TOO),
    ]
    assert all(rank(each) == rank(cells) for each in itertools.permutations(cells))


def test_more_that_are_compared_must_differ_more_each(made_up_cell: MakeCell) -> None:
    near = tuple(rate * by for rate, by in zip(SLOW, (0.8, 0.9, 0.85, 0.95, 0.9), strict=True))
    few = [made_up_cell("fast", SLOW), made_up_cell("near", near)]
    many = [*few, *(made_up_cell(f"m{number}", SLOW) for number in range(9))]
    assert standings(*few)["near"] == "behind"
    assert standings(*many)["near"] == "unclear"


def test_one_alone_has_nobody_to_beat(made_up_cell: MakeCell) -> None:
    assert rank([]) == []
    assert rank([made_up_cell("only", FAST)]) == []


# Pairs


def a_round(make_round: MakeRound, number: int, rates: Sequence[float], **changes: Any) -> Round:
    """Whose slices of 20 ms had these rates."""
    slices = [
        Slice(
            window_ns=20_000_000,
            operations=round(rate * 0.02),
            driver_cpu_ns=10_000_000,
            driver_wait_ns=0,
            turn_ns=21_000_000,
            turn_operations=round(rate * 0.02),
            cpu_ns=15_000_000,
        )
        for rate in rates
    ]
    return make_round(math.fsum(rates) / len(rates), number=number, slices=slices, **changes)


def test_machine_that_slowed_down_both_is_in_no_ratio(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    """Each slice is held against that of the other which was measured beside it."""
    speeds = [[1.0, 0.3, 0.9, 0.6], [0.2, 0.2, 0.3, 0.2], [0.9, 1.0, 1.0, 0.4]]
    cells = [
        made_up_cell(
            model,
            (),
            rounds=[
                a_round(made_up_round, number, [rate * speed for speed in round_])
                for number, round_ in enumerate(speeds)
            ],
        )
        for model, rate in (("fast", 1e6), ("slow", 0.9e6))
    ]
    found = found_of("slow", rank(cells))
    assert found.standing == "behind"
    assert found.ratio_ci95 == pytest.approx((0.9, 0.9), rel=1e-4)


def test_slice_in_which_something_else_had_the_cpu_does_not_move_a_ratio(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    struck = [1e6] * 7 + [1e4]
    one = made_up_cell("one", (), rounds=[a_round(made_up_round, 1, struck)])
    two = made_up_cell("two", (), rounds=[a_round(made_up_round, 1, [1e6] * 8)])
    assert paired(one, two, "ops_per_s") == [pytest.approx(0.0)]


def test_what_comes_again_in_every_round_is_the_servers_however_few_slices_it_is_in(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    """As a garbage collection, which takes one slice in eight."""
    cells = [
        made_up_cell(
            model,
            (),
            rounds=[
                a_round(made_up_round, number, [by * each for each in rates])
                for number, by in enumerate((1.0, 1.001, 0.999, 1.002, 0.998), 1)
            ],
        )
        for model, rates in (("steady", [1e6] * 8), ("collects", [1e6] * 7 + [2e5]))
    ]
    found = found_of("collects", rank(cells))
    assert found.standing == "behind"
    assert found.ratio == pytest.approx(0.9, rel=0.01)


def test_cpu_time_is_its_servers_own_in_whichever_slice_it_is_used(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    one, two = (
        made_up_cell(
            model,
            (),
            rounds=[a_round(made_up_round, 1, [1e6] * 8, cost=cost)],
        )
        for model, cost in (("plain", 5.0), ("in bursts", 6.0))
    )
    assert paired(two, one, "cpu_us_per_op") == [pytest.approx(math.log(1.2))]


@pytest.mark.slow
@pytest.mark.parametrize(("many", "rounds"), [(9, 4), (5, 4), (9, 11), (5, 11), (2, 11)])
def test_table_of_equal_servers_hardly_ever_says_behind_of_any_in_any_metric(
    made_up_cell: MakeCell, made_up_round: MakeRound, many: int, rounds: int
) -> None:
    chance, tables, false = random.Random(many * rounds), 120, 0
    for _ in range(tables):
        cells = [
            made_up_cell(
                f"m{model}",
                (),
                rounds=[
                    made_up_round(
                        1e5 * math.exp(chance.gauss(0, 0.02)),
                        number=number,
                        latency_us=Percentiles(p99=500 * math.exp(chance.gauss(0, 0.1))),
                        cost=5 * math.exp(chance.gauss(0, 0.01)),
                    )
                    for number in range(rounds)
                ],
            )
            for model in range(many)
        ]
        false += any(each.standing == "behind" for each in rank_all(cells))
    assert false <= 0.1 * tables  # one in twenty; by chance of so few tables


def test_slices_too_short_for_an_operation_count_as_a_whole(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    """Each with an operation in one slice of four, and never in the same one."""
    one, two = (
        made_up_cell(model, (), rounds=[a_round(made_up_round, 1, rates)])
        for model, rates in (("one", [50.0, 0.0, 0.0, 0.0]), ("two", [0.0, 50.0, 0.0, 50.0]))
    )
    assert paired(one, two, "ops_per_s") == [pytest.approx(math.log(0.5))]


def test_rounds_of_the_same_number_are_paired_and_others_left_out(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    """A round that one of both did not have says nothing of the two."""
    rates = {1: 1e6, 2: 2e6, 3: 3e6, 4: 4e6}
    whole, part = (
        made_up_cell(
            model,
            (),
            rounds=[made_up_round(by * rates[number], number=number) for number in numbers],
        )
        for model, by, numbers in (("whole", 1.0, (1, 2, 3, 4)), ("part", 0.5, (4, 2)))
    )
    assert paired(part, whole, "ops_per_s") == [pytest.approx(math.log(0.5))] * 2


def test_best_is_whom_nobody_beats_in_the_same_rounds(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    """And not who has the highest mean, which may be that of the better minutes."""
    lucky = [made_up_round(1000.0, number=number) for number in (1, 2, 3)]
    better = [made_up_round(1100.0, number=number) for number in (1, 2, 3)]
    better += [made_up_round(300.0, number=number) for number in (4, 5, 6)]
    cells = [made_up_cell("lucky", (), rounds=lucky), made_up_cell("better", (), rounds=better)]
    assert standings(*cells) == {"better": "best", "lucky": "behind"}


def test_who_shares_no_round_with_the_best_is_not_held_against_it(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    cells = [
        made_up_cell("fast", FAST),
        made_up_cell("slow", SLOW),
        made_up_cell("later", (), rounds=[made_up_round(1.0, number=number) for number in (8, 9)]),
    ]
    assert standings(*cells) == {"fast": "best", "slow": "behind"}


# What it takes to tell


def test_one_round_is_a_ratio_without_an_interval(made_up_cell: MakeCell) -> None:
    other = rank([made_up_cell("fast", FAST[:1]), made_up_cell("slow", SLOW[:1])])[1]
    assert (other.standing, other.ratio_ci95, other.needs_s) == ("unclear", None, None)
    assert other.ratio == pytest.approx(0.5)


def test_what_it_would_take_to_tell_is_said_of_the_unclear_only(made_up_cell: MakeCell) -> None:
    cells = [made_up_cell("one", SLOW), made_up_cell("two", SLOW_TOO), made_up_cell("low", (1.0,))]
    cells.append(made_up_cell("unsteady", tuple(0.95 * rate for rate in UNSTEADY)))
    found = {each.model: each for each in rank(cells)}
    assert {each.standing for each in found.values()} == {"best", "tied", "unclear"}
    assert [model for model, each in found.items() if each.needs_s is not None] == ["unsteady"]


def test_time_that_is_said_to_be_enough_is_enough(made_up_cell: MakeCell) -> None:
    """Where further rounds are as those before. A round of both takes 20.6 s here."""
    for times in (1, 2):
        found = rank([made_up_cell("one", SLOW * times), made_up_cell("two", UNSTEADY * times)])[1]
        assert found.standing == "unclear"
        assert found.needs_s is not None
        whole = math.ceil((found.needs_s / 20.6 + len(SLOW) * times) / len(SLOW))
        assert whole > times
        cells = [made_up_cell("one", SLOW * whole), made_up_cell("two", UNSTEADY * whole)]
        assert rank(cells)[1].standing != "unclear"


def test_what_takes_longer_than_a_day_is_not_foretold(made_up_cell: MakeCell) -> None:
    cells = [made_up_cell("one", (1.0, 1e9)), made_up_cell("two", (1e9, 1.0))]
    assert rank(cells)[1].needs_s == 86_400


# Metrics


def varied(make_cell: MakeCell, make_round: MakeRound, model: str, by: float) -> Cell:
    """Equally fast; what differs is what an operation costs, and how late the last are."""
    rounds = [
        make_round(
            1000.0 + number,
            number=number,
            cost=by * (5 + 0.01 * number),
            latency_us=Percentiles(p50=1.0, p99=by * (300 + number)),
        )
        for number in range(1, 5)
    ]
    return make_cell(model, (), rounds=rounds)


@pytest.mark.parametrize("metric", ["cpu_us_per_op", "p99_us"])
def test_of_cost_and_latency_less_is_better(
    made_up_cell: MakeCell, made_up_round: MakeRound, metric: Metric
) -> None:
    cells = [varied(made_up_cell, made_up_round, f"x{by}", by) for by in (2, 1, 3)]
    found = rank(cells, metric)
    assert [each.model for each in found] == ["x1", "x2", "x3"]
    assert [each.standing for each in found] == ["best", "behind", "behind"]
    assert [each.ratio for each in found] == pytest.approx([1, 2, 3])
    assert {each.metric for each in found} == {metric}


def test_cell_without_a_metric_is_not_ranked_by_it(
    made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    """As the p99 of few operations, or the CPU time of a server that stands elsewhere."""
    cells = [varied(made_up_cell, made_up_round, f"x{by}", by) for by in (1, 2)]
    rounds = [made_up_round(900.0, number=n, cost=None, latency_us=Percentiles()) for n in (1, 2)]
    cells.append(made_up_cell("mute", (), rounds=rounds))
    assert "mute" in standings(*cells)
    assert "mute" not in standings(*cells, metric="cpu_us_per_op")
    assert "mute" not in standings(*cells, metric="p99_us")


# Who is ranked


@pytest.mark.parametrize("verdict", ["failed", "unsupported", "errors"])
def test_figure_that_cannot_be_believed_is_not_ranked(made_up_cell: MakeCell, verdict: str) -> None:
    cells = [
        made_up_cell("doubtful", FAST, verdict=verdict),
        made_up_cell("one", SLOW),
        made_up_cell("two", SLOW_TOO),
    ]
    assert standings(*cells) == {"two": "best", "one": "tied"}


@pytest.mark.parametrize(
    "verdict", ["throttled", "driver-bound", "both-full", "unbound", "not-pinned"]
)
def test_what_was_at_its_limit_does_not_keep_a_cell_from_being_ranked(
    made_up_cell: MakeCell, verdict: str
) -> None:
    cells = made_up_cell("limited", FAST, verdict=verdict), made_up_cell("one", SLOW)
    assert standings(*cells) == {"limited": "best", "one": "behind"}


def test_cell_that_did_nothing_is_not_ranked(made_up_cell: MakeCell) -> None:
    cells = made_up_cell("idle", (0.0, 0.0)), made_up_cell("one", SLOW), made_up_cell("two", FAST)
    assert standings(*cells) == {"two": "best", "one": "behind"}


def test_same_rate_for_all_is_ranked_by_cost_and_latency_only(
    made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    cells = [
        made_up_cell(model, rates, loop="open", rate=1000.0, pace=made_up_pace(5000.0))
        for model, rates in (("one", SLOW), ("two", FAST))
    ]
    assert rank(cells) == []
    assert {each.metric for each in rank_all(cells)} == {"cpu_us_per_op", "p99_us"}


def test_each_load_has_a_best_of_its_own(
    made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    loads: list[dict[str, Any]] = [
        {"workload": "tcp-long"},
        {"workload": "chat"},
        {"connections": 8},
        {"loop": "open", "rate": 1000.0, "pace": made_up_pace(1.0)},
    ]
    cells = []
    for load in loads:
        cells += [made_up_cell("one", SLOW, **load), made_up_cell("two", FAST, **load)]
    found = rank_all(cells)
    bests = [
        (each.workload, each.connections, each.loop, each.metric)
        for each in found
        if each.standing == "best"
    ]
    assert len(found) == 2 * len(bests)
    assert len(set(bests)) == len(bests) == len(METRICS) * len(loads) - 1
