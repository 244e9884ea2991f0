"""What the driver saw, as the records that are kept: of one round, and of all rounds of a cell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from compare.contract.histogram import encode, merge
from compare.contract.loss import total
from compare.contract.outcome import Outcome, Usage, all_handshakes
from compare.results.percentiles import percentiles
from compare.results.records import (
    Cell,
    Driver,
    Handshakes,
    Idle,
    Key,
    Pace,
    Round,
    Server,
    Shard,
    Verdict,
)
from compare.results.statistics import mean_of


def round_of(
    outcome: Outcome,
    baseline_descriptors: int,
    messages: list[str],
    number: int,
    held: Idle | None = None,
) -> Round:
    """What one outcome of the driver says."""
    seconds = outcome.window_ns / 1e9
    closed = outcome.pace is None and outcome.operations
    return Round(
        number=number,
        ops_per_s=outcome.operations / seconds if seconds else 0.0,
        operations=outcome.operations,
        window_s=seconds,
        slices=outcome.slices,
        warmup_s=outcome.warmup_ns / 1e9,
        settled=outcome.settled,
        pace=_pace([outcome]),
        latency_us=percentiles([outcome.latency], outcome.latency_max_ns),
        littles_law=outcome.latency_sum_ns / outcome.window_ns if closed else None,
        counts=outcome.counts,
        errors=outcome.errors,
        server=_server(outcome, baseline_descriptors),
        driver=Driver(
            cpu_fraction=outcome.driver_cpu_ns / outcome.window_ns,
            wait_fraction=outcome.driver_wait_ns / outcome.window_ns,
        )
        if outcome.window_ns
        else Driver(),
        handshakes=_handshakes([outcome]),
        untimed=outcome.untimed,
        sent=outcome.sent,
        messages=messages,
        held=held,
        gave_up=outcome.gave_up,
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
        / max(1, sum(each.window_ns for each in outcomes))
        * 1e9,
        late_fraction=sum(each.late for each in paces) / sends if sends else 0.0,
        lateness_p99_us=max(each.lateness_p99_ns for each in paces) / 1000,
        missed=sum(each.missed for each in paces),
        service_us=percentiles([each.service for each in paces]),
        loss=total(each.loss for each in paces),
    )


def _handshakes(outcomes: list[Outcome]) -> Handshakes | None:
    """Of one or several rounds; None over plain TCP, and where none did well."""
    done = all_handshakes(outcomes)
    if done is None:
        return None
    return Handshakes(
        version=done.version,
        cipher=done.cipher,
        library=done.library,
        full=done.full,
        resumed=done.resumed,
        latency_us=percentiles([done.latency]),
    )


def _server(outcome: Outcome, baseline_descriptors: int) -> Server:
    used, sizes = outcome.server, outcome.sizes
    if used is None or sizes is None:
        return Server()
    operations = sum(each.turn_operations for each in outcome.slices)
    each_us = used.cpu_ns / 1000 / operations if operations else None
    user = used.user_share
    known = each_us is not None and user is not None
    return Server(
        cpu_us_per_op=each_us,
        user_us_per_op=each_us * user if known else None,  # type: ignore[operator]
        system_us_per_op=each_us * (1 - user) if known else None,  # type: ignore[operator]
        cpu_fraction=_busy(used),
        user_fraction=user,
        # Those of processes that have ended are not known, and theirs may be nearly all.
        switches_per_op=used.switches / operations if operations and used.switches >= 0 else None,
        preemptions=used.preemptions if used.preemptions >= 0 else None,
        throttled=used.throttled,
        rss_kb=sizes.rss_kb,
        pss_kb=sizes.pss_kb,
        buffered_kb=sizes.buffered_kb,
        threads=sizes.threads,
        peak_connections=max(0, outcome.peak_descriptors - baseline_descriptors),
        time_wait=sizes.time_wait,
        client_time_wait=sizes.client_time_wait,
        time_wait_overflow=sizes.time_wait_overflow,
        dropped=sizes.dropped,
        receive_buffer=sizes.receive_buffer,
    )


def _busy(used: Usage) -> float | None:
    """Of the time that it was asked for something: whether it could have done more.

    Time for which something else had its core counts as used: it would have been. Threads of one
    server wait for each other, too, which is the same.
    """
    if not used.elapsed_ns:
        return None
    return max(used.cpu_ns, min(used.elapsed_ns, used.cpu_ns + used.wait_ns)) / used.elapsed_ns


def cell_of(
    key: Key,
    outcomes: list[Outcome],
    rounds: list[Round],
    verdicts: list[Verdict],
    reasons: list[str],
    gave_way: Idle | None = None,
) -> Cell:
    """All rounds of a cell as one record; `gave_way`: of a server that was not measured for it."""
    bare = Cell(
        model=key.model,
        **msgspec.structs.asdict(key.load),
        verdict=verdicts[0],
        verdicts=verdicts,
        reasons=reasons,
        held=gave_way
        or min(
            (each.held for each in rounds if each.held),
            key=lambda held: held.counts.served,
            default=None,
        ),
    )
    if not rounds:
        return bare
    rate = mean_of([each.ops_per_s for each in rounds])
    costs = _known([each.server.cpu_us_per_op for each in rounds])
    tails = _known([each.latency_us.p99 for each in rounds])
    p99 = mean_of(tails) if tails and len(tails) == len(rounds) else None
    cost = mean_of(costs) if costs else None
    latency = percentiles(
        [each.latency for each in outcomes], max(each.latency_max_ns for each in outcomes)
    )
    server = _servers([each.server for each in rounds], [each.operations for each in rounds])
    if cost:
        server = msgspec.structs.replace(server, cpu_us_per_op=cost.value)
    errors: Counter[str] = Counter()
    for each in rounds:
        errors.update(each.errors)
    worst = max(rounds, key=lambda each: each.counts.attempted - each.counts.served)
    return msgspec.structs.replace(
        bare,
        ops_per_s=rate.value,
        ops_per_s_ci95=rate.interval,
        pace=_pace(outcomes),
        trace=next((each.trace for each in outcomes if each.trace), None),
        latency_us=latency,
        cpu_us_per_op_ci95=cost and cost.interval,
        p99_us_ci95=p99 and _holding(p99.interval, latency.p99),
        connect_us=percentiles([each.connect for each in outcomes]),
        skew_us=percentiles([each.skew for each in outcomes])
        if key.load.workload == "chat"
        else None,
        counts=worst.counts,
        errors=dict(errors),
        server=server,
        driver=Driver(
            cpu_fraction=_mean([each.driver.cpu_fraction for each in rounds]),
            wait_fraction=_mean([each.driver.wait_fraction for each in rounds]),
        ),
        rounds=rounds,
        handshakes=_handshakes(outcomes),
        latency_hdr=encode(merge([each.latency for each in outcomes])),
    )


def _holding(
    interval: tuple[float, float] | None, value: float | None
) -> tuple[float, float] | None:
    """So wide that it holds the value, too."""
    if interval is None or value is None:
        return interval
    return min(interval[0], value), max(interval[1], value)


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


def _known(values: Iterable[float | None]) -> list[float]:
    return [value for value in values if value is not None]


def _mean(values: list[float | None]) -> float | None:
    known = _known(values)
    return sum(known) / len(known) if known else None
