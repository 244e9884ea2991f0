"""What the shards of one cell saw, as one outcome: histograms are added, so nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from compare.contract.counts import added
from compare.contract.histogram import encode, merge
from compare.contract.loss import total
from compare.contract.outcome import Outcome, Pace, Sizes, Slice, Usage, all_handshakes

DETAILS = 3


Core = tuple[str, int]  # of which host, and which


def merged(
    shards: Sequence[Outcome],
    cores: Sequence[Core | None],
    server: Usage | None,
    sizes: Sizes | None,
    peak_descriptors: int,
) -> Outcome:
    """One outcome; its rate is the sum of theirs, and its driver the core most at its limit.

    From the first delivery of a line to the last is known within a host only, so that there is no
    skew of several. cores: where each shard ran, None where anywhere.
    """
    operations = sum(each.operations for each in shards)
    rate = sum(each.operations / each.window_ns for each in shards)
    window_ns = round(operations / rate) if rate else max(each.window_ns for each in shards)
    driver_cpu_ns = round(_busiest(shards, cores) * window_ns)
    driver_wait_ns = _waited_ns(shards, cores)
    errors: Counter[str] = Counter()
    for each in shards:
        errors.update(each.errors)
    together = Slice(
        window_ns=window_ns,
        operations=operations,
        driver_cpu_ns=driver_cpu_ns,
        driver_wait_ns=driver_wait_ns,
        turn_ns=window_ns,
        turn_operations=operations,
        cpu_ns=server.cpu_ns if server else None,
    )
    return Outcome(
        slices=[together],
        began_ns=shards[0].began_ns,
        late_ns=max(each.late_ns for each in shards),
        window_ns=window_ns,
        warmup_ns=max(each.warmup_ns for each in shards),
        settled=all(each.settled for each in shards),
        operations=operations,
        pace=_pace([each.pace for each in shards if each.pace]),
        latency=encode(merge([each.latency for each in shards])),
        latency_sum_ns=sum(each.latency_sum_ns for each in shards),
        latency_max_ns=max(each.latency_max_ns for each in shards),
        connect=encode(merge([each.connect for each in shards])),
        skew=encode(merge([each.skew for each in shards[: len(shards) == 1]])),
        counts=added([each.counts for each in shards]),
        errors=dict(errors),
        details=[detail for each in shards for detail in each.details][:DETAILS],
        driver_cpu_ns=driver_cpu_ns,
        driver_wait_ns=driver_wait_ns,
        server=server,
        sizes=sizes,
        peak_descriptors=peak_descriptors,
        handshakes=all_handshakes(shards),
        gave_up=next((each.gave_up for each in shards if each.gave_up), None),
        untimed=sum(each.untimed for each in shards),
        sent=sum(each.sent for each in shards),
    )


def _busiest(shards: Sequence[Outcome], cores: Sequence[Core | None]) -> float:
    """How busy the driver most at its limit was; those that share a core are one."""
    together: dict[object, float] = {}
    for number, (shard, core) in enumerate(zip(shards, cores, strict=True)):
        share = shard.driver_cpu_ns / shard.window_ns
        together[core or number] = together.get(core or number, 0.0) + share
    return min(1.0, max(together.values()))


def _waited_ns(shards: Sequence[Outcome], cores: Sequence[Core | None]) -> int:
    """The longest that one waited for somebody else: for another on its core is no noise."""
    together: Counter[object] = Counter()
    for shard, core in zip(shards, cores, strict=True):
        together[core] += shard.driver_cpu_ns
    return max(
        max(0, shard.driver_wait_ns - (together[core] - shard.driver_cpu_ns if core else 0))
        for shard, core in zip(shards, cores, strict=True)
    )


def _pace(paces: Sequence[Pace]) -> Pace | None:
    if not paces:
        return None
    return Pace(
        rate=sum(each.rate for each in paces),
        offered=sum(each.offered for each in paces),
        sends=sum(each.sends for each in paces),
        late=sum(each.late for each in paces),
        lateness_p99_ns=max(each.lateness_p99_ns for each in paces),
        missed=sum(each.missed for each in paces),
        service=encode(merge([each.service for each in paces])),
        loss=total(each.loss for each in paces),
    )
