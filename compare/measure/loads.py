"""The loads that a run is asked for: every combination of what has several values."""

from __future__ import annotations

from typing import Any

import msgspec

from compare.contract.spec import Handshake
from compare.models.matrix import WORKLOADS
from compare.results.records import Load, Settings, Slow


def loads_of(settings: Settings) -> list[Load]:
    """All that is asked for, fewer idle connections before more, and closed loops first."""
    closed = [
        Load(
            workload=workload,
            connections=connections,
            size=size,
            idle=idle,
            work_us=work_us,
            wait_us=wait_us,
            slow_share=slow.share,
            slow_us=slow.us,
            cores=cores,
            tls=tls,
        )
        for workload in settings.workloads
        for cores in settings.rungs or [0]
        for connections in settings.connections
        for size in settings.sizes or [WORKLOADS[workload].size]
        for idle in sorted(settings.idle)
        for work_us in settings.works_us or [0.0]
        for wait_us in settings.waits_us or [0.0]
        for slow in settings.slows or [Slow(0.0, 0.0)]
        for tls in dict.fromkeys(_handshake(workload, each) for each in settings.tls)
    ]
    paced: list[dict[str, Any]] = [{"rate": each} for each in settings.rates]
    paced += [{"share": each} for each in settings.shares]
    paced += [{}] if settings.slo_us is not None else []
    return [
        *([] if settings.rates else closed),
        *(msgspec.structs.replace(load, loop="open", **how) for load in closed for how in paced),
    ]


def _handshake(workload: str, asked: Handshake) -> Handshake:
    """Connections that stay open have one handshake, and no session before it."""
    return "full" if asked == "resumed" and workload == "tcp-long" else asked
