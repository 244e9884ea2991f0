"""Quantities as people type them: what is read back, and what is refused."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.models.units import amount, share, size_bytes, time_us

Read = Callable[[str], float]

READERS: list[Read] = [time_us, size_bytes, amount, share]
MICROSECONDS = {"ns": 1e-3, "us": 1, "µs": 1, "ms": 1e3, "s": 1e6, "min": 60e6, "h": 3600e6}
BYTES = {
    **dict.fromkeys(("", "b", "B"), 1),
    **dict.fromkeys(("k", "K", "kb", "KB", "KiB"), 1024),
    **dict.fromkeys(("m", "M", "MB", "MiB"), 1024**2),
    **dict.fromkeys(("g", "G", "GB", "GiB"), 1024**3),
}
AMOUNTS = {"": 1, "k": 1e3, "K": 1e3, "m": 1e6, "M": 1e6, "g": 1e9, "G": 1e9}

numbers = st.integers(0, 2**20)
thousandths = st.decimals(0, 10**6, places=3)
spaces = st.sampled_from(["", " ", "  "])


def refusal(read: Read, text: str) -> str:
    """The line for a person."""
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        read(text)
    said = str(caught.value)
    assert repr(text) in said
    return said


# Read back


@given(thousandths, st.sampled_from(list(MICROSECONDS)), spaces, spaces)
def test_time_that_is_written_with_its_unit_is_read_back(
    number: object, unit: str, between: str, around: str
) -> None:
    found = time_us(f"{around}{number}{between}{unit}{around}")
    assert found == pytest.approx(float(str(number)) * MICROSECONDS[unit])


@given(numbers, st.sampled_from(list(BYTES)), spaces)
def test_size_is_read_back_to_the_byte(number: int, unit: str, between: str) -> None:
    found = size_bytes(f"{number}{between}{unit}")
    assert found == number * BYTES[unit]
    assert isinstance(found, int)


@given(thousandths, st.sampled_from(list(AMOUNTS)), spaces)
def test_amount_is_read_back(number: object, unit: str, between: str) -> None:
    assert amount(f"{number}{between}{unit}") == pytest.approx(float(str(number)) * AMOUNTS[unit])


@given(thousandths, spaces)
def test_share_is_read_back_as_it_is_and_in_hundredths(number: object, between: str) -> None:
    assert share(str(number)) == pytest.approx(float(str(number)))
    assert share(f"{number}{between}%") == pytest.approx(float(str(number)) / 100)


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (time_us, "5ms", 5000),
        (time_us, "500us", 500),
        (time_us, "1.5s", 1.5e6),
        (time_us, ".5ms", 500),
        (time_us, "5.ms", 5000),
        (size_bytes, "64k", 65536),
        (size_bytes, "1.5k", 1536),
        (size_bytes, "2M", 2 * 1024**2),
        (amount, "20k", 20_000),
        (amount, "1.5M", 1.5e6),
        (share, "70%", 0.7),
        (share, "0.7", 0.7),
    ],
)
def test_what_the_help_shows_is_read(read: Read, text: str, value: float) -> None:
    assert read(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["1000000us", "1_000_000us", "1,000,000us"])
def test_thousands_may_be_parted(text: str) -> None:
    assert time_us(text) == 1e6


def test_time_without_a_unit_is_one_only_where_that_is_said() -> None:
    assert time_us("5", bare=1e6) == 5e6
    assert time_us("5ms", bare=1e6) == 5000
    assert refusal(time_us, "5") == "'5' is not a time with its unit, such as 5ms or 2s"


# Refused


@pytest.mark.parametrize("read", READERS)
@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ".", "%", "k", "ms", "many", "nan", "inf", "infinity", "-inf", "NaN%"),
        *("-5ms", "-5", "-64k", "-70%", "+5ms", "--5"),
        *("1e3", "1e3ms", "0x10", "5.5.5ms", "5 5ms", "5ms5", "5ms 5ms", "5/2", "5;", "5\0"),
        *("5q", "5ms.", "5msec", "5%%", "5kk", "5kbit", "5 k b"),
        *("²", "²ms", "٣", "٣ms", "٣k", "٣%", "\uff15ms", "\u2164", "½"),
        *("9" * 400, "9" * 5000 + "ms", "1" + "0" * 400 + "k"),
    ],
)
def test_what_is_no_quantity_is_refused_in_a_line(read: Read, text: str) -> None:
    refusal(read, text)


@pytest.mark.parametrize("text", ["٣µs", "²µs", "1٣µs", "\uff15µs"])
def test_digits_of_other_scripts_are_none_beside_a_micro_sign_either(text: str) -> None:
    refusal(time_us, text)


@pytest.mark.parametrize(
    ("read", "unit"),
    [(time_us, "h"), (time_us, "s"), (size_bytes, "k"), (size_bytes, "GiB"), (amount, "G")],
)
def test_number_that_only_its_unit_makes_too_large_is_refused(read: Read, unit: str) -> None:
    refusal(read, "9" * 308 + unit)


@pytest.mark.parametrize("text", ["1,5ms", "0,5ms", ",5ms", "5,ms", "1,,000ms", "1.0,0ms", "_5ms"])
def test_comma_that_parts_no_thousands_is_not_passed_over(text: str) -> None:
    """Half of the world writes 1,5 where the other half writes 1.5, and nobody means 15."""
    refusal(time_us, text)


@pytest.mark.parametrize(
    ("read", "text", "words"),
    [
        (time_us, "5k", "is not a time with its unit, such as 5ms or 2s"),
        (time_us, "5MS", "is not a time with its unit"),
        (time_us, "70%", "is not a time with its unit"),
        (size_bytes, "5ms", "is not a number of bytes, such as 1000 or 64k"),
        (size_bytes, "1.5", "is not a number of bytes"),
        (size_bytes, "0.1k", "is not a number of bytes"),
        (amount, "5ms", "is not a number, such as 20000 or 20k"),
        (amount, "64kb", "is not a number, such as 20000 or 20k"),
        (share, "5ms", "is not a share, such as 70% or 0.7"),
        (share, "7k", "is not a share"),
    ],
)
def test_unit_of_something_else_is_refused_with_an_example(
    read: Read, text: str, words: str
) -> None:
    assert words in refusal(read, text)


@pytest.mark.parametrize("read", READERS)
@given(text=st.text() | st.text("0123456789.,_ +-eExabkKMGgiBnufhmsµ%٣²\n", max_size=12))
def test_any_text_is_a_finite_quantity_or_refused_in_a_line(read: Read, text: str) -> None:
    said = "a line"
    try:
        value = read(text)
    except ValueError as error:
        value, said = 0.0, str(error)
    assert len(said.splitlines()) == 1
    assert math.isfinite(value)
    assert value >= 0
