"""What the driver saw: its only output."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from compare.contract.counts import Counts
from compare.contract.histogram import encode, merge
from compare.contract.loss import Loss
from compare.contract.room_log import RoomLog
from compare.contract.trace import Trace

LATE_NS = 100_000  # of a message: less than any latency here that is worth telling from another
UNSURE = 0.1  # of the median latency: how wrong two clocks may be


class Slice(msgspec.Struct, frozen=True, array_like=True):
    """One turn of the driver to one server. Times in ns.

    window_ns: of the turn, what was measured: after its first moments, and before what was under
        way at the end came home. operations: completed in it. driver_cpu_ns: used in it by the
        driver; driver_wait_ns: for which it waited while something else had its core.
    turn_ns, turn_operations, cpu_ns: of the whole turn, and the server's CPU time for it; None
        where the server is somebody else's to look at.
    """

    window_ns: Annotated[int, msgspec.Meta(gt=0)]
    operations: Annotated[int, msgspec.Meta(ge=0)]
    driver_cpu_ns: int
    driver_wait_ns: int
    turn_ns: int
    turn_operations: int
    cpu_ns: int | None


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a server, all its processes together, used.

    elapsed_ns, cpu_ns, throttled: in its turns; the last is the share of them for which its control
    group, or one around it, was held back by a CPU quota.
    The others from the begin of its first turn to the end of its last, with the time between them,
    in which it is asked for nothing: to read them takes long where it has many threads.
    user_share: of its CPU time, to the clock ticks that it took. wait_ns: that its threads were
    ready to run, and something had the CPU. switches: context switches of the threads that still
    lived; preemptions: those of them that took the CPU from a thread which had not finished.
    """

    elapsed_ns: int
    cpu_ns: int
    user_share: float | None
    wait_ns: int
    switches: int
    preemptions: int
    throttled: float = 0.0


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """How large the server was with all connections open, all its processes together.

    pss_kb: its memory, what they share counted once. buffered_kb: what the kernel held in the
    buffers of its connections. time_wait, client_time_wait: sockets in TIME_WAIT that short
    connections left, on its side and on ours; time_wait_overflow: closes that found no more room
    for one (TCPTimeWaitOverflow, of the whole network namespace).
    dropped: datagrams that found its receive buffer full. receive_buffer: of a socket of datagrams,
        bytes with what the kernel needs beside them (SO_RCVBUF, socket(7)); of several the least.
    """

    rss_kb: int
    pss_kb: int
    threads: int
    descriptors: int
    buffered_kb: int | None = None
    time_wait: int | None = None
    client_time_wait: int | None = None
    time_wait_overflow: int = 0
    dropped: int | None = None
    receive_buffer: int | None = None


class Pace(msgspec.Struct, frozen=True, kw_only=True):
    """What an open loop has beside: of the operations due in the windows.

    service: their latencies from when they were sent, an encoded histogram of ns.
    sends, late: messages, and those of them sent more than LATE_NS after they were due and
        their connection was free. lateness_p99_ns: how late at the most, but for 1 %.
    missed: never answered. They are in the latencies with the time until they were given up,
        which is less than the truth; datagrams that were lost are not.
    loss: of datagrams, those that were not answered, the missed among them.
    """

    rate: float
    offered: int
    sends: int
    late: int
    lateness_p99_ns: int
    missed: int
    service: str
    loss: Loss | None = None


class Handshakes(msgspec.Struct, frozen=True, kw_only=True):
    """Of TLS, that did well: how many were full, and how many went on with a session.

    version, cipher: what was agreed on. library: the driver's. latency: from the client's first
    word on, an encoded histogram of ns.
    """

    version: str
    cipher: str
    library: str
    full: int
    resumed: int
    latency: str


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the driver saw of one server. Latencies are encoded histograms of ns.

    slices: its turns. operations, window_ns and latency: of their windows. counts and errors: of
        all there was, so that a failure outside the windows does not vanish either.
    began_ns: when the first window began, by the monotonic clock. late_ns: how long after the
        agreed instant the load began, of several drivers.
    settled: whether the rate was stationary after the warm-up.
    server, sizes: None where the server is somebody else's to look at.
    untimed: operations that are not in the latencies, since the clocks that they needed are not
        known well enough. room: of one of several drivers of a chat. sent: datagrams, of all there
        was; of other workloads 0.
    handshakes: of TLS, all there were; None over plain TCP.
    gave_up: why it had no more turns, where something under way never came home.
    In an open loop `operations` are those completed in the windows, and the latencies those of
    the operations that were due in them, whenever they were completed; see `Pace`.
    """

    slices: list[Slice]
    began_ns: int
    late_ns: int
    window_ns: int
    warmup_ns: int
    settled: bool
    operations: int
    pace: Pace | None
    latency: str
    latency_sum_ns: int
    latency_max_ns: int
    connect: str
    skew: str
    counts: Counts
    errors: dict[str, int]
    details: list[str]
    driver_cpu_ns: int
    driver_wait_ns: int
    server: Usage | None
    sizes: Sizes | None
    peak_descriptors: int
    gave_up: str | None = None
    trace: Trace | None = None
    handshakes: Handshakes | None = None
    untimed: int = 0
    sent: int = 0
    room: RoomLog | None = None


def all_handshakes(outcomes: Sequence[Outcome]) -> Handshakes | None:
    """Of all; None over plain TCP, and where none did well."""
    done = [each.handshakes for each in outcomes if each.handshakes and each.handshakes.version]
    if not done:
        return None
    return msgspec.structs.replace(
        done[0],
        full=sum(each.full for each in done),
        resumed=sum(each.resumed for each in done),
        latency=encode(merge([each.latency for each in done])),
    )
