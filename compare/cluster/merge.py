"""What the shards of one cell saw, as one outcome: histograms are added, so nothing is lost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from compare.driver.counts import added
from compare.driver.histogram import encode, merge
from compare.driver.outcome import Outcome, Pace, Sizes, Window

DETAILS = 3


Core = tuple[str, int]  # of which host, and which


def merged(
    shards: Sequence[Outcome],
    cores: Sequence[Core | None],
    server: Window | None,
    sizes: Sizes | None,
    peak_descriptors: int,
) -> Outcome:
    """One outcome; its rate is the sum of theirs, and its driver the core most at its limit.

    From the first delivery of a line to the last is known within a host only, so that there is no
    skew of several. cores: where each shard ran, None where anywhere.
    """
    operations = sum(each.operations for each in shards)
    rate = sum(each.operations / each.window_ns for each in shards)
    errors: Counter[str] = Counter()
    for each in shards:
        errors.update(each.errors)
    return Outcome(
        began_ns=shards[0].began_ns,
        late_ns=max(each.late_ns for each in shards),
        window_ns=round(operations / rate) if rate else max(each.window_ns for each in shards),
        warmup_ns=max(each.warmup_ns for each in shards),
        settled=all(each.settled for each in shards),
        operations=operations,
        metered=operations,
        pace=_pace([each.pace for each in shards if each.pace]),
        latency=encode(merge([each.latency for each in shards])),
        latency_sum_ns=sum(each.latency_sum_ns for each in shards),
        latency_max_ns=max(each.latency_max_ns for each in shards),
        connect=encode(merge([each.connect for each in shards])),
        skew=encode(merge([each.skew for each in shards[: len(shards) == 1]])),
        counts=added([each.counts for each in shards]),
        errors=dict(errors),
        details=[detail for each in shards for detail in each.details][:DETAILS],
        server=server,
        driver=_busiest(_by_core([each.driver for each in shards], cores)),
        sizes=sizes,
        peak_descriptors=peak_descriptors,
        untimed=sum(each.untimed for each in shards),
    )


def _by_core(drivers: Sequence[Window], cores: Sequence[Core | None]) -> list[Window]:
    """Those that share a core as one: that one waits while another works is no noise."""
    together: dict[object, list[Window]] = {}
    for number, (driver, core) in enumerate(zip(drivers, cores, strict=True)):
        together.setdefault(core or number, []).append(driver)
    found = []
    for first, *others in together.values():
        theirs = sum(each.cpu_ns for each in others)
        found.append(
            msgspec.structs.replace(
                first,
                cpu_ns=first.cpu_ns + theirs,
                others_ns=first.others_ns and max(0, first.others_ns - theirs),
            )
        )
    return found


def _busiest(drivers: Sequence[Window]) -> Window:
    """The one most at its limit, which waited as long as the one that waited longest."""
    busiest = max(drivers, key=lambda each: each.cpu_ns / each.elapsed_ns)

    def most(name: str) -> int:
        share: float = max(getattr(each, name) / each.elapsed_ns for each in drivers)
        return round(share * busiest.elapsed_ns)

    return msgspec.structs.replace(
        busiest,
        wait_ns=most("wait_ns"),
        stolen_ns=most("stolen_ns"),
        others_ns=most("others_ns")
        if all(each.others_ns is not None for each in drivers)
        else None,
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
    )
