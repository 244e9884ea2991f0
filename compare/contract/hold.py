"""Connections that are to stand, and what became of them."""

from __future__ import annotations

import msgspec

from compare.contract.counts import Counts
from compare.contract.spec import TLS

LATE_NS = 10_000_000  # of a connection that was due


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """What to hold. `sources`: addresses to connect from in turn; none is the usual one.

    host, port: where; whoever passes the order on may know it better.

    tls: None is plain TCP.
    rate: connections a second, due on a schedule; None is as fast as they are answered.
    """

    host: str = ""
    port: int = 0
    connections: int
    sources: list[str] = []
    size: int
    seed: int
    rate: float | None
    tls: TLS | None = None


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What became of them. Latencies are encoded histograms of ns.

    first_reply: from the begin of a connection, or from when it was due, to its verified echo.
    late: connections begun more than LATE_NS after they were due. stopped: why not all were
    begun, in words of errno(3).
    """

    counts: Counts
    errors: dict[str, int]
    details: list[str]
    connect: str
    first_reply: str
    late: int
    took_ns: int
    stopped: str | None
