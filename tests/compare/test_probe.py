"""The same work on both cores, by which a slower machine is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from compare.driver.outcome import Outcome
from compare.driver.probe import Work, probe, slower

CORES = sorted(os.sched_getaffinity(0))


def test_probe_takes_its_time_and_leaves_us_where_we_were() -> None:
    before = os.sched_getaffinity(0)
    work = probe(CORES[0], CORES[-1])
    assert work is not None
    assert 10_000 < work.server_ns < 1_000_000_000
    assert 10_000 < work.driver_ns < 1_000_000_000
    assert os.sched_getaffinity(0) == before


def test_nothing_is_known_of_cores_that_are_not() -> None:
    assert probe(None, CORES[0]) is None
    assert probe(CORES[0], None) is None
    assert slower(None, Work(1, 1)) is None


def test_slower_of_two_is_taken_core_by_core() -> None:
    assert slower(Work(1, 4), Work(3, 2)) == Work(3, 4)


def test_closed_loop_tells_it_where_both_are_pinned_and_an_open_one_does_not(
    plant: Callable[..., Any], drive: Callable[..., Outcome]
) -> None:
    pinned = {"server_core": CORES[0], "driver_core": CORES[-1]}
    server = plant("echo.py", "correct")
    closed = drive(server, "tcp-long", **pinned)
    assert closed.work is not None
    assert closed.errors == {}
    assert drive(server, "tcp-long", rate=200.0, **pinned).work is None
    assert drive(server, "tcp-long").work is None
