"""What time it is elsewhere, from answers that took their time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.cluster.clock import Clock, estimate

NS = st.integers(0, 10**12)
WAY = st.integers(0, 10**9)


@given(st.integers(-(10**18), 10**18), st.lists(st.tuples(NS, WAY, WAY), min_size=1))
def test_truth_is_never_further_away_than_the_error_says(
    offset: int, ways: list[tuple[int, int, int]]
) -> None:
    """However different the ways there and back are."""
    asked = [(sent, sent + there + offset, sent + there + back) for sent, there, back in ways]
    clock = estimate(asked)
    assert abs(clock.offset_ns - offset) <= clock.error_ns
    assert clock.error_ns <= min(-(-(there + back) // 2) for _, there, back in ways)


def test_quickest_answer_is_taken() -> None:
    assert estimate([(0, 1000, 100), (200, 1205, 210), (300, 9999, 900)]) == Clock(1000, 5)


def test_nothing_is_known_where_nothing_was_asked() -> None:
    with pytest.raises(ValueError, match="empty"):
        estimate([])


def test_instants_are_the_same_there_and_back() -> None:
    clock = Clock(500, 3)
    assert clock.there(100) == 600
    assert clock.here(clock.there(100)) == 100
