"""What the driver is to do: its only input."""

from __future__ import annotations

from typing import Literal

import msgspec

# What the driver may make of the slices that it is asked for.
FEWEST = 3  # slices of a round
LONGEST_S = 0.5  # a slice, where messages take long, and what is left out before it
HOME_S = 5.0  # that what is under way may take to come home

Arrivals = Literal["fixed", "poisson"]
Closer = Literal["client", "server", "reset"]
Handshake = Literal["none", "full", "resumed"]  # of TLS; none is plain TCP


class Target(msgspec.Struct, frozen=True):
    """A server that is ready.

    rate: operations due in a second, all its connections together; None is a closed loop.
    pid: None where the server is somebody else's to look at, as on a cluster.
    """

    host: str
    port: int
    pid: int | None = None
    rate: float | None = None


class TLS(msgspec.Struct, frozen=True):
    """How the driver speaks it. certificate: the one that is right, PEM.

    resumed: a short connection goes on with the session of the one before (RFC 8446, 2.2; of TLS
    1.2, RFC 5077), where the server lets it; else each has a full handshake.
    """

    certificate: str
    resumed: bool = False


class Shard(msgspec.Struct, frozen=True):
    """Driver `number`, from 0, `of` so many."""

    number: int
    of: int


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """A load for several servers, to which the driver turns in slices. Times in s, sizes in bytes.

    connections: to each server. warmup_s: at most; with several drivers exactly.
    slices: turns of each server, in shuffled order, whose windows last `slice_s`; where messages
        take long, the driver makes them longer, and has fewer.
    each_s: that a server takes for a message on purpose, while others may wait for it.
    close: who ends a short connection, and whether by a reset.
    trace: whether to go on for a moment after all turns, for a picture of it.
    shard: which of several drivers this is, that put the load on one server together.
    tls: None is plain TCP.
    pinned: whether the driver has a core of its own, so that it need not sleep.
    """

    workload: str
    targets: list[Target]
    connections: int
    size: int
    warmup_s: float
    slices: int = 1
    slice_s: float
    seed: int
    arrivals: Arrivals = "fixed"
    each_s: float = 0.0
    close: Closer = "client"
    trace: bool = False
    shard: Shard | None = None
    tls: TLS | None = None
    pinned: bool = False
