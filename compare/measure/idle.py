"""Idle connections: opened to a server before it is measured, each served once, and left to stand.

What gives way when there are too many is named: a limit, a queue, the server, or the driver.
"""

from __future__ import annotations

import msgspec

from compare.contract.hold import Held, Order
from compare.host import process
from compare.host.launch import Server
from compare.host.limits import SPARE_DESCRIPTORS, Limits, limits_here
from compare.host.machine import memory, tcp_ext
from compare.measure.holders import Holders
from compare.measure.testbed import Block, Say
from compare.models.model import WORKERS, Model
from compare.results.percentiles import percentiles
from compare.results.records import Idle, Load, Settings

SIZE = 100  # bytes of the one message of each
UNEVEN = 1.15  # how many more connections than the mean a worker may get
RESERVED = 200  # descriptors of a server for other things
LEAST_AVAILABLE = 0.05  # of the machine's memory
END_S = 0.5  # for one whose connections have ended to end, too
LATE = 0.05  # of the connections that were due


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """A server and its machine at one moment.

    anonymous_kb: the memory of all its processes that is not mapped from files, what they share
        once. slab_kb, available_kb: of the machine, proc_meminfo(5). overflows: times that the
        accept queue of any socket was full, since the machine has started. ended: how it did.
    """

    anonymous_kb: int
    size: process.Size
    processes: int
    slab_kb: int
    available_kb: int
    overflows: int
    limits: Limits
    ended: str | None


def look_at(server: Server, *, ends: bool = False) -> Seen:
    """What there is to see of a server on this machine, which perhaps `ends`."""
    used = memory()
    return Seen(
        anonymous_kb=process.pss_kb(server.pid, anonymous=True),
        size=process.size(server.pid),
        processes=len(process.tree(server.pid)),
        slab_kb=used["Slab"],
        available_kb=used["MemAvailable"],
        overflows=tcp_ext("ListenOverflows"),
        limits=limits_here(),
        ended=server.died(END_S if ends else 0.0),
    )


def most(limits: Limits) -> int:
    """As many idle connections as one server process may have."""
    return max(1, limits.descriptors - SPARE_DESCRIPTORS - RESERVED)


def workers(load: Load, settings: Settings, limits: Limits) -> int:
    """Processes or threads of a server that has several: one on each of its cores, and as many as
    it takes for the idle connections.
    """
    cores = len(settings.first_cores(load.cores))
    each = max(1, limits.descriptors - RESERVED)
    usual = cores if cores > 1 or load.cores else WORKERS
    return max(usual, -(-int(load.idle * UNEVEN) // each))


def order_of(block: Block) -> Order:
    """What is to be held; where, is for others to say."""
    return Order(
        connections=block.load.idle,
        rate=block.settings.ramp,
        size=SIZE,
        seed=block.settings.seed + block.number,
        tls=block.tls,
    )


def hold(server: Server, model: Model, holders: Holders, order: Order, say: Say) -> Idle:
    """Open idle connections to a server on this machine. Raises DriverError."""

    def tell() -> None:
        opened = sum(process.count_descriptors(each) for each in process.tree(server.pid))
        say(f"{model.name}: {opened:,} of {order.connections:,} idle connections")

    before = look_at(server)
    held = holders.open(order, tell)
    ends = held.counts.reset > 0  # its connections end before it can be asked how
    return idle_of(model, held, before, look_at(server, ends=ends), len(holders))


def idle_of(model: Model, held: Held, before: Seen, after: Seen, processes: int) -> Idle:
    """What became of them, as a record, by the server as it was without them and with them."""
    return Idle(
        counts=held.counts,
        errors=held.errors,
        processes=processes,
        connect_us=percentiles([held.connect]),
        first_reply_us=percentiles([held.first_reply]),
        took_s=held.took_ns / 1e9,
        overflows=after.overflows - before.overflows,
        server_kb=after.anonymous_kb - before.anonymous_kb,
        kernel_kb=after.slab_kb - before.slab_kb,
        all_kb=before.available_kb - after.available_kb,
        available_kb=after.available_kb,
        gave_way=_what_gave_way(model, held, before, after),
    )


def _what_gave_way(model: Model, held: Held, before: Seen, after: Seen) -> list[str]:
    counts, size, limits = held.counts, after.size, after.limits
    words = []
    if held.stopped == "EMFILE":
        words.append("the driver ran out of descriptors: ulimit -Hn (as root)")
    elif held.stopped == "EADDRNOTAVAIL":
        words.append("the driver ran out of ephemeral ports: net.ipv4.ip_local_port_range")
    elif held.stopped:
        words.append(f"the driver could not go on: {held.stopped}")
    if held.late > LATE * counts.attempted:
        words.append("the driver: it opened connections later than they were due; ask for less")
    if overflows := after.overflows - before.overflows:
        words.append(
            f"the backlog: it was full {overflows} times; the server accepts too slowly, or "
            "net.core.somaxconn is small"
        )
    if after.ended:
        words.append(f"the server ended: {after.ended}")
    if counts.served == counts.attempted and not held.stopped:
        return words
    if model.few:
        words.append(f"{model.few}: {counts.starved} are connected and wait")
        return words
    if model.descriptors is not None and size.descriptors + RESERVED > model.descriptors:
        words.append(f"{model.name}: it can use no more than {model.descriptors} descriptors")
    if size.descriptors >= (limits.descriptors - RESERVED) * after.processes:
        words.append(
            f"the server's descriptors: {size.descriptors} are open, ulimit -Hn is "
            f"{limits.descriptors}"
        )
    if model.threads and size.threads < counts.connected:
        words.append(f"the server's threads: it has {size.threads}; kernel.threads-max, pid_max")
    if after.available_kb < LEAST_AVAILABLE * limits.memory_kb:
        words.append(f"memory: {after.available_kb // 1024} MB are left")
    words += [
        f"{count} of {counts.attempted} {name.replace('_', ' ')}"
        for name in ("refused", "reset", "timed_out", "starved")
        if (count := getattr(counts, name))
    ]
    words += [f"{count} {name}" for name, count in held.errors.items()]
    return words
