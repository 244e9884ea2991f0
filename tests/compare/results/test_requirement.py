"""What a run is to keep: how it is said, and whether made-up cells keep it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from compare.results.records import Cell, Percentiles, Round, Server
from compare.results.requirement import METRICS, Requirement, Verdict, check

MakeRound = Callable[..., Round]

MODELS = ["epoll", "asyncio", "epoll@base", "epoll@3.14t@base", "two words"]
SIGNS = {"<": True, "<=": True, ">": False, ">=": False}
STEADY = (100_000.0, 101_000.0, 99_000.0, 100_500.0, 99_500.0)
UNSTEADY = (100_000.0, 90_000.0, 108_000.0, 90_500.0, 107_000.0)
HUGE = "9" * 308


def refusal(text: str) -> str:
    """The line for a person."""
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        Requirement.parse(text, MODELS)
    said = str(caught.value)
    assert said.startswith(repr(text))
    return said


# As it is typed


@pytest.mark.parametrize(
    ("text", "metric", "at_most", "bound"),
    [
        ("ops>20k", "ops", False, 20_000),
        ("ops<=20000", "ops", True, 20_000),
        ("cpu<5us", "cpu", True, 5),
        ("cpu<=5µs", "cpu", True, 5),
        ("p50<1ms", "p50", True, 1000),
        ("p90>=1.5ms", "p90", False, 1500),
        ("p99<5ms", "p99", True, 5000),
        ("p99.9<2s", "p99.9", True, 2e6),
        ("memory<64M", "memory", True, 64 * 1024**2),
        ("memory<1000", "memory", True, 1000),
        (" p99  <=  5 ms ", "p99", True, 5000),
    ],
)
def test_bound_of_a_metric_has_its_unit(
    text: str, metric: str, at_most: bool, bound: float
) -> None:
    assert Requirement.parse(text, MODELS) == Requirement(text, metric, at_most, bound, None)


@given(
    metric=st.sampled_from(list(METRICS)),
    sign=st.sampled_from(list(SIGNS)),
    factor=st.none() | st.decimals(0, 1000, places=3),
    model=st.sampled_from(MODELS),
    space=st.sampled_from(["", " "]),
)
def test_any_metric_may_be_bound_to_that_of_a_model(
    metric: str, sign: str, factor: object, model: str, space: str
) -> None:
    times = "" if factor is None else f"{factor}{space}*{space}"
    text = f"{metric}{space}{sign}{space}{times}{model}"
    bound = 1.0 if factor is None else float(str(factor))
    assert Requirement.parse(text, MODELS) == Requirement(text, metric, SIGNS[sign], bound, model)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "p99", "<5ms", "p99<", "p99 5ms", "p99=5ms", "p99==5ms", "p99!=5ms"),
        *("p95<5ms", "P99<5ms", "p99,9<5ms", "latency<5ms", "-p99<5ms", "epoll<5us", "p99 p50<1s"),
        *("5ms>p99", "p99>\n5ms\n\n;", "p99=<5ms", "cpu\0<5us"),
    ],
)
def test_what_has_not_the_form_is_refused_with_metrics_and_examples(text: str) -> None:
    assert refusal(text) == (
        f"{text!r} is not a metric (ops, cpu, p50, p90, p99, p99.9, memory), one of < <= > >=, "
        "and a value or a model, such as 'p99<5ms' or 'cpu<=1.05*epoll'"
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("p99<5", "'5' is not a time with its unit, such as 5ms or 2s"),
        ("p99<64k", "'64k' is not a time with its unit"),
        ("ops>5ms", "'5ms' is not a number, such as 20000 or 20k"),
        ("memory<5ms", "'5ms' is not a number of bytes, such as 1000 or 64k"),
        ("p99<-5ms", "'-5ms' is no number"),
        ("p99<nan", "'nan' is no number"),
        ("ops>inf", "'inf' is no number"),
        ("p99<==5ms", "'=5ms' is no number"),
        ("cpu<=epol", "'epol' is no number"),
        ("cpu<=epoll*1.05", "'epoll*1.05' is no number"),
        ("cpu<=1,05*epoll", "'1,05*epoll' is no number"),
        ("cpu<=-1*epoll", "'-1*epoll' is no number"),
        ("cpu<=1e2*epoll", "'1e2*epoll' is no number"),
    ],
)
def test_value_of_something_else_is_refused_and_so_is_a_model_that_there_is_not(
    text: str, words: str
) -> None:
    said = refusal(text)
    assert words in said
    assert said.endswith(", nor is it a model of this run")


@pytest.mark.parametrize("model", ["uvloop", "epol", "5ms", "1.05*epoll"])
def test_model_that_is_not_of_this_run_is_named_with_those_that_are(model: str) -> None:
    text = f"cpu<=1.05*{model}"
    assert refusal(text) == f"{text!r}: there is no model {model!r}; there are {', '.join(MODELS)}"


@pytest.mark.parametrize("factor", [".", "1.2.3", "1..0"])
def test_factor_that_is_no_number_is_refused(factor: str) -> None:
    text = f"cpu<={factor}*epoll"
    assert refusal(text) == f"{text!r}: {factor!r} is no number"


@pytest.mark.parametrize("text", [f"memory<{HUGE}G", f"ops>{HUGE}G", f"cpu<={HUGE}9*epoll"])
def test_bound_that_is_beyond_all_numbers_is_refused(text: str) -> None:
    refusal(text)


@given(st.text() | st.text("p9.<>=*0123456789memoryopscpull \n", max_size=16))
def test_any_text_is_a_requirement_or_refused_in_a_line(text: str) -> None:
    said = "a line"
    try:
        assert Requirement.parse(text, MODELS).text == text
    except ValueError as error:
        said = str(error)
    assert len(said.splitlines()) == 1


# Whether it is kept


def cell_of(rounds: Sequence[Round], model: str = "epoll", **changes: Any) -> Cell:
    values: dict[str, Any] = {
        "workload": "tcp-long",
        "connections": 4,
        "size": 1000,
        "verdict": "ok",
        "reasons": [],
        "rounds": list(rounds),
    }
    return Cell(model=model, **values | changes)


def checked(text: str, *cells: Cell) -> list[Verdict]:
    return check([Requirement.parse(text, MODELS)], cells)


def answer(text: str, *cells: Cell) -> str:
    (found,) = checked(text, *cells)
    return found.answer


@pytest.fixture(scope="session")
def steady(made_up_round: MakeRound) -> Cell:
    return cell_of([made_up_round(rate, number=n) for n, rate in enumerate(STEADY, 1)])


@pytest.fixture(scope="session")
def unsteady(made_up_round: MakeRound) -> Cell:
    return cell_of([made_up_round(rate, number=n) for n, rate in enumerate(UNSTEADY, 1)])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ops>95k", "kept"),
        ("ops>105k", "broken"),
        ("ops<105k", "kept"),
        ("ops<95k", "broken"),
        ("ops>100k", "unclear"),
        ("ops<100k", "unclear"),
    ],
)
def test_requirement_is_kept_or_broken_where_its_bound_is_outside_of_the_interval(
    steady: Cell, text: str, expected: str
) -> None:
    (found,) = checked(text, steady)
    assert found.answer == expected
    assert (found.requirement.text, found.key) == (text, steady.key)
    assert found.found is not None
    assert found.found.value == pytest.approx(100_000)
    assert found.found.interval is not None
    low, high = found.found.interval
    assert 95_000 < low < 100_000 < high < 105_000


def test_what_is_steady_enough_for_one_answer_may_be_too_unsteady_for_it(
    steady: Cell, unsteady: Cell
) -> None:
    assert (answer("ops>95k", steady), answer("ops>95k", unsteady)) == ("kept", "unclear")
    assert (answer("ops>105k", steady), answer("ops>105k", unsteady)) == ("broken", "unclear")
    assert (answer("ops>50k", unsteady), answer("ops>200k", unsteady)) == ("kept", "broken")


@pytest.mark.parametrize(
    ("metric", "within", "beyond"),
    [
        ("ops", "1001", "999"),
        ("cpu", "5001ns", "4999ns"),
        ("p50", "11us", "9us"),
        ("p90", "21us", "19us"),
        ("p99", "31us", "29us"),
        ("p99.9", "41us", "39us"),
        ("memory", "20481k", "20479k"),
    ],
)
def test_each_metric_is_held_against_its_own_figure(
    made_up_round: MakeRound, metric: str, within: str, beyond: str
) -> None:
    latency = Percentiles(p50=10.0, p90=20.0, p99=30.0, p99_9=40.0, max=50.0)
    cell = cell_of(
        [made_up_round(1000.0, cost=5.0, latency_us=latency, number=n) for n in (1, 2, 3)]
    )
    assert answer(f"{metric}<{within}", cell) == "kept"
    assert answer(f"{metric}<{beyond}", cell) == "broken"
    assert answer(f"{metric}>{within}", cell) == "broken"
    assert answer(f"{metric}>{beyond}", cell) == "kept"


@given(rates=st.lists(st.floats(1, 1e6), min_size=2, max_size=6), bound=st.integers(1, 10**6))
def test_any_answer_is_on_the_side_of_the_mean(
    made_up_round: MakeRound, rates: list[float], bound: int
) -> None:
    cell = cell_of([made_up_round(rate, number=n) for n, rate in enumerate(rates)])
    mean = math.fsum(rates) / len(rates)
    assume(mean != pytest.approx(bound))
    answers = answer(f"ops<{bound}", cell), answer(f"ops>{bound}", cell)
    told = ("kept", "broken") if mean < bound else ("broken", "kept")
    assert answers in (told, ("unclear", "unclear"))


def test_one_round_has_a_figure_and_no_answer(made_up_round: MakeRound) -> None:
    (found,) = checked("ops>1", cell_of([made_up_round(1000.0)]))
    assert found.answer == "unclear"
    assert found.found is not None
    assert (found.found.value, found.found.interval) == (1000.0, None)


@pytest.mark.parametrize("verdict", ["failed", "errors"])
def test_cell_that_cannot_be_believed_keeps_nothing(steady: Cell, verdict: str) -> None:
    cell = msgspec.structs.replace(steady, verdict=verdict)
    assert checked("ops>1", cell) == [
        Verdict(Requirement("ops>1", "ops", False, 1.0, None), cell.key, "broken", None)
    ]
    assert answer("ops>1*asyncio", cell) == "broken"


def test_cell_that_is_unsupported_is_asked_nothing(steady: Cell) -> None:
    cell = cell_of([], "asyncio", verdict="unsupported")
    assert [each.key for each in checked("ops>1", cell, steady)] == [steady.key]


def test_figure_that_a_round_lacks_leaves_it_unclear(made_up_round: MakeRound) -> None:
    """As a p99.9 of few operations, or the memory of a server that stands elsewhere."""
    rounds = [
        made_up_round(number=1, latency_us=Percentiles(p50=1.0, p99_9=9.0)),
        made_up_round(number=2, latency_us=Percentiles(p50=1.0)),
    ]
    rounds[1] = msgspec.structs.replace(rounds[1], server=Server())
    for text in ("p99.9<1s", "cpu<1s", "memory<1G", "p99<1s"):
        (found,) = checked(text, cell_of(rounds))
        assert (found.answer, found.found) == ("unclear", None)
    assert answer("p50<1s", cell_of(rounds)) == "kept"


def test_each_requirement_is_held_against_each_cell(steady: Cell, unsteady: Cell) -> None:
    other = msgspec.structs.replace(unsteady, model="asyncio")
    requirements = [Requirement.parse(text, MODELS) for text in ("ops>95k", "ops<200k")]
    found = check(requirements, [steady, other])
    assert [(each.requirement.text, each.key.model, each.answer) for each in found] == [
        ("ops>95k", "epoll", "kept"),
        ("ops>95k", "asyncio", "unclear"),
        ("ops<200k", "epoll", "kept"),
        ("ops<200k", "asyncio", "kept"),
    ]


# Against a model of the run

# What a machine does to both of them from round to round.
WEATHER = (1.0, 1.5, 0.6, 1.2, 0.8)


@pytest.fixture(scope="session")
def costly(made_up_round: MakeRound) -> tuple[Cell, Cell]:
    """One, and another that costs 1.2 times as much in every round; p99 and memory are alike."""

    def cell(model: str, times: float) -> Cell:
        latency = [Percentiles(p99=100.0 * each) for each in WEATHER]
        return cell_of(
            [
                made_up_round(number=n, cost=5.0 * times * weather, latency_us=latency[n])
                for n, weather in enumerate(WEATHER)
            ],
            model,
        )

    return cell("epoll", 1.0), cell("asyncio", 1.2)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("cpu<=1.21*epoll", "kept"),
        ("cpu<=1.19*epoll", "broken"),
        ("cpu>=1.19*epoll", "kept"),
        ("cpu>=1.21*epoll", "broken"),
        ("cpu<=epoll", "broken"),
        ("p99<=1.01*epoll", "kept"),
        ("p99>=1.01*epoll", "broken"),
        ("memory<=1.01*epoll", "kept"),
        ("memory<=0.99*epoll", "broken"),
    ],
)
def test_rounds_are_held_against_the_same_rounds_of_the_base(
    costly: tuple[Cell, Cell], text: str, expected: str
) -> None:
    (found,) = checked(text, *costly)
    assert (found.key.model, found.answer) == ("asyncio", expected)


def test_rounds_are_paired_by_their_number(costly: tuple[Cell, Cell]) -> None:
    base, other = costly
    shuffled = msgspec.structs.replace(base, rounds=[base.rounds[n] for n in (4, 1, 3, 2)])
    (found,) = checked("cpu<=1.21*epoll", shuffled, other)
    assert found.answer == "kept"
    assert found.found is not None
    assert found.found.value == pytest.approx(1.2)


def test_rates_are_paired_slice_by_slice(made_up_round: MakeRound) -> None:
    def cell(model: str, times: float) -> Cell:
        rounds = []
        for number in range(3):
            usual = made_up_round(number=number)
            slices = [
                msgspec.structs.replace(usual.slices[0], operations=int(1000 * times * weather))
                for weather in WEATHER[number:] + WEATHER[:number]
            ]
            noise = {0: 0.5, 1: 1.0, 2: 2.0}[number] if model == "epoll" else 1.0
            rounds.append(
                msgspec.structs.replace(usual, slices=slices, ops_per_s=1000 * times * noise)
            )
        return cell_of(rounds, model)

    cells = cell("epoll", 1.0), cell("asyncio", 0.9)
    assert answer("ops>=0.89*epoll", *cells) == "kept"
    assert answer("ops>=0.91*epoll", *cells) == "broken"


def test_base_is_not_held_against_itself(costly: tuple[Cell, Cell]) -> None:
    base, _ = costly
    assert checked("cpu<=0.5*epoll", base) == []


def test_base_is_that_of_the_same_load(costly: tuple[Cell, Cell]) -> None:
    base, other = costly
    replace = msgspec.structs.replace
    for change in ({"workload": "chat"}, {"connections": 5}, {"loop": "open"}):
        (found,) = checked("cpu<=1.21*epoll", replace(base, **change), other)
        assert (found.answer, found.found) == ("unclear", None)
        dear = replace(base, **change, rounds=other.rounds)
        found, elsewhere = checked("cpu<=1.1*epoll", base, dear, other, replace(other, **change))
        assert (found.answer, elsewhere.answer) == ("broken", "kept")


def test_without_a_round_in_common_it_cannot_be_told(costly: tuple[Cell, Cell]) -> None:
    base, other = costly
    early = msgspec.structs.replace(base, rounds=base.rounds[:2])
    late = msgspec.structs.replace(other, rounds=other.rounds[2:])
    (found,) = checked("cpu<=1.21*epoll", early, late)
    assert (found.answer, found.found) == ("unclear", None)
    one = msgspec.structs.replace(other, rounds=other.rounds[1:])
    assert answer("cpu<=1.21*epoll", early, one) == "unclear"


@pytest.mark.parametrize("verdict", ["failed", "errors"])
def test_base_that_cannot_be_believed_breaks_nothing(
    costly: tuple[Cell, Cell], verdict: str
) -> None:
    """It is not ranked, for who serves less is fast; so nobody is held against it."""
    base, other = costly
    doubtful = msgspec.structs.replace(base, verdict=verdict)
    assert answer("cpu<=1.19*epoll", doubtful, other) == "unclear"
    assert answer("cpu<=1.21*epoll", doubtful, other) == "unclear"
