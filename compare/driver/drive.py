"""Connect, warm up, measure, and wait for what is still on its way."""

from __future__ import annotations

import os
from importlib import import_module
from time import perf_counter_ns

import msgspec

from compare import process
from compare.driver.load import REPLY_TIMEOUT_S, TICK_NS, Counts, Load, Spec, Workload
from compare.histogram import encode, fold


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What one process, the server or the driver, used within the measured window, in ns.

    others_ns: time that its core, where it has one, was busy with something else.
    """

    cpu_ns: int
    user_ns: int
    system_ns: int
    wait_ns: int
    others_ns: int | None
    switches: int


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver saw: its only output. Latencies are encoded histograms of ns.

    operations and latency: of the window. counts and errors: of the whole cell, so that a
    failure outside the window does not vanish either.
    """

    window_ns: int
    operations: int
    latency: str
    latency_sum_ns: int
    latency_max_ns: int
    connect: str
    skew: str
    counts: Counts
    errors: dict[str, int]
    details: list[str]
    server: Window | None
    driver: Window
    server_size: process.Size | None
    peak_descriptors: int


class _Meter:
    """Reads what a process has used, at both ends of the window."""

    def __init__(self, pid: int, core: int | None) -> None:
        self._pid = pid
        self._core = core
        self._before = self._read()

    def _read(self) -> tuple[process.Usage, int]:
        busy = process.core_busy_ns(self._core) if self._core is not None else 0
        return process.usage(self._pid), busy

    def window(self) -> Window:
        (before, busy_before), (after, busy_after) = self._before, self._read()
        used = process.Usage(*(b - a for a, b in zip(before, after, strict=True)))
        others = max(0, busy_after - busy_before - used.cpu_ns)
        return Window(
            cpu_ns=used.cpu_ns,
            user_ns=used.user_ns,
            system_ns=used.system_ns,
            wait_ns=used.wait_ns,
            others_ns=None if self._core is None else others,
            switches=used.switches,
        )


def drive(spec: Spec) -> Outcome:
    """Run one cell against a server that is ready."""
    load = Load(spec)
    module = import_module(f"compare.driver.{spec.workload.replace('-', '_')}")
    workload: Workload = module.Workload(load)
    server = server_size = None
    workload.connect()
    workload.begin()
    idle = workload.idle()
    if not idle:
        load.run(spec.warmup_s, workload.tick)
    try:
        server_meter = _Meter(spec.server_pid, spec.server_core)
    except ProcessLookupError:
        server_meter = None
    driver_meter = _Meter(os.getpid(), spec.driver_core)

    first, began = len(load.samples), perf_counter_ns()
    load.run(TICK_NS / 1e9 if idle else spec.duration_s, workload.tick)
    last, ended = len(load.samples), perf_counter_ns()

    driver = driver_meter.window()
    try:
        server = server_meter.window() if server_meter else None
        server_size = process.size(spec.server_pid)
    except ProcessLookupError:
        server = server_size = None  # it died; whoever started it will know how
    load.sending = False
    load.run(REPLY_TIMEOUT_S, workload.tick, done=lambda: not workload.unanswered())
    workload.finish()
    samples = load.samples[first:last]
    return Outcome(
        window_ns=ended - began,
        operations=len(samples),
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
        server_size=server_size,
        peak_descriptors=load.peak_descriptors,
    )
