"""What a round says of what the driver saw, and a cell of its rounds."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import msgspec
import pytest

from compare.contract.counts import Counts
from compare.contract.histogram import encode, fold
from compare.contract.outcome import Outcome, Pace, Sizes, Slice, Usage
from compare.results.aggregation import cell_of, round_of
from compare.results.records import Idle, Key, Load, Percentiles, Round
from compare.results.statistics import mean_of

MakeOutcome = Callable[..., Outcome]
MakeRound = Callable[..., Round]
KEY = Key("epoll", Load(workload="tcp-long", connections=4, size=1000))
SIZES = Sizes(rss_kb=9000, pss_kb=5000, threads=3, descriptors=12)


def a_slice(rate: float, *, turn_operations: int = 0) -> Slice:
    """Of 20 ms, in a turn of 25 ms."""
    operations = round(rate * 0.02)
    return Slice(
        window_ns=20_000_000,
        operations=operations,
        driver_cpu_ns=10_000_000,
        driver_wait_ns=0,
        turn_ns=25_000_000,
        turn_operations=turn_operations or operations,
        cpu_ns=15_000_000,
    )


def usage(**changes: float | None) -> Usage:
    values = {
        "elapsed_ns": 10**9,
        "cpu_ns": 6 * 10**8,
        "user_share": 0.25,
        "wait_ns": 0,
        "switches": 200,
        "preemptions": 7,
    }
    return Usage(**values | changes)  # type: ignore[arg-type]


def seen(outcome: Outcome, number: int = 1) -> Round:
    return round_of(outcome, 7, [], number)


# Rounds


def test_rate_of_a_round_is_that_of_all_its_slices(made_up_outcome: MakeOutcome) -> None:
    """What a server does in bursts is part of it."""
    slices = [a_slice(rate) for rate in (100_000, 50, 101_000, 99_000)]
    done = sum(each.operations for each in slices)
    window_ns = sum(each.window_ns for each in slices)
    found = seen(made_up_outcome(slices=slices, operations=done, window_ns=window_ns), number=3)
    assert (found.number, found.slices) == (3, slices)
    assert found.ops_per_s == pytest.approx(sum((100_000, 50, 101_000, 99_000)) / 4, rel=0.01)


def test_round_without_a_slice_did_nothing(made_up_outcome: MakeOutcome) -> None:
    nothing = made_up_outcome(slices=[], operations=0, window_ns=0, gave_up="a reason")
    found = seen(nothing)
    assert (found.ops_per_s, found.gave_up) == (0.0, "a reason")
    assert (found.driver.cpu_fraction, found.driver.wait_fraction) == (None, None)


def test_cpu_time_is_for_all_operations_of_the_turns(made_up_outcome: MakeOutcome) -> None:
    """The server works for those before and after a window too."""
    slices = [a_slice(100_000, turn_operations=2400), a_slice(100_000, turn_operations=1600)]
    server = seen(made_up_outcome(slices=slices, server=usage(), sizes=SIZES)).server
    assert server.cpu_us_per_op == pytest.approx(150)
    assert server.user_us_per_op == pytest.approx(37.5)
    assert server.system_us_per_op == pytest.approx(112.5)
    assert server.switches_per_op == pytest.approx(0.05)
    assert (server.preemptions, server.rss_kb, server.pss_kb) == (7, 9000, 5000)


def test_switches_that_nobody_knows_are_none(made_up_outcome: MakeOutcome) -> None:
    server = seen(made_up_outcome(server=usage(switches=-1, preemptions=-1))).server
    assert (server.switches_per_op, server.preemptions) == (None, None)


@pytest.mark.parametrize(
    ("cpu", "waited", "busy"), [(0.6, 0.0, 0.6), (0.6, 0.3, 0.9), (0.6, 0.9, 1.0), (2.5, 3.0, 2.5)]
)
def test_server_is_as_busy_as_it_was_while_something_else_had_its_core(
    made_up_outcome: MakeOutcome, cpu: float, waited: float, busy: float
) -> None:
    used = usage(cpu_ns=cpu * 1e9, wait_ns=waited * 1e9)
    assert seen(made_up_outcome(server=used)).server.cpu_fraction == pytest.approx(busy)


def test_server_that_stands_elsewhere_has_no_figures(made_up_outcome: MakeOutcome) -> None:
    server = seen(made_up_outcome(server=None, sizes=None)).server
    assert {getattr(server, name) for name in server.__struct_fields__} == {None}


def test_driver_is_as_busy_as_it_was_in_the_windows(made_up_outcome: MakeOutcome) -> None:
    outcome = made_up_outcome(driver_cpu_ns=9 * 10**8, driver_wait_ns=10**8)
    driver = seen(outcome).driver
    assert (driver.cpu_fraction, driver.wait_fraction) == (0.9, 0.1)


def test_littles_law_is_of_closed_loops(made_up_outcome: MakeOutcome) -> None:
    assert seen(made_up_outcome()).littles_law == pytest.approx(4)
    pace = Pace(
        rate=1000,
        offered=1000,
        sends=1000,
        late=10,
        lateness_p99_ns=5000,
        missed=3,
        service=encode(fold(array("Q", range(1000, 5_000_000, 1000)))),
    )
    found = seen(made_up_outcome(pace=pace))
    assert found.littles_law is None
    assert found.pace is not None
    assert (found.pace.offered, found.pace.late_fraction, found.pace.missed) == (1000, 0.01, 3)


# Cells


def test_cell_without_rounds_has_verdicts_and_no_figures() -> None:
    cell = cell_of(KEY, [], [], ["unsupported"], ["a reason"])
    assert (cell.verdict, cell.verdicts, cell.reasons) == (
        "unsupported",
        ["unsupported"],
        ["a reason"],
    )
    assert (cell.ops_per_s, cell.rounds) == (None, [])


def test_verdict_of_a_cell_is_the_first_of_all_that_hold(
    made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> None:
    cell = cell_of(KEY, [made_up_outcome()], [made_up_round()], ["errors", "unbound"], [])
    assert (cell.verdict, cell.verdicts) == ("errors", ["errors", "unbound"])


def test_intervals_of_a_cell_are_over_rounds(
    made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> None:
    values = [(1000.0, 5.0, 300.0), (1100.0, 5.5, 310.0), (900.0, 6.0, 290.0)]
    rounds = [
        made_up_round(rate, cost=cost, latency_us=Percentiles(p99=p99))
        for rate, cost, p99 in values
    ]
    cell = cell_of(KEY, [made_up_outcome()] * 3, rounds, ["ok"], [])
    rates, costs, tails = (mean_of(each) for each in zip(*values, strict=True))
    assert (cell.ops_per_s, cell.ops_per_s_ci95) == (rates.value, rates.interval)
    assert cell.cpu_us_per_op_ci95 == costs.interval
    assert cell.p99_us_ci95 == tails.interval


def test_interval_of_what_a_round_lacks_is_missing(
    made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> None:
    rounds = [made_up_round(cost=None), made_up_round(cost=None, latency_us=Percentiles())]
    cell = cell_of(KEY, [made_up_outcome()] * 2, rounds, ["ok"], [])
    assert (cell.cpu_us_per_op_ci95, cell.p99_us_ci95) == (None, None)
    assert cell.server.cpu_us_per_op is None


def test_percentiles_of_a_cell_are_of_all_operations_and_in_order(
    made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> None:
    """However long the p99 of one bad round is; the interval, over rounds, holds what is shown."""
    us = 1000
    quick, stalled = ([1000 * us] * (1000 - slow) + [10**6 * us] * slow for slow in (0, 11))
    outcomes = [
        made_up_outcome(latency=encode(fold(array("Q", samples))))
        for samples in (stalled, *[quick] * 19)
    ]
    cell = cell_of(KEY, outcomes, [seen(each) for each in outcomes], ["ok"], [])
    latency = cell.latency_us
    assert latency.p99 is not None
    assert latency.p99_9 is not None
    assert latency.p99 == pytest.approx(1000, rel=0.01)
    assert latency.p99 <= latency.p99_9
    assert cell.p99_us_ci95 is not None
    assert cell.p99_us_ci95[0] <= latency.p99 <= cell.p99_us_ci95[1]


def test_interval_of_the_p99_holds_that_of_all_operations(
    made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> None:
    rounds = [made_up_round(latency_us=Percentiles(p99=p99)) for p99 in (300.0, 310.0, 305.0)]
    outcome = made_up_outcome(latency=encode(fold(array("Q", [10**6] * 1000))))
    cell = cell_of(KEY, [outcome] * 3, rounds, ["ok"], [])
    assert cell.p99_us_ci95 is not None
    assert cell.p99_us_ci95[0] < 305
    assert cell.p99_us_ci95[1] == cell.latency_us.p99


def test_cost_of_a_cell_is_in_the_middle_of_its_interval(
    made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> None:
    """Means over rounds, however many operations each had; sizes are the most."""
    rounds = [made_up_round(rate, cost=cost) for rate, cost in ((3000.0, 5.0), (1000.0, 9.0))]
    larger = msgspec.structs.replace(rounds[1].server, pss_kb=30_000)
    rounds[1] = msgspec.structs.replace(rounds[1], server=larger)
    cell = cell_of(KEY, [made_up_outcome()] * 2, rounds, ["ok"], [])
    assert cell.server.cpu_us_per_op == pytest.approx(7.0)
    assert cell.server.pss_kb == 30_000


def test_idle_connections_of_a_cell_are_those_of_the_round_in_which_the_fewest_were_served(
    made_up_outcome: MakeOutcome, made_up_round: MakeRound, made_up_idle: Callable[..., Idle]
) -> None:
    rounds = [made_up_round(held=made_up_idle(10, served)) for served in (10, 7, 9)]
    cell = cell_of(KEY, [made_up_outcome()] * 3, rounds, ["ok"], [])
    assert cell.held is not None
    assert cell.held.counts.served == 7
    assert cell_of(KEY, [made_up_outcome()], [made_up_round()], ["ok"], []).held is None
    gave_way = made_up_idle(10, 1)
    assert cell_of(KEY, [], [], ["gave-way"], ["a limit"], gave_way).held is gave_way


def test_counts_are_of_the_worst_round_and_errors_of_all(
    made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> None:
    rounds = [
        made_up_round(errors={"eof": 1}),
        made_up_round(counts={"served": 2, "reset": 2}, errors={"eof": 2, "EPIPE": 1}),
        made_up_round(),
    ]
    cell = cell_of(KEY, [made_up_outcome()] * 3, rounds, ["ok"], [])
    assert cell.counts == Counts(attempted=4, connected=4, served=2, reset=2)
    assert cell.errors == {"eof": 3, "EPIPE": 1}
