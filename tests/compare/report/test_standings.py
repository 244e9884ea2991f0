"""What is said of who is best, in the table and in sentences, from made-up comparisons."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from compare.report.sentences import answer
from compare.report.terminal import ratio_text, show, standing_text
from compare.report.words import duration
from compare.results.ranking import rank_all
from compare.results.records import Cell, Comparison, Driver, Pace, Percentiles, Round, Run

MakeRun = Callable[..., Run]
MakeCell = Callable[..., Cell]
MakeRound = Callable[..., Round]

SLOW = (100_000.0, 101_000.0, 99_000.0, 100_500.0, 99_500.0)
SLOW_TOO = (100_100.0, 100_900.0, 99_100.0, 100_400.0, 99_600.0)
UNSTEADY = (100_000.0, 90_000.0, 108_000.0, 90_500.0, 107_000.0)
FAST = (200_000.0, 201_000.0, 199_000.0, 200_500.0, 199_500.0)


def rows_of(run: Run, width: int = 500) -> dict[str, str]:
    """What is printed, by the first word of a row."""
    out = io.StringIO()
    show(run, Console(file=out, width=width, highlight=False, emoji=False))
    rows: dict[str, str] = {}
    for row in out.getvalue().splitlines():
        if row.strip():
            rows.setdefault(row.split()[0], row.rstrip())
    return rows


def compared(ratio: float, interval: tuple[float, float] | None, **changes: Any) -> Comparison:
    values: dict[str, Any] = {
        "model": "other",
        "workload": "tcp-long",
        "connections": 4,
        "size": 1000,
        "loop": "closed",
        "metric": "ops_per_s",
        "best": "epoll",
        "margin": 0.05,
        "standing": "behind",
    }
    return Comparison(ratio=ratio, ratio_ci95=interval, **values | changes)


def said_of(each: Comparison | None) -> str:
    return Text.from_markup(standing_text(each)).plain


# Words


def test_who_is_not_ranked_has_no_standing() -> None:
    assert said_of(None) == ""
    assert ratio_text(None) == "-"


def test_best_and_tied_are_called_so() -> None:
    assert said_of(compared(1.0, None, standing="best")) == "best"
    assert said_of(compared(0.99, (0.97, 1.01), standing="tied")) == "tied with epoll"


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((0.96, 0.984), "1.6 to 4.0 %"),
        ((0.7, 0.85), "15 to 30 %"),
        ((0.45, 0.55), "45 to 55 %"),
        ((0.2, 0.25), "4.0 to 5.0 x"),
    ],
)
def test_how_far_behind_is_said_in_per_cent_or_times(
    interval: tuple[float, float], words: str
) -> None:
    assert said_of(compared(0.5, interval)) == f"behind epoll by {words}"


@pytest.mark.parametrize("metric", ["cpu_us_per_op", "p99_us"])
@pytest.mark.parametrize(
    ("interval", "words"),
    [((1.02, 1.08), "2.0 to 8.0 %"), ((1.2, 2.5), "20 to 150 %"), ((3.0, 4.0), "3.0 to 4.0 x")],
)
def test_what_is_dearer_or_later_is_behind_by_more(
    metric: str, interval: tuple[float, float], words: str
) -> None:
    assert said_of(compared(2.0, interval, metric=metric)) == f"behind epoll by {words}"


@pytest.mark.parametrize(
    ("interval", "times"),
    [((0.28, 0.74), "0.50 x (0.28 to 0.74)"), ((0.941, 0.998), "0.500 x (0.941 to 0.998)")],
)
def test_what_its_own_interval_tells_and_that_of_the_table_does_not_is_probable(
    interval: tuple[float, float], times: str
) -> None:
    unclear = {"standing": "unclear", "needs_s": 4.0}
    words = f"probably behind epoll: {times}; sure in about 4 s more"
    assert said_of(compared(0.5, interval, **unclear)) == words


def test_what_cannot_be_told_yet_says_what_it_would_take() -> None:
    unclear = {"standing": "unclear", "needs_s": 240.0}
    assert said_of(compared(0.98, (0.9, 1.07), **unclear)) == (
        "cannot tell yet from epoll: 0.98 x (0.90 to 1.07), about 4 min more would"
    )
    assert said_of(compared(0.98, None, standing="unclear")) == (
        "0.98 x epoll, of one round: --rounds tells more"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        *((0.3, "0.3 s"), (0.0125, "0.0125 s"), (8.2, "8 s"), (99.0, "99 s")),
        *((150.0, "2 min"), (86_400.0, "24 h")),
    ],
)
def test_times_are_said_as_people_do(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_name_of_the_best_that_looks_like_markup_is_shown_as_it_is() -> None:
    for standing in ("tied", "behind", "unclear"):
        found = compared(0.9, (0.8, 0.95), best="[red]x[/]", standing=standing)
        assert "[red]x[/]" in said_of(found)


def test_cost_against_the_least_has_its_interval() -> None:
    assert ratio_text(compared(1.0, None, standing="best")) == "1"
    assert ratio_text(compared(1.43, (1.4, 1.46))) == "1.43 ±0.03"
    assert ratio_text(compared(1.43, None, standing="unclear")) == "1.43"


# The table


def test_best_is_marked_and_comes_first(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    rows = rows_of(made_up_run([made_up_cell("slow", SLOW), made_up_cell("fast", FAST)]))
    assert rows["fast"].endswith("   best")
    assert rows["slow"].endswith("   behind fast by 50 %")
    assert list(rows).index("fast") < list(rows).index("slow")


def test_what_is_as_good_as_the_best_is_tied_with_it(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    rows = rows_of(made_up_run([made_up_cell("one", SLOW), made_up_cell("two", SLOW_TOO)]))
    assert rows["two"].endswith("   best")
    assert rows["one"].endswith("   tied with two")


def test_one_round_is_not_called_a_result(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    cells = [made_up_cell("fast", FAST[:1]), made_up_cell("slow", SLOW[:1])]
    rows = rows_of(made_up_run(cells, rounds=1))
    assert rows["slow"].endswith("   0.50 x fast, of one round: --rounds tells more")


@pytest.mark.parametrize("verdict", ["failed", "unsupported", "errors"])
def test_figure_that_cannot_be_believed_is_never_best(
    made_up_run: MakeRun, made_up_cell: MakeCell, verdict: str
) -> None:
    doubtful = made_up_cell("doubtful", FAST, verdict=verdict, reasons=["a reason"])
    cells = [made_up_cell("one", SLOW), doubtful, made_up_cell("two", (1.0, 1.0, 1.0, 1.0))]
    rows = rows_of(made_up_run(cells))
    assert rows["doubtful"].endswith(f"   {verdict}")
    assert rows["one"].endswith("   best")


def test_all_verdicts_are_said_beside_where_a_cell_stands(
    made_up_run: MakeRun, made_up_cell: MakeCell
) -> None:
    verdicts = {"verdict": "throttled", "verdicts": ["throttled", "driver-bound"]}
    limited = made_up_cell("limited", FAST, reasons=["a reason"], **verdicts)
    rows = rows_of(made_up_run([limited, made_up_cell("slow", SLOW)]))
    assert rows["limited"].endswith("   best; throttled; driver-bound")


def test_one_alone_is_not_best(made_up_run: MakeRun, made_up_cell: MakeCell) -> None:
    assert rows_of(made_up_run([made_up_cell("only", FAST)]))["only"].endswith("   ok")
    failed = made_up_cell("bad", SLOW, verdict="failed")
    assert rows_of(made_up_run([made_up_cell("only", FAST), failed]))["only"].endswith("   ok")


def test_cost_is_shown_as_so_many_times_the_least(
    made_up_run: MakeRun, made_up_cell: MakeCell, made_up_round: MakeRound
) -> None:
    cells = [
        made_up_cell(
            model,
            (),
            ops_per_s=1000.0,
            rounds=[made_up_round(cost=cost, number=number) for number in range(3)],
        )
        for model, cost in (("cheap", 5.0), ("dear", 7.5))
    ]
    rows = rows_of(made_up_run(cells))
    assert " 1.50 ±0.00 " in rows["dear"]
    assert "x least" in rows["model"]
    assert "x least" not in rows_of(made_up_run(cells), width=100)["model"]


@pytest.mark.parametrize("width", [100, 500])
def test_at_the_same_rate_for_all_the_p99_is_ranked(
    made_up_run: MakeRun,
    made_up_cell: MakeCell,
    made_up_round: MakeRound,
    made_up_pace: Callable[..., Pace],
    width: int,
) -> None:
    pace = made_up_pace(5000.0)
    cells = [
        made_up_cell(
            model,
            (),
            loop="open",
            rate=5000.0,
            pace=pace,
            rounds=[
                made_up_round(5000.0, number=number, pace=pace, latency_us=Percentiles(p99=p99))
                for number in range(3)
            ],
        )
        for model, p99 in (("one", 400.0), ("two", 300.0))
    ]
    rows = rows_of(made_up_run(cells), width)
    assert rows["two"].endswith("   p99: best")
    assert " p99: behind two by " in rows["one"]


# Sentences


def test_one_cell_alone_has_a_sentence(made_up_cell: MakeCell) -> None:
    assert answer([made_up_cell("epoll", (1234567.0,))], []) == [
        "epoll does 1.23 million operations a second."
    ]
    assert answer([], []) == ["Nothing was measured."]


def test_who_is_best_tied_behind_and_not_told_yet_is_said_in_sentences(
    made_up_cell: MakeCell,
) -> None:
    cells = [
        made_up_cell("one", SLOW),
        made_up_cell("two", SLOW_TOO),
        made_up_cell("slow", tuple(rate / 2 for rate in SLOW)),
        made_up_cell("unsteady", UNSTEADY),
        made_up_cell("broken", (), verdict="errors"),
    ]
    said = answer(cells, rank_all(cells))
    assert said[0] == "two is the fastest with 100,000 operations a second; one is tied with it."
    assert said[1] == "Behind it, beyond doubt: slow at 0.50 x (0.50 to 0.50)."
    assert said[2].startswith("More rounds would tell where these stand: unsteady (0.99 x (")
    assert said[3].startswith("one costs the server least CPU, 5.25 µs an operation; ")
    assert said[-1] == "broken: errors."


@pytest.mark.parametrize(
    "changes",
    [
        {"verdict": "unbound", "verdicts": ["unbound"], "reasons": ["nobody was at its limit"]},
        {"driver": Driver(wait_fraction=0.42), "reasons": ["other programs had 42% of it"]},
    ],
)
@pytest.mark.parametrize("doubted", ["fast", "slow"])
def test_nothing_is_beyond_doubt_where_more_than_the_servers_decided(
    made_up_cell: MakeCell, changes: dict[str, Any], doubted: str
) -> None:
    cells = [
        made_up_cell(model, rates, **(changes if model == doubted else {}))
        for model, rates in (("fast", FAST), ("slow", SLOW))
    ]
    said = answer(cells, rank_all(cells))
    assert said[0] == "fast is the fastest here with 200,000 operations a second."
    assert said[1].startswith("Behind it, as they were measured, with the reservations below: ")
    assert f"{doubted}: {changes['reasons'][0]}." in said
    assert not any("beyond doubt" in each for each in said)


def test_reservation_of_several_is_said_once(made_up_cell: MakeCell) -> None:
    cells = [
        made_up_cell("one", FAST, reasons=["others had 42.5% of it", "a note"]),
        made_up_cell("two", SLOW, reasons=["others had 7% of it"]),
        made_up_cell("three", SLOW, reasons=["a note"]),
        made_up_cell("bad", (), verdict="failed", reasons=["it died", "a note"]),
    ]
    assert answer(cells, [])[-3:] == [
        "one and two: others had 7-42.5% of it.",
        "one and three: a note.",
        "bad: failed: it died.",
    ]


def test_rate_that_was_looked_for_is_the_answer(
    made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    open_loop = {"loop": "open", "pace": made_up_pace()}
    cells = [
        *(made_up_cell(model, rates, **open_loop) for model, rates in (("a", FAST), ("b", SLOW))),
        made_up_cell("c", (), loop="open", verdict="unsupported", reasons=["no rate was found"]),
    ]
    said = answer(cells, rank_all(cells), 5000.0)
    assert said[0] == "With a p99 below 5 ms, operations a second at most: a 200,000, b 100,000."
    assert not any("lowest p99" in each or "asked to" in each for each in said)
    assert said[-1] == "c: unsupported: no rate was found."
    assert answer(cells[:1], [])[0].startswith("With a p99 as promised, ")
    assert answer(cells[2:], [])[0] == "No rate was found that keeps the promise."


def test_one_alone_that_did_not_do_what_was_due_is_not_said_to_have_done_it(
    made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    cell = made_up_cell(
        "epoll",
        SLOW,
        loop="open",
        rate=120_000.0,
        pace=made_up_pace(120_000.0),
        verdict="rate-unmet",
        verdicts=["rate-unmet"],
    )
    assert answer([cell], [])[0] == (
        "epoll does 100,000 of the 120,000 operations a second that were due."
    )


def test_at_the_same_rate_there_is_no_fastest(
    made_up_cell: MakeCell, made_up_pace: Callable[..., Pace]
) -> None:
    open_loop = {"loop": "open", "rate": 1000.0, "pace": made_up_pace()}
    cells = [made_up_cell(model, SLOW, **open_loop) for model in ("one", "two")]
    said = answer(cells, rank_all(cells))
    assert not any("fastest" in each for each in said)
    assert said[0] == "one has the lowest p99, 0.30 ms."


def test_each_of_several_runs_has_its_own_fastest(made_up_cell: MakeCell) -> None:
    """What was measured on different days is not held against each other."""
    cells, comparisons = [], []
    for run in ("1", "2"):
        mine = [made_up_cell(f"fast ({run})", FAST), made_up_cell(f"slow ({run})", SLOW)]
        cells += mine
        comparisons += rank_all(mine)
    said = " ".join(answer(cells, comparisons))
    for run in ("1", "2"):
        assert f"fast ({run}) is the fastest with 200,000 operations a second." in said
        assert f"Behind it, beyond doubt: slow ({run}) at 0.50 x" in said
