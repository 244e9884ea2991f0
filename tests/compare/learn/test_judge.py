"""In which order a learner's checks are made."""

from __future__ import annotations

import hypothesis.strategies as st
from hypothesis import given

from compare.check.catalogue import CHECKS
from compare.learn.judge import roots_first


def test_what_another_check_needs_comes_before_it_and_all_else_stays() -> None:
    asked = ["tcp/9", "tcp/8", "tcp/5", "life/0", "tcp/2", "tcp/4", "tcp/1"]
    assert roots_first(asked) == ["life/0", "tcp/2", "tcp/4", "tcp/5", "tcp/9", "tcp/1", "tcp/8"]


@given(st.lists(st.sampled_from(sorted(CHECKS)), unique=True))
def test_each_is_asked_once_after_all_that_it_needs(asked: list[str]) -> None:
    ordered = roots_first(asked)
    assert sorted(ordered) == sorted(asked)
    for number, each in enumerate(ordered):
        assert not {*CHECKS[each].needs} & {*ordered[number:]}
