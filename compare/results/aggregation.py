"""What the driver saw, as the records that are kept: of one round, and of all rounds of a cell."""

from __future__ import annotations

from collections import Counter

import msgspec

from compare.driver.histogram import encode, merge
from compare.driver.outcome import Outcome, Window
from compare.results.percentiles import percentiles
from compare.results.records import Cell, Driver, Key, Pace, Round, Server, Shard, Verdict
from compare.results.statistics import centre


def round_of(outcome: Outcome, baseline_descriptors: int, messages: list[str]) -> Round:
    """What one outcome of the driver says."""
    seconds = outcome.window_ns / 1e9
    rate = outcome.operations / seconds
    closed = outcome.pace is None and outcome.operations
    return Round(
        ops_per_s=rate,
        operations=outcome.operations,
        window_s=seconds,
        warmup_s=outcome.warmup_ns / 1e9,
        settled=outcome.settled,
        pace=_pace([outcome]),
        latency_us=percentiles([outcome.latency], outcome.latency_max_ns),
        littles_law=outcome.latency_sum_ns / outcome.window_ns if closed else None,
        counts=outcome.counts,
        errors=outcome.errors,
        server=_server(outcome, baseline_descriptors),
        driver=Driver(cpu_fraction=outcome.driver.cpu_ns / outcome.driver.elapsed_ns),
        server_wait_fraction=_wait_fraction(outcome.server, stood_still=not outcome.operations)
        if outcome.server
        else 0.0,
        driver_wait_fraction=_wait_fraction(outcome.driver),
        work=outcome.work,
        untimed=outcome.untimed,
        stolen_fraction=max(
            each.stolen_ns / each.elapsed_ns for each in (outcome.server, outcome.driver) if each
        ),
        messages=messages,
    )


def with_shards(finished: Round, shards: list[Shard]) -> Round:
    """The same, as several drivers did it together; none is one alone."""
    if not shards:
        return finished
    late = [each.late_us for each in shards]
    return msgspec.structs.replace(finished, shards=shards, start_skew_us=max(late) - min(late))


def _pace(outcomes: list[Outcome]) -> Pace | None:
    """Of the same open loop, one or several rounds of it."""
    paces = [each.pace for each in outcomes if each.pace is not None]
    if not paces:
        return None
    sends = sum(each.sends for each in paces)
    return Pace(
        rate=paces[0].rate,
        offered=sum(each.offered for each in paces)
        / sum(each.window_ns for each in outcomes)
        * 1e9,
        late_fraction=sum(each.late for each in paces) / sends if sends else 0.0,
        lateness_p99_us=max(each.lateness_p99_ns for each in paces) / 1000,
        missed=sum(each.missed for each in paces),
        service_us=percentiles([each.service for each in paces]),
    )


def _server(outcome: Outcome, baseline_descriptors: int) -> Server:
    used, sizes, operations = outcome.server, outcome.sizes, outcome.metered
    if used is None or sizes is None:
        return Server()
    busy = used.user_ns + used.system_ns
    each_us = used.cpu_ns / 1000 / operations if operations else None
    user = used.user_ns / busy if busy else None
    known = each_us is not None and user is not None
    return Server(
        cpu_us_per_op=each_us,
        user_us_per_op=each_us * user if known else None,  # type: ignore[operator]
        system_us_per_op=each_us * (1 - user) if known else None,  # type: ignore[operator]
        cpu_fraction=used.cpu_ns / used.elapsed_ns,
        user_fraction=user,
        # Those of processes that have ended are not known, and theirs may be nearly all.
        switches_per_op=used.switches / operations if operations and used.switches >= 0 else None,
        preemptions=used.preemptions if used.preemptions >= 0 else None,
        rss_kb=sizes.process.rss_kb,
        pss_kb=sizes.pss_kb,
        buffered_kb=sizes.buffered_kb,
        threads=sizes.process.threads,
        peak_connections=max(0, outcome.peak_descriptors - baseline_descriptors),
        time_wait=sizes.time_wait.server if sizes.time_wait else None,
        client_time_wait=sizes.time_wait.client if sizes.time_wait else None,
        dropped=sizes.dropped,
    )


def _wait_fraction(used: Window, *, stood_still: bool = False) -> float:
    """How long it waited for a CPU that something else had, of the window.

    Threads and processes of one server also wait for each other, which is no noise; so what the
    core did for others is an upper bound, as far as it is known.
    """
    wait = max(0, used.wait_ns)  # less what had waited and has ended
    if stood_still:  # the kernel adds up a wait when it ends, which this one had not yet
        wait = max(wait, used.others_ns or 0)
    elif used.others_ns is not None:
        wait = min(wait, used.others_ns)
    return min(1.0, wait / used.elapsed_ns)


def cell_of(
    key: Key,
    outcomes: list[Outcome],
    rounds: list[Round],
    verdict: Verdict,
    reasons: list[str],
    discarded: int = 0,
) -> Cell:
    """All rounds of a cell as one record."""
    bare = Cell(
        model=key.model,
        workload=key.workload,
        connections=key.connections,
        loop=key.loop,
        verdict=verdict,
        reasons=reasons,
        discarded=discarded,
    )
    if not rounds:
        return bare
    rate = centre([each.ops_per_s for each in rounds])
    tails = [each.latency_us.p99 for each in rounds]
    errors: Counter[str] = Counter()
    for each in rounds:
        errors.update(each.errors)
    worst = max(rounds, key=lambda each: each.counts.attempted - each.counts.served)
    return msgspec.structs.replace(
        bare,
        ops_per_s=rate.value,
        ops_per_s_ci95=rate.interval,
        confidence=rate.confidence,
        pace=_pace(outcomes),
        trace=next((each.trace for each in outcomes if each.trace), None),
        latency_us=percentiles(
            [each.latency for each in outcomes], max(each.latency_max_ns for each in outcomes)
        ),
        p99_us_ci95=centre([tail for tail in tails if tail is not None]).interval
        if all(tail is not None for tail in tails)
        else None,
        connect_us=percentiles([each.connect for each in outcomes]),
        skew_us=percentiles([each.skew for each in outcomes]) if key.workload == "chat" else None,
        counts=worst.counts,
        errors=dict(errors),
        server=_servers([each.server for each in rounds], [each.metered for each in outcomes]),
        driver=Driver(cpu_fraction=_mean([each.driver.cpu_fraction for each in rounds])),
        rounds=rounds,
        latency_hdr=encode(merge([each.latency for each in outcomes])),
    )


def _servers(rounds: list[Server], operations: list[int]) -> Server:
    """Of several rounds: costs weighted by their operations, sizes and counts at their most."""
    merged: dict[str, float | int | None] = {}
    for name in Server.__struct_fields__:
        pairs = [
            (value, weight)
            for each, weight in zip(rounds, operations, strict=True)
            if (value := getattr(each, name)) is not None
        ]
        weights = sum(weight for _, weight in pairs)
        if not pairs:
            merged[name] = None
        elif name.endswith("_per_op"):
            total = sum(value * weight for value, weight in pairs)
            merged[name] = total / weights if weights else None
        elif name.endswith("_fraction"):
            merged[name] = _mean([value for value, _ in pairs])
        else:
            merged[name] = max(value for value, _ in pairs)
    return Server(**merged)  # type: ignore[arg-type]


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
