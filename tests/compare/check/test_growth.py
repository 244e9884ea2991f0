"""What is a leak, and what only grows for a while, by how large a server is after each lot."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from compare.check import growth
from compare.check.bench import Bench, Subject
from compare.check.failure import Failed
from compare.host.place import Place

STEPS = 24


def judge(monkeypatch: pytest.MonkeyPatch, memory_kb: Sequence[int]) -> int:
    """How many lots were asked of a server that has so much memory after each; or Failed."""
    sizes = [growth.Size(10, 0, 1, each) for each in memory_kb]
    asked = iter(sizes)
    monkeypatch.setattr(growth, "_size", lambda bench: next(asked))
    monkeypatch.setattr(growth, "_size_at_rest", lambda bench, most: next(asked))
    bench = Bench(Subject("tcp-echo", place=Place("tcp", "127.0.0.1", 7)), 1, 3.0)
    growth.must_level_off(bench, lambda until: 1000, "members")
    return len(sizes) - len(list(asked))


def grows(*by_kb: int) -> list[int]:
    return [10_000 + sum(by_kb[:number]) for number in range(STEPS + 2)]


def test_server_that_does_not_grow_is_asked_three_times(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge(monkeypatch, grows()) == 3


def test_heap_that_fills_up_is_no_leak(monkeypatch: pytest.MonkeyPatch) -> None:
    assert judge(monkeypatch, grows(*[5000] * 10)) == 13
    assert judge(monkeypatch, grows(*[2000] * 18)) <= STEPS + 1


def test_leak_that_rests_now_and_then_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on V8, where what a collection has freed is filled again before the heap grows on."""
    steps = grows(*([7500] * 6 + [1200, 700, 0, 2900]), *([7000] * 8 + [1000, 50, 0] + [7000] * 9))
    with pytest.raises(Failed, match="memory to level off"):
        judge(monkeypatch, steps)
