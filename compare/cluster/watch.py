"""What a server uses while several drivers have it in their window."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable
from time import perf_counter_ns

import msgspec

from compare.contract.outcome import Sizes, Usage
from compare.contract.spec import Target
from compare.driver.drive import wait_until
from compare.driver.meter import Meter, TimeWait, sizes_of
from compare.host import process

LOOK_NS = 50_000_000  # between looks at the server's descriptors


class Served(msgspec.Struct, frozen=True, kw_only=True):
    """What it used within the window, and how large it was then; None if it died."""

    peak_descriptors: int
    usage: Usage | None
    sizes: Sizes | None


def watch(
    target: Target,
    workload: str,
    closed: TimeWait,
    window_ns: int,
    duration_s: float,
    nap: Callable[[float], object],
) -> Served | None:
    """From one instant on; `nap` waits for so many seconds, or raises. None where it died."""
    wait_until(window_ns)
    try:
        pid = target.pid
        assert pid is not None
        meter = Meter(pid)
        began, before = perf_counter_ns(), meter.begin()
        end, peak = window_ns + int(duration_s * 1e9), 0
        while (left := end - perf_counter_ns()) > LOOK_NS:
            peak = max(peak, process.count_sockets(pid))
            nap(min(LOOK_NS, left - LOOK_NS) / 1e9)
        wait_until(end)
        used = meter.usage(perf_counter_ns() - began, meter.end(settled=False) - before)
        sizes = sizes_of(target, workload, closed)
        if sizes and not ipaddress.ip_address(target.host).is_loopback:
            # What clients keep, they keep on hosts of their own.
            sizes = msgspec.structs.replace(sizes, client_time_wait=None)
        return Served(
            peak_descriptors=max(peak, process.count_sockets(pid)),
            usage=used,
            sizes=sizes,
        )
    except ProcessLookupError:  # whoever looks next will know how
        return None
