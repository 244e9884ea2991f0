"""Values of options by themselves: with their units, several of them, and ranges."""

from __future__ import annotations

import itertools
from typing import Any

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.commands.options import (
    DURATION,
    LOAD,
    MOST_STEPS,
    RATE,
    SECONDS,
    SHARE,
    SIZE,
    STEPS,
    Quantity,
    Several,
    whole,
)

NUMBER = whole(1_000_000)
NUMBERS = Several(NUMBER, whole=True)
IDLE = Several(whole(10_000_000), whole=True, word="most")
SIZES, RATES, LOADS = Several(SIZE, whole=True), Several(RATE), Several(LOAD)


def read(kind: click.ParamType[Any], text: Any) -> Any:
    return kind.convert(text, None, None)


def refusal(kind: click.ParamType[Any], text: str) -> str:
    """The line for a person."""
    with pytest.raises(click.BadParameter) as caught:
        read(kind, text)
    (line,) = caught.value.message.splitlines()
    return line


# One


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        (DURATION, "5ms", 5000.0),
        (DURATION, "1us", 1.0),
        (DURATION, "1000s", 1e9),
        (SECONDS, "2", 2.0),
        (SECONDS, "500ms", 0.5),
        (SECONDS, "0.05", 0.05),
        (SECONDS, "1h", 3600.0),
        (SHARE, "5%", 0.05),
        (SHARE, "0.05", 0.05),
        (SHARE, "0.01%", 0.0001),
        (SHARE, "1000%", 10.0),
        (LOAD, "70%", 0.7),
        (LOAD, "0.7", 0.7),
        (LOAD, "1%", 0.01),
        (LOAD, "150%", 1.5),
        (RATE, "10k", 10_000.0),
        (RATE, "0.1", 0.1),
        (RATE, "10M", 1e7),
        (RATE, "20,000", 20_000.0),
        (SIZE, "1000", 1000.0),
        (SIZE, "64k", 65_536.0),
        (SIZE, "1g", 2.0**30),
        (NUMBER, "1", 1.0),
        (NUMBER, "1k", 1000.0),
        (NUMBER, "1.5k", 1500.0),
        (NUMBER, "1M", 1_000_000.0),
    ],
)
def test_quantity_is_read_with_its_unit_and_up_to_its_bounds(
    kind: Quantity, text: str, value: float
) -> None:
    assert read(kind, text) == pytest.approx(value)


@pytest.mark.parametrize("number", [3, 3.0])
def test_default_that_is_a_number_already_stays_one(number: float) -> None:
    assert read(RATE, number) == 3.0


@pytest.mark.parametrize(
    ("kind", "texts", "words"),
    [
        (DURATION, ["5", "0.9us", "1001s"], "a time from 1us to 1000s, such as 5ms"),
        (SECONDS, ["0.04", "49ms", "3601", "2h"], "a time from 0.05 to 3600 s, such as 2s or"),
        (SHARE, ["0", "0.009%", "1001%"], "a share from 0.01% to 1000%, such as 5% or 0.05"),
        (LOAD, ["0.9%", "151%", "7k"], "a share from 1% to 150%, such as 70% or 0.7"),
        (RATE, ["0", "0.09", "10.1M", "5ms"], "a number from 0.1 to 10,000,000 a second, such"),
        (SIZE, ["0", "1.5", "1025m", "5ms"], "a number of bytes from 1 to 1G, such as 1000 or 64k"),
        (NUMBER, ["0", "1.5", "1.0001k", "1.1M", "64kb"], "a whole number from 1 to 1,000,000"),
    ],
)
def test_what_is_not_one_is_refused_with_what_is(
    kind: Quantity, texts: list[str], words: str
) -> None:
    for text in [*texts, "", " ", "-1", "nan", "inf", "many", "1..2", "²"]:
        said = refusal(kind, text)
        assert said.startswith(f"{text!r} is not {words}")
    assert len(refusal(kind, "9" * 5000)) < 200


