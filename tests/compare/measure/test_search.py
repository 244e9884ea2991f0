"""The highest that holds, against thresholds that are known."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from compare.measure.search import RESOLUTION, highest

tops = st.floats(1e-3, 1e9)
shares = st.floats(0, 1)


@given(tops, shares)
def test_what_is_found_holds_and_is_within_the_resolution_of_the_threshold(
    top: float, share: float
) -> None:
    threshold = share * top
    found = highest(lambda rate: rate <= threshold, top)
    if found is None:
        assert threshold < RESOLUTION * top
    else:
        assert found <= threshold <= found + RESOLUTION * top * (1 + 1e-9)


@given(tops, shares, st.lists(st.booleans(), min_size=1, max_size=3))
def test_only_what_was_tried_and_held_is_found(top: float, share: float, whims: list[bool]) -> None:
    """Also where the answers contradict each other."""
    held: list[tuple[float, bool]] = []

    def holds(rate: float) -> bool:
        held.append((rate, rate <= share * top or whims[len(held) % len(whims)]))
        return held[-1][1]

    found = highest(holds, top)
    assert found is None or (found, True) in held
    assert all(0 < rate <= top for rate, _ in held)
    assert len(held) <= 8


@given(tops)
def test_top_that_holds_is_tried_alone(top: float) -> None:
    tried = []

    def holds(rate: float) -> bool:
        tried.append(rate)
        return True

    assert highest(holds, top) == top
    assert tried == [top]


@given(tops)
def test_what_holds_nowhere_is_not_found(top: float) -> None:
    assert highest(lambda rate: False, top) is None
