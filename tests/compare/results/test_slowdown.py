"""Which rounds count as measured at full speed."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from compare.driver.probe import Work
from compare.results.records import Round
from compare.results.slowdown import at_full_speed
from compare.results.verdict import judge


def made(made_up_round: Callable[..., Round], work: Work | None, rate: float = 1000.0) -> Round:
    return msgspec.structs.replace(made_up_round(rate), work=work)


def test_work_is_held_against_the_shortest_part_by_part(
    made_up_round: Callable[..., Round],
) -> None:
    """The cores need not be equally fast, nor the programs that do the work equally large."""
    works = [
        Work(100, 200, 400),
        Work(130, 260, 480),
        Work(131, 200, 400),
        Work(100, 261, 400),
        Work(100, 200, 481),
    ]
    rounds = [made(made_up_round, each) for each in works]
    assert at_full_speed(rounds, rounds) == [True, True, False, False, False]
    assert at_full_speed(rounds[2:], rounds) == [False, False, False]


def test_what_is_not_known_is_taken_for_fast(made_up_round: Callable[..., Round]) -> None:
    rounds = [
        made(made_up_round, each)
        for each in (None, Work(100, 100), Work(900, 100), Work(100, 100, 9))
    ]
    assert at_full_speed(rounds, rounds) == [True, True, False, True]
    assert at_full_speed(rounds[:1], rounds[:1]) == [True]


def test_rounds_that_differ_are_noisy_and_a_slower_machine_is_named(
    made_up_round: Callable[..., Round],
) -> None:
    slow, fast = Work(500, 500), Work(300, 300)
    rounds = [
        made(made_up_round, slow if number % 2 else fast, 700.0 if number % 2 else 1000.0)
        for number in range(6)
    ]
    verdict, reasons = judge("tcp-long", 4, rounds, [], "")
    assert verdict == "noisy"
    assert "in 3 of 6 something else on the same hardware" in reasons[-1]
