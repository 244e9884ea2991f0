"""When a server has warmed up, by made-up slices and a load that is made up."""

from __future__ import annotations

import itertools
import math
import random
from array import array
from collections.abc import Callable, Iterable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.driver import warmup
from compare.driver.warmup import DRIFT, SLICE_S, SLICES, is_stationary, warm_up

counts = st.integers(0, 10**6)


# Whether slices show no drift


@given(counts)
def test_constant_rate_is_stationary(each: int) -> None:
    assert is_stationary([each] * SLICES)


@given(st.lists(counts, max_size=SLICES - 1))
def test_too_few_slices_are_not_stationary(operations: list[int]) -> None:
    assert not is_stationary(operations)


def test_nothing_at_all_is_stationary() -> None:
    """Waiting longer for a server that does nothing shows nothing else."""
    assert is_stationary([0] * SLICES)


@given(st.integers(1000, 10**6), st.floats(1.15, 100))
def test_rate_that_steps_up_or_down_is_not_stationary(low: int, factor: float) -> None:
    half = SLICES // 2
    high = math.ceil(low * factor)
    assert not is_stationary([low] * half + [high] * half)
    assert not is_stationary([high] * half + [low] * half)


@given(st.integers(2000, 10**6), st.floats(0.05, 1))
def test_rate_that_climbs_is_not_stationary(begin: int, step: float) -> None:
    """As while a server fills its caches: each slice has a share more than the one before."""
    climbing = [round(begin * (1 + step * number)) for number in range(SLICES)]
    assert not is_stationary(climbing)
    assert not is_stationary(climbing[::-1])


@given(st.integers(1000, 10**6), st.lists(st.floats(-1, 1), min_size=SLICES, max_size=SLICES))
def test_rate_that_stays_within_half_the_drift_is_stationary(
    middle: int, where: list[float]
) -> None:
    half = DRIFT / 2.1
    assert is_stationary([math.ceil(middle * (1 + half * each)) for each in where])


@given(st.lists(counts, min_size=SLICES, max_size=SLICES))
def test_it_does_not_matter_which_half_came_first(operations: list[int]) -> None:
    half = SLICES // 2
    assert is_stationary(operations) == is_stationary(operations[half:] + operations[:half])


def poisson(draw: random.Random, mean: float) -> int:
    """How many exponential gaps fit into `mean` of them."""
    number, left = 0, mean - draw.expovariate(1)
    while left > 0:
        number += 1
        left -= draw.expovariate(1)
    return number


@pytest.mark.parametrize("mean", [0.2, 1, 5, 50])
def test_chance_alone_is_seldom_taken_for_drift(mean: float) -> None:
    draw = random.Random(1)
    tries = 1000
    rejected = sum(
        not is_stationary([poisson(draw, mean) for _ in range(SLICES)]) for _ in range(tries)
    )
    assert rejected <= 0.1 * tries


def test_drift_is_seen_through_noise() -> None:
    draw = random.Random(1)
    half = SLICES // 2
    seen = sum(
        not is_stationary(
            [poisson(draw, 100 if number < half else 200) for number in range(SLICES)]
        )
        for _ in range(200)
    )
    assert seen >= 190


# How long it drives


class FakeLoad:
    """As many operations in every slice as it is told; its clock is the only one.

    due: in every slice; of a closed loop nothing.
    """

    def __init__(self, operations: Iterable[int], due: int = 0) -> None:
        self.samples: array[int] = array("Q")
        self.offered = 0
        self._due = due
        self.now_ns = 10**15
        self.slices: list[float] = []
        self._operations: Iterator[int] = iter(operations)

    def run(self, seconds: float, tick: Callable[[int], None]) -> None:
        self.slices.append(seconds)
        self.samples.extend([1] * next(self._operations))
        self.offered += self._due
        self.now_ns += round(seconds * 1e9)


WarmUp = Callable[..., bool]


@pytest.fixture
def warm(monkeypatch: pytest.MonkeyPatch) -> WarmUp:
    def warm(load: FakeLoad, at_most_s: float) -> bool:
        monkeypatch.setattr(warmup, "perf_counter_ns", lambda: load.now_ns)
        return warm_up(load, lambda now: None, at_most_s)  # type: ignore[arg-type]

    return warm


def growing() -> Iterable[int]:
    """By so much that it shows in any six of them."""
    return (round(1000 * 1.03**number) for number in itertools.count())


def test_steady_server_is_warm_as_soon_as_that_is_known(warm: WarmUp) -> None:
    load = FakeLoad([1000] * 100)
    assert warm(load, 2.0)
    assert len(load.slices) == SLICES


def test_server_that_settles_is_driven_until_then(warm: WarmUp) -> None:
    load = FakeLoad([10, 100, 400, 700, 900, *[1000] * 100])
    assert warm(load, 2.0)
    assert SLICES < len(load.slices) <= 5 + SLICES


def test_server_that_never_settles_is_driven_for_as_long_as_is_allowed(warm: WarmUp) -> None:
    load = FakeLoad(growing())
    assert not warm(load, 2.0)
    assert sum(load.slices) == pytest.approx(2.0, abs=1e-6)


def test_last_slice_does_not_exceed_what_is_allowed(warm: WarmUp) -> None:
    load = FakeLoad(growing())
    assert not warm(load, 2.4 * SLICE_S)
    assert load.slices == pytest.approx([SLICE_S, SLICE_S, 0.4 * SLICE_S])


@pytest.mark.parametrize("due", [1070, 1500])
def test_server_whose_queue_grows_at_a_constant_rate_is_not_warm(warm: WarmUp, due: int) -> None:
    """What it does is all the same in every slice: as much as it can."""
    load = FakeLoad(itertools.repeat(1000), due)
    assert not warm(load, 2.0)
    assert sum(load.slices) == pytest.approx(2.0, abs=1e-6)


@pytest.mark.parametrize("due", [900, 1000, 1030])
def test_server_that_does_what_is_due_but_for_what_is_under_way_is_warm(
    warm: WarmUp, due: int
) -> None:
    load = FakeLoad(itertools.repeat(1000), due)
    assert warm(load, 2.0)
    assert len(load.slices) == SLICES


def test_server_that_works_off_what_had_queued_up_is_warm_then(warm: WarmUp) -> None:
    """As one that is slow at first; each slice has what is due in it and what has waited."""
    load = FakeLoad([0, 0, 500, *itertools.repeat(1000, 100)], 1000)
    assert warm(load, 2.0)
    assert 2 + SLICES <= len(load.slices) <= 3 + SLICES


def test_few_that_are_due_may_all_be_under_way(warm: WarmUp) -> None:
    assert warm(FakeLoad([0, 0, 0, 0, 0, 0], 0), 2.0)
    assert warm(FakeLoad([1, 0, 1, 1, 0, 1], 1), 2.0)


def test_no_time_is_no_warm_up(warm: WarmUp) -> None:
    load = FakeLoad([])
    assert not warm(load, 0.0)
    assert load.slices == []
