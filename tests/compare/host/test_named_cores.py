"""Cores as they are typed, and as the kernel writes them."""

from __future__ import annotations

import os
import re
from collections.abc import Collection

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.host.cores import (
    MOST,
    Cores,
    numbers,
    parse,
)


@pytest.fixture
def eight(monkeypatch: pytest.MonkeyPatch) -> None:
    """We may use the cores 0 to 7."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)))


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("text", "server", "driver"),
    [
        ("0,1", (0,), 1),
        ("7,0", (7,), 0),
        ("0-3,4", (0, 1, 2, 3), 4),
        ("0,1,2", (0, 1), 2),
        ("0,2-3,7", (0, 2, 3), 7),
        ("3,1,1,0", (1, 3), 0),
        ("2-2,3", (2,), 3),
        ("0,0", (0,), 0),
    ],
)
def test_last_is_the_drivers_and_the_others_are_the_servers(
    text: str, server: tuple[int, ...], driver: int
) -> None:
    assert parse(text) == Cores(server, driver)


def refusal(text: str) -> str:
    """The line for a person."""
    with pytest.raises(ValueError, match=r"\A.+\Z") as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    "text",
    [
        *("", " ", ",", "0", "0,", ",1", "0-1", "0,1-2", "0,,1", "0 1", "0;1", "0:1", "a,b"),
        *("-1,0", "-,0", "0,-", "1.5,2", "0x1,2", "²,1", "0,½", "0,1\n2", "0-1-2,3"),
        *("9" * 5000 + ",1", "1," + "9" * 5000, "0-99999999999,1", f"{MOST + 1},0"),
    ],
)
def test_what_is_no_pair_of_cores_is_refused_with_an_example(text: str) -> None:
    assert refusal(text) == f"{text!r} is not SERVER,DRIVER, such as 0,1 or 0-3,4"


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize("text", ["3-1,0", "1-0,0", "1--1,0", "0,3-1,2", "0-,1", "0,2-,1"])
def test_range_that_ends_nowhere_or_before_it_begins_is_refused(text: str) -> None:
    """The server would run anywhere, or on fewer cores than were meant."""
    refusal(text)


@pytest.mark.usefixtures("eight")
@pytest.mark.parametrize(
    ("text", "missing"), [("0,8", 8), ("8,0", 8), ("0-9,1", 8), ("0,-1", -1), (f"{MOST},0", MOST)]
)
def test_core_that_is_not_ours_is_refused_with_those_that_are(text: str, missing: int) -> None:
    assert refusal(text) == f"{text}: there is no core {missing} for us; there are 0,1,2,3,4,5,6,7"


def test_cores_of_this_machine_can_be_named() -> None:
    mine = sorted(os.sched_getaffinity(0))
    assert parse(f"{mine[0]},{mine[-1]}") == Cores((mine[0],), mine[-1])


# As the kernel writes them


def written(cores: Collection[int]) -> str:
    """As the kernel does: what lies side by side is a range."""
    ranges: list[list[int]] = []
    for number in sorted(cores):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ",".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges)


@pytest.mark.parametrize(
    ("text", "cores"),
    [("0", {0}), ("0-3", {0, 1, 2, 3}), ("0,2-3", {0, 2, 3}), ("1,1,1-2\n", {1, 2})],
)
def test_list_of_the_kernels_is_read(text: str, cores: set[int]) -> None:
    assert numbers(text) == cores


@given(st.sets(st.integers(0, 70), min_size=1) | st.sets(st.integers(0, MOST), min_size=1))
def test_any_list_of_the_kernels_is_read_back(cores: Collection[int]) -> None:
    assert numbers(written(cores)) == cores


@given(st.text() | st.text("0123456789-, _+٣²\n", max_size=12))
def test_any_text_is_cores_or_refused(text: str) -> None:
    try:
        found = numbers(text)
    except ValueError:
        return
    assert all(0 <= each <= MOST for each in found)
    assert re.search(r"\d", text)


@pytest.mark.parametrize(
    "text", ["", ",", "0,", "a", "-", "-3", f"0-{MOST + 1}", "0-" + "9" * 5000]
)
def test_what_is_no_list_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        numbers(text)