# Several


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        (NUMBERS, "64", [64]),
        (NUMBERS, "1,8, 64", [1, 8, 64]),
        (NUMBERS, "8,1,8", [8, 1]),
        (NUMBERS, "1k,1000", [1000]),
        (NUMBERS, "1..5", [1, 2, 3, 4, 5]),
        (NUMBERS, "1..2", [1, 2]),
        (NUMBERS, "10..1k/2", [10, 1000]),
        (NUMBERS, "1..3/3,100", [1, 2, 3, 100]),
        (SIZES, "16,1k,64k", [16, 1024, 65_536]),
        (SIZES, "1k..64k/3", [1024, 33_280, 65_536]),
        (LOADS, "70%", [0.7]),
        (LOADS, "0.1..0.9", [0.1, 0.3, 0.5, 0.7, 0.9]),
        (LOADS, "10%..90%/3", [0.1, 0.5, 0.9]),
        (LOADS, "0.9..0.1/3", [0.9, 0.5, 0.1]),
        (RATES, "10k..20k/3", [10_000.0, 15_000.0, 20_000.0]),
        (RATES, "0.5,2", [0.5, 2.0]),
        (IDLE, "most", ["most"]),
        (IDLE, "10,100,most", [10, 100, "most"]),
        (IDLE, "most,most,10", ["most", 10]),
    ],
)
def test_several_are_parted_by_commas_and_ranges_are_even_steps(
    kind: Several, text: str, values: list[Any]
) -> None:
    found = read(kind, text)
    assert found == values
    assert [type(each) for each in found] == [type(each) for each in values]


def test_several_that_were_read_already_stay_as_they_are() -> None:
    assert read(LOADS, values := [0.1, 0.2]) is values


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        (NUMBERS, "", "''"),
        (NUMBERS, "64,", "''"),
        (NUMBERS, "1,000", "'000' is not a whole number"),
        (NUMBERS, "most", "'most' is not a whole number"),
        (NUMBERS, "0..5", "'0' is not a whole number"),
        (NUMBERS, "..5", "'' is not a whole number"),
        (NUMBERS, "5..", "'' is not a whole number"),
        (NUMBERS, "1..2..3", "'2..3' is not a whole number"),
        (NUMBERS, "1...3", "'.3' is not a whole number"),
        (NUMBERS, "1..9/1", "'1' is not a number of steps from 2 to 100"),
        (NUMBERS, "1..9/101", "'101' is not a number of steps"),
        (NUMBERS, "1..9/-3", "'-3' is not a number of steps"),
        (NUMBERS, "1..9/²", "'²' is not a number of steps"),
        (NUMBERS, "1..9/" + "9" * 5000, "is not a number of steps"),
        (NUMBERS, "8/2", "'8/2' is not a whole number"),
        (IDLE, "most..10", "'most' is not a whole number"),
        (IDLE, "10..most", "'most' is not a whole number"),
        (IDLE, "Most", "'Most' is not a whole number"),
        (IDLE, "10,0", "'0' is not a whole number from 1 to 10,000,000"),
        (LOADS, "0.1..1.6", "'1.6' is not a share from 1% to 150%"),
        (SIZES, "16,1.5", "'1.5' is not a number of bytes"),
        (RATES, "1k,fast", "'fast' is not a number from 0.1"),
    ],
)
def test_one_bad_one_among_several_is_refused_by_name(kind: Several, text: str, words: str) -> None:
    assert words in refusal(kind, text)


@given(st.integers(1, 10**6), st.integers(1, 10**6), st.none() | st.integers(2, MOST_STEPS))
def test_range_of_rates_has_as_many_steps_and_they_are_even(
    low: int, high: int, steps: int | None
) -> None:
    found = read(RATES, f"{low}..{high}" + ("" if steps is None else f"/{steps}"))
    many = steps or STEPS
    assert (found[0], found[-1]) == (low, high)
    assert found == sorted(found, reverse=low > high)
    if abs(high - low) > many:
        assert len(found) == many
    gaps = [after - before for before, after in itertools.pairwise(found)]
    for gap in gaps if len(found) == many else []:
        assert gap == pytest.approx((high - low) / (many - 1), abs=2e-5 * max(low, high))


@given(st.integers(1, 10**7), st.integers(1, 10**7))
def test_ends_of_a_range_are_as_they_were_typed(low: int, high: int) -> None:
    found = read(IDLE, f"{low}..{high}/2")
    assert found == list(dict.fromkeys([low, high]))


@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=8))
def test_any_numbers_come_back_in_their_order_and_once(numbers: list[int]) -> None:
    assert read(NUMBERS, ",".join(map(str, numbers))) == list(dict.fromkeys(numbers))


@pytest.mark.parametrize("kind", [NUMBERS, IDLE, SIZES, RATES, LOADS])
@given(text=st.text("0123456789.,/kM%smot- ", max_size=12))
def test_any_text_is_values_or_refused_in_a_line(kind: Several, text: str) -> None:
    said = "a line"
    try:
        values = read(kind, text)
    except click.BadParameter as error:
        values, said = [0], error.message
    assert len(said.splitlines()) == 1
    assert values
    assert len(values) == len(set(values))
