"""Latencies as a table shows them."""

from __future__ import annotations

from typing import Annotated

import msgspec

from compare.contract.histogram import merge, percentile_us

_Us = Annotated[float, msgspec.Meta(ge=0, lt=1e18)]


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Latencies in us; None where fewer than ten samples lie beyond a percentile."""

    p50: _Us | None = None
    p90: _Us | None = None
    p99: _Us | None = None
    p99_9: _Us | None = None
    max: _Us | None = None


def percentiles(encoded: list[str], maximum_ns: int = 0) -> Percentiles:
    """Of several encoded histograms together."""
    histogram = merge(encoded)
    return Percentiles(
        p50=percentile_us(histogram, 50),
        p90=percentile_us(histogram, 90),
        p99=percentile_us(histogram, 99),
        p99_9=percentile_us(histogram, 99.9),
        max=maximum_ns / 1000 if maximum_ns else None,
    )
