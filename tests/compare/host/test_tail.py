"""The end of what was said, of whatever length."""

from __future__ import annotations

import os

from hypothesis import given
from hypothesis import strategies as st

from compare.host.tail import KEPT_BYTES, Tail, last

WORDS = st.lists(st.text("ab", min_size=1, max_size=8), max_size=40).map(" ".join)


@given(WORDS, st.integers(8, 60))
def test_end_begins_with_a_whole_word_and_tells_of_what_was_before(said: str, most: int) -> None:
    shown = last(said.encode(), most)
    if len(said) <= most:
        assert shown == said
        return
    assert shown.startswith("... ")
    kept = shown.removeprefix("... ")
    assert len(kept) <= most
    assert said.endswith(f" {kept}") or not kept


def test_one_word_that_is_too_long_is_cut() -> None:
    assert last(b"x" * 3000, 2000) == "... " + "x" * 2000


def test_letter_that_is_cut_in_two_is_none() -> None:
    assert last("Übung zwei ".encode() * 3, 20) == "... zwei Übung zwei"


def test_of_what_is_written_the_end_is_kept_and_no_more() -> None:
    ours, theirs = os.pipe()
    tail = Tail(ours)
    with os.fdopen(theirs, "wb") as file:
        for _ in range(40):
            file.write(b"x" * KEPT_BYTES)
            file.flush()
            assert len(tail.now()) <= KEPT_BYTES
        file.write(b"the end")
    said = tail.whole(10.0)
    assert len(said) == KEPT_BYTES
    assert said.endswith(b"xthe end")
