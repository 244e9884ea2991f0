"""What the driver saw: its only output."""

from __future__ import annotations

import msgspec

from compare.driver.counts import Counts
from compare.driver.probe import Work
from compare.driver.room_log import RoomLog
from compare.driver.trace import Trace
from compare.host import process, sock_diag


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """What one process, the server or the driver, used within the measured window, in ns.

    others_ns: time that its core, where it has one, was busy with something else; stolen_ns:
        that the hypervisor gave to another machine.
    """

    elapsed_ns: int
    cpu_ns: int
    user_ns: int
    system_ns: int
    wait_ns: int
    others_ns: int | None
    stolen_ns: int
    switches: int
    preemptions: int


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How large the server was with all connections open.

    pss_kb: its memory. buffered_kb: what the kernel held in the buffers of its connections.
    time_wait: sockets in TIME_WAIT that short connections left, on its side and on ours.
    dropped: datagrams that found its receive buffer full.
    """

    process: process.Size
    pss_kb: int
    buffered_kb: int | None
    time_wait: sock_diag.Ends | None
    dropped: int | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """What an open loop has beside: of the operations due in the window.

    service: their latencies from when they were sent, an encoded histogram of ns.
    sends, late: messages, and those of them sent more than LATE_NS after they were due and
        their connection was free. lateness_p99_ns: how late at the most, but for 1 %.
    missed: never answered. They are in the latencies with the time until they were given up,
        which is less than the truth; datagrams that were lost are not.
    """

    rate: float
    offered: int
    sends: int
    late: int
    lateness_p99_ns: int
    missed: int
    service: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver saw: its only output. Latencies are encoded histograms of ns.

    operations and latency: of the window. counts and errors: of the whole cell, so that a
    failure outside the window does not vanish either.
    metered: operations completed while the usage in `server` and `driver` was counted.
    began_ns: when the window began, by the monotonic clock. late_ns: how long after the agreed
        instant the load began, of several drivers.
    settled: whether the rate was stationary after the warm-up.
    server, sizes: None where the server is somebody else's to look at.
    work: the slower of two probes of the machine, before and after the window of a closed loop.
    untimed: operations that are not in the latencies, since the clocks that they needed are not
        known well enough. room: of one of several drivers of a chat.
    In an open loop `operations` are those completed in the window, and the latencies those of
    the operations that were due in it, whenever they were completed; see `Pace`.
    """

    began_ns: int
    late_ns: int = 0
    window_ns: int
    warmup_ns: int
    settled: bool
    operations: int
    metered: int
    pace: Pace | None
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
    sizes: Sizes | None
    peak_descriptors: int
    trace: Trace | None = None
    work: Work | None = None
    untimed: int = 0
    room: RoomLog | None = None
