"""Connect, warm up, measure, and wait for what is still on its way."""

from __future__ import annotations

import contextlib
import os
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain, compress
from time import perf_counter_ns

from compare.driver.histogram import encode, fold
from compare.driver.load import (
    OPEN_TIMEOUT_S,
    REPLY_TIMEOUT_S,
    TICK_NS,
    Load,
    Spec,
    Workload,
)
from compare.driver.meter import Meter, sizes_of, time_wait_of
from compare.driver.outcome import Outcome, Pace
from compare.driver.plan import Agree, wait_until
from compare.driver.probe import Probe, slower
from compare.driver.room_log import timed_well
from compare.driver.trace import trace
from compare.driver.warmup import warm_up

GRACE_S = 0.02  # for the replies to what was due last
BREATH_S = 0.001  # after the first messages, for other drivers on this core to send theirs
LATE_NS = 100_000  # less than any latency here that is worth telling from another


class _Window:
    """Which samples belong to the measured window."""

    def __init__(self, load: Load) -> None:
        self._load = load
        self.began = perf_counter_ns()
        load.offer_due(self.began)  # reading the meters took a moment
        self.first = len(load.samples)
        self._before = len(load.lateness), load.offered
        self.untimed = 0

    def end(self) -> None:
        load = self._load
        self.ended = perf_counter_ns()
        self._last = len(load.samples), len(load.lateness)
        load.offer_due(self.ended)
        load.offer_no_more()
        self.offered = load.offered - self._before[1]
        self.operations = self._last[0] - self.first

    def samples(self) -> array[int]:
        """Latencies: of what was completed in the window, or, in an open loop, due in it."""
        if self._load.spec.rate is None:
            inside = self._load.samples[self.first : self._last[0]]
            if self._load.clock_error_ns is not None:
                inside, self.untimed = timed_well(inside, self._load.clock_error_ns)
            return inside
        given_up = perf_counter_ns()
        return array("Q", chain(self._due(self._load.samples), map(given_up.__sub__, self._missed)))

    def pace(self) -> Pace | None:
        load = self._load
        if load.spec.rate is None:
            return None
        lateness = sorted(load.lateness[self._before[0] : self._last[1]])
        return Pace(
            rate=load.spec.rate,
            offered=self.offered,
            sends=len(lateness),
            late=len(lateness) - bisect_right(lateness, LATE_NS),
            lateness_p99_ns=lateness[len(lateness) * 99 // 100] if lateness else 0,
            missed=len(self._missed),
            service=encode(fold(array("Q", self._due(load.service)))),
        )

    def _due(self, values: array[int]) -> Iterator[int]:
        return compress(values, (self.began <= due < self.ended for due in self._load.dues))

    @property
    def _missed(self) -> list[int]:
        return [due for due in self._load.missed if self.began <= due < self.ended]


def drive(
    spec: Spec, told: Callable[[int], None] | None = None, agree: Agree | None = None
) -> Outcome:
    """Run one cell against a server that is ready; `told` hears of its operations.

    agree: asked once the connections are there, where several do this together: when to begin.
    """
    closed = spec.rate is None  # an open one is not held up by a slower machine, or says so
    with Probe(spec.server_core, spec.driver_core) if closed else Probe() as probe:
        return _drive(Load(spec, told), probe, agree)


def _drive(load: Load, probe: Probe, agree: Agree | None) -> Outcome:
    spec = load.spec
    module = import_module(f"compare.driver.{spec.workload.replace('-', '_')}")
    workload: Workload = module.Workload(load)
    closed = time_wait_of(spec)
    workload.connect()
    plan = agree(load.counts) if agree else None
    if plan:
        if plan.peers:
            workload.meet(plan.peers)
        wait_until(plan.begin_ns)
    warmed = perf_counter_ns()
    if spec.rate is None:
        workload.begin()
    idle = workload.idle()
    if spec.rate is not None and not idle:
        load.keep_to_schedule(workload, spec.rate, plan.begin_ns if plan else None)
    if plan:
        time.sleep(BREATH_S)
    settled = idle or warm_up(load, workload.tick, spec.warmup_s, plan.window_ns if plan else None)
    if idle and plan:
        wait_until(plan.window_ns)
    before = probe.take()
    if before is not None:  # what waited meanwhile does not belong into the window
        load.run(GRACE_S, workload.tick)
    server_meter = None
    if spec.server_pid is not None:
        with contextlib.suppress(ProcessLookupError):
            server_meter = Meter(spec.server_pid, spec.server_core)
    driver_meter = Meter(os.getpid(), spec.driver_core)

    window = _Window(load)
    load.run(TICK_NS / 1e9 if idle else spec.duration_s, workload.tick)
    window.end()
    if spec.rate is None:
        patience = REPLY_TIMEOUT_S
    else:  # what was due and waits is still sent
        patience = OPEN_TIMEOUT_S
        # Reading the meters takes a moment, which must not be in the last latencies.
        load.run(GRACE_S, workload.tick, done=lambda: not workload.unanswered())
    driver = driver_meter.window()
    metered = len(load.samples) - window.first
    server = None
    with contextlib.suppress(ProcessLookupError):  # it died; whoever started it will know how
        server = server_meter.window() if server_meter else None
    after = probe.take()
    sizes = sizes_of(spec, closed)  # now, with all its threads
    picture = None
    if spec.rate is None:
        if spec.trace and (usual := window.samples()):
            picture = trace(load, workload, sum(usual) / len(usual))
        load.sending = False
    load.run(patience, workload.tick, done=lambda: not workload.unanswered())
    workload.finish()
    samples = window.samples()
    return Outcome(
        began_ns=window.began,
        late_ns=warmed - plan.begin_ns if plan else 0,
        window_ns=window.ended - window.began,
        warmup_ns=window.began - warmed,
        settled=settled,
        operations=window.operations,
        metered=metered,
        pace=window.pace(),
        latency=encode(fold(samples)),
        latency_sum_ns=sum(samples),
        latency_max_ns=max(samples, default=0),
        connect=encode(fold(load.connect_samples)),
        skew=encode(fold(load.skews)),
        counts=load.counts,
        errors={name: count for name, count in load.errors.items() if count},
        details=load.details,
        server=server,
        driver=driver,
        sizes=sizes,
        peak_descriptors=load.peak_descriptors,
        trace=picture,
        work=slower(before, after),
        untimed=window.untimed,
        room=load.room_log,
    )
