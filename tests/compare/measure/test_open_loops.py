"""The open loops of a run: at a rate, at a share of what a model can, as far as a promise holds."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from made_up_instrument import BAD, ONE, TWO, Instrument
from planted_models import GOOD
from short_runs import BELIEVED, run_of

from compare.measure.progress import Progress
from compare.measure.testbed import Gone
from compare.results.records import Cell, Idle, Key, Pace, Percentiles

pytestmark = pytest.mark.usefixtures("nothing_left", "whom_the_gate_lets_in")


@pytest.fixture
def answers(instrument: Instrument, made_up_pace: Callable[..., Pace]) -> Callable[..., Instrument]:
    """Has closed loops find the rates of `closed` in turn, and open ones what is due."""

    def answer(
        closed: tuple[float, ...] = (1000.0,),
        p99_us: Callable[[float], float | None] = lambda _: 1000.0,
    ) -> Instrument:
        rates = itertools.cycle(closed)

        def find(key: Key, rate: float | None) -> dict[str, Any]:
            if rate is None:
                return {"rate": next(rates)}
            latency = Percentiles(p50=0.5, p99=p99_us(rate))
            return {"rate": rate, "pace": made_up_pace(rate), "latency_us": latency}

        instrument.find = find
        return instrument

    return answer


Answers = Callable[..., Instrument]


def test_rate_that_is_given_needs_no_closed_loop(answers: Answers) -> None:
    instrument = answers()
    (cell,) = run_of(ONE, rounds=2, rates=[50.0]).cells
    assert instrument.rates == [50.0, 50.0]
    assert (cell.loop, cell.verdict) == ("open", "ok")


def test_load_is_a_share_of_the_mean_of_the_closed_loop(answers: Answers) -> None:
    """Of that of the same model, workload and connections."""
    instrument = answers((100.0, 9000.0, 200.0, 210.0, 190.0, 180.0))
    result = run_of(ONE, connections=[4, 8], rounds=5, shares=[0.5])
    closed, opened = instrument.rates[:10], instrument.rates[10:]
    assert closed == [None] * 10
    means = {cell.connections: cell.ops_per_s for cell in result.cells if cell.loop == "closed"}
    assert means[4] != means[8]
    for key, rate in zip(instrument.keys[10:], opened, strict=True):
        assert key.load.loop == "open"
        assert rate == 0.5 * (means[key.load.connections] or 0)
    assert [(cell.loop, len(cell.rounds)) for cell in result.cells] == [
        ("closed", 5),
        ("closed", 5),
        ("open", 5),
        ("open", 5),
    ]


def test_model_that_failed_in_a_closed_loop_has_no_open_one(answers: Answers) -> None:
    instrument = answers()
    closed, opened = run_of(BAD, rounds=2, shares=[0.5]).cells
    assert closed.verdict == "failed"
    assert (opened.loop, opened.verdict) == ("open", "unsupported")
    assert opened.reasons == ["in a closed loop it did nothing: see there"]
    assert len(instrument.keys) == 1


def test_model_that_did_nothing_has_no_open_loop(answers: Answers) -> None:
    instrument = answers((0.0,))
    _, opened = run_of(ONE, rounds=2, shares=[0.5]).cells
    assert opened.verdict == "unsupported"
    assert opened.reasons == ["in a closed loop it did nothing: see there"]
    assert instrument.rates == [None, None]


def test_each_server_of_a_block_has_a_rate_of_its_own(answers: Answers) -> None:
    """Its share of what it does itself; all are asked at the same time."""
    instrument = answers()
    find = instrument.find
    instrument.find = lambda key, rate: (
        {"rate": 1000.0 if key.model == "one" else 3000.0} if rate is None else find(key, rate)
    )
    run_of(ONE, TWO, rounds=2, shares=[0.5])
    assert [len(block) for block in instrument.blocks] == [2, 2, 2, 2]
    asked = zip(instrument.keys[4:], instrument.rates[4:], strict=True)
    assert {(key.model, rate) for key, rate in asked} == {("one", 500.0), ("two", 1500.0)}


def test_rounds_that_a_promise_takes_apart_are_paired_with_none(answers: Answers) -> None:
    """They are minutes from those of the other, and not at the rates of the first ones."""
    instrument = answers(
        (1000.0,), lambda rate: 4000.0 if rate <= (600 if instrument.numbers[-1] else 700) else 9e3
    )
    seen: list[tuple[int, int]] = []
    result = run_of(
        *(ONE, TWO),
        rounds=3,
        slo_us=5000.0,
        watch=lambda progress: seen.append((progress.done, progress.total)),
    )
    one, two = (cell for cell in result.cells if cell.loop == "open")
    assert len(one.rounds) == len(two.rounds) == 3
    assert not {each.number for each in one.rounds} & {each.number for each in two.rounds}
    assert {each.standing for each in result.comparisons if each.loop == "open"} <= {"best"}
    assert all(done <= total for done, total in seen)
    assert seen[-1][0] == seen[-1][1]


def test_rate_is_looked_for_with_nobody_beside(answers: Answers) -> None:
    instrument = answers((1000.0,))
    run_of(ONE, TWO, rounds=2, slo_us=5000.0)
    found = zip(instrument.numbers, instrument.blocks, strict=True)
    assert [(number, len(block)) for number, block in found] == [
        *((1, 2), (2, 2)),
        *((0, 1), (0, 1)),  # a model each
        *((1, 2), (2, 2)),
    ]


def into(seen: list[tuple[int, int]]) -> Callable[[Progress], None]:
    """A watcher that notes how many rounds are done, and of how many."""
    return lambda progress: seen.append((progress.done, progress.total))


def progress_of_a_promise(rounds: int) -> list[tuple[int, int]]:
    seen: list[tuple[int, int]] = []
    run_of(ONE, watch=into(seen), rounds=rounds, slo_us=5000.0)
    return seen


def percent_of(cell: Cell) -> int:
    """Of what it does in a closed loop: the answer in words."""
    (percent,) = re.findall(r"below 5 ms: (\d+)%", cell.reasons[0])
    return int(percent)


def test_highest_rate_that_keeps_the_promise_is_found_and_measured(answers: Answers) -> None:
    instrument = answers((1000.0,), lambda rate: 4000.0 if rate <= 700 else 6000.0)
    result = run_of(ONE, rounds=3, slo_us=5000.0)
    opened = result.cells[1]
    tried = [rate for rate in instrument.rates[3:] if rate is not None]
    found = max(rate for rate in tried if rate <= 700)
    assert 680 <= found <= 700
    assert tried.count(found) == 1 + 3  # by the search, and in the rounds
    assert tried[-3] == tried[-2] == tried[-1] > 700  # there was room above, but not for so much
    assert found == pytest.approx(1000.0 * percent_of(opened) / 100, abs=5)
    assert opened.verdict == "ok"
    assert len(opened.rounds) == 3
    assert opened.reasons[0].startswith("the highest rate with p99 below 5 ms: ")
    assert opened.reasons[0].endswith("% of what it does in a closed loop")


def test_promise_that_is_kept_at_full_load_needs_no_search(answers: Answers) -> None:
    instrument = answers((1000.0,))
    run_of(ONE, rounds=2, slo_us=5000.0)
    assert instrument.rates == [None, None, 1000.0, 1000.0, 1000.0]


def test_promise_broken_once_has_a_second_chance(answers: Answers) -> None:
    found = itertools.chain([9000.0], itertools.repeat(1000.0))
    instrument = answers((1000.0,), lambda rate: next(found))
    run_of(ONE, rounds=2, slo_us=5000.0)
    assert instrument.rates == [None, None, 1000.0, 1000.0, 1000.0, 1000.0]


def test_promise_is_kept_beyond_doubt_by_two_rounds_and_more(answers: Answers) -> None:
    """Of one there is no interval."""
    instrument = answers((1000.0,))
    _, opened = run_of(ONE, rounds=1, slo_us=5000.0).cells
    assert instrument.rates == [None, 1000.0, 1000.0, 1000.0]
    assert len(opened.rounds) == 2
    assert opened.p99_us_ci95 is not None


@pytest.fixture
def above(answers: Answers) -> Callable[[object], Instrument]:
    """Has 500/s keep the promise, no rate above do it in the search, and the rounds meet there
    with what is given.
    """

    def above(met: object) -> Instrument:
        instrument = answers((1000.0,), lambda rate: 4000.0 if rate <= 500 else 9000.0)
        find = instrument.find

        def found(key: Key, rate: float | None) -> Any:
            if rate is not None and rate > 500 and instrument.numbers[-1]:
                if isinstance(met, BaseException):
                    raise met
                return met
            return find(key, rate)

        instrument.find = found
        return instrument

    return above


@pytest.mark.parametrize("met", ["the server ended", "idle"])
def test_rate_that_keeps_the_promise_is_the_answer_whatever_happens_above_it(
    above: Callable[[object], Instrument], made_up_idle: Callable[..., Idle], met: str
) -> None:
    above(made_up_idle(10, 7, gave_way=["descriptors"]) if met == "idle" else met)
    _, opened = run_of(ONE, rounds=3, slo_us=5000.0).cells
    assert opened.verdict == "ok"
    assert [each.pace and each.pace.rate for each in opened.rounds] == [500.0] * 3
    words = "descriptors" if met == "idle" else met
    assert re.fullmatch(rf"at \d+/s: {words}", opened.reasons[0])
    assert opened.reasons[1].startswith("the highest rate with p99 below 5 ms: 50%")


@pytest.mark.parametrize("end", [KeyboardInterrupt(), Gone("it is gone")])
def test_run_that_ends_above_a_rate_that_keeps_the_promise_has_that(
    above: Callable[[object], Instrument], end: BaseException
) -> None:
    above(end)
    result = run_of(ONE, rounds=3, slo_us=5000.0)
    assert result.interrupted
    _, opened = result.cells
    assert [each.pace and each.pace.rate for each in opened.rounds] == [500.0] * 3
    assert opened.reasons[0].startswith("a rate with p99 below 5 ms: 50%")


def test_promise_that_the_rounds_break_is_tried_with_less_until_they_keep_it(
    answers: Answers,
) -> None:
    """A rate that passed by chance, every other time, is no answer."""
    whims = itertools.cycle([4000.0, 9000.0])
    instrument = answers((1000.0,), lambda rate: next(whims) if rate > 900 else 4000.0)
    _, opened = run_of(ONE, rounds=4, slo_us=5000.0).cells
    assert instrument.rates[-4:] == [instrument.rates[-1]] * 4
    assert (instrument.rates[-1] or 0) > 900  # tried again from below, in vain
    assert percent_of(opened) <= 90
    assert len(opened.rounds) == 4
    assert opened.reasons[0].startswith("the highest rate with p99 below 5 ms: ")


def test_promise_that_is_not_told_takes_more_rounds_and_no_lower_rate(answers: Answers) -> None:
    """Two of its first three rounds are near the promise, so that their interval holds it.

    After six it does not, but is wide.
    """
    tails = itertools.chain([4000.0], [4000.0, 4900.0, 4800.0], itertools.repeat(4100.0))
    instrument = answers((1000.0,), lambda rate: next(tails))
    _, opened = run_of(ONE, rounds=3, slo_us=5000.0).cells
    assert {*instrument.rates} == {None, 1000.0}
    assert len(opened.rounds) == 9
    assert opened.reasons[0].startswith("the highest rate with p99 below 5 ms: 100%")


def test_rounds_that_a_promise_takes_are_counted_once(answers: Answers) -> None:
    """Beyond the usual ones, and those of other rates."""
    tails = itertools.chain([4000.0], [4000.0, 4900.0, 4800.0], itertools.repeat(4100.0))
    answers((1000.0,), lambda rate: next(tails))
    seen = progress_of_a_promise(rounds=3)
    assert seen[-1] == (12, 12)
    assert {total for done, total in seen if done == total} <= {*range(6, 13)}
    assert all(done <= total <= max(6, done + 3) for done, total in seen)


def test_server_that_fails_after_the_search_leaves_the_count_right(answers: Answers) -> None:
    instrument = answers((1000.0,), lambda rate: 9000.0 if rate > 900 else 4000.0)
    find, tried = instrument.find, []

    def fails(key: Key, rate: float | None) -> dict[str, Any] | str:
        tried.append(rate)
        higher = rate is not None and tried.count(rate) == 1 and len(set(tried)) > 4
        return "too much for it" if higher and instrument.numbers[-1] else find(key, rate)

    instrument.find = fails
    seen = progress_of_a_promise(rounds=3)
    assert seen[-1][0] == seen[-1][1]
    assert all(done <= total for done, total in seen)


def test_promise_that_no_rate_keeps_in_every_round_is_told(answers: Answers) -> None:
    whims = itertools.cycle([4000.0, 9000.0])
    answers((1000.0,), lambda rate: next(whims))
    _, opened = run_of(ONE, rounds=4, slo_us=5000.0).cells
    assert opened.verdict == "unsupported"
    assert opened.reasons == ["no rate was found that keeps p99 below 5 ms in every round"]


def test_promise_that_is_never_kept_is_told_and_nothing_more_is_measured(
    answers: Answers,
) -> None:
    instrument = answers((1000.0,), lambda rate: 9000.0)
    seen: list[tuple[int, int]] = []
    opened = run_of(ONE, watch=into(seen), rounds=2, slo_us=5000.0).cells[1]
    assert opened.verdict == "unsupported"
    assert opened.reasons == ["no rate was found that keeps p99 below 5 ms"]
    assert instrument.rates.count(None) == 2  # the closed loop's
    assert all(done <= total for done, total in seen)


def test_server_that_fails_during_the_search_fails_its_open_loop(
    answers: Answers, instrument: Instrument
) -> None:
    find = answers((1000.0,)).find
    instrument.find = lambda key, rate: find(key, rate) if rate is None else "too much for it"
    closed, opened = run_of(ONE, rounds=2, slo_us=5000.0).cells
    assert closed.verdict in BELIEVED
    assert (opened.verdict, opened.reasons) == ("failed", ["too much for it"])


def test_server_that_gives_way_during_the_search_gives_way_in_its_open_loop(
    answers: Answers, instrument: Instrument, made_up_idle: Callable[..., Idle]
) -> None:
    find = answers((1000.0,)).find
    held = made_up_idle(10, 7, gave_way=["descriptors"])
    instrument.find = lambda key, rate: find(key, rate) if rate is None else held
    _, opened = run_of(ONE, rounds=2, slo_us=5000.0).cells
    assert (opened.verdict, opened.reasons, opened.held) == ("gave-way", ["descriptors"], held)


@pytest.mark.parametrize("arrivals", ["fixed", "poisson"])
def test_open_loop_is_measured(arrivals: str) -> None:
    (cell,) = run_of(GOOD, rates=[200.0], arrivals=arrivals).cells
    assert cell.loop == "open"
    assert cell.verdict in (*BELIEVED, "rate-unmet")
    assert cell.pace is not None
    assert cell.pace.rate == 200
    assert cell.pace.missed == 0
    assert cell.errors == {}
    assert cell.rounds[0].operations > 0
