"""The same work on both cores and between them, by which a slower machine is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import pytest

from compare.driver.outcome import Outcome
from compare.driver.probe import Probe, Work, slower

CORES = sorted(os.sched_getaffinity(0))
two_cores = pytest.mark.skipif(len(CORES) < 2, reason="there is one core: nothing is between them")


@two_cores
def test_probe_takes_its_time_and_leaves_us_where_we_were_and_nobody_behind() -> None:
    before = os.sched_getaffinity(0)
    with Probe(CORES[0], CORES[-1]) as probe:
        works = [probe.take(), probe.take()]
    for work in works:
        assert work is not None
        assert 10_000 < work.server_ns < 1_000_000_000
        assert 10_000 < work.driver_ns < 1_000_000_000
        assert 10_000 < (work.between_ns or 0) < 1_000_000_000
    assert os.sched_getaffinity(0) == before
    assert probe.pid is not None
    with pytest.raises(ProcessLookupError):
        os.kill(probe.pid, 0)


@pytest.mark.parametrize("cores", [(None, CORES[0]), (CORES[0], None), (CORES[0], CORES[0]), ()])
def test_nothing_is_known_of_cores_that_are_not_or_are_one(cores: tuple[int | None, ...]) -> None:
    with Probe(*cores) as probe:
        assert probe.take() is None


def test_slower_of_two_is_taken_part_by_part() -> None:
    assert slower(Work(1, 4, 8), Work(3, 2, 9)) == Work(3, 4, 9)
    assert slower(Work(1, 4, 8), Work(3, 2)) == Work(3, 4)
    assert slower(None, Work(1, 1)) is None


@two_cores
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
