"""Whether a cell can be believed, and why not, in words that name the remedy."""

from __future__ import annotations

import math

from compare.driver.histogram import BEYOND
from compare.results.records import Round, Verdict
from compare.results.slowdown import at_full_speed
from compare.results.statistics import centre

BUSY = 0.90  # of a core: at its limit
WAITED = 0.05  # of the window, for a CPU that something else had
NO_CHANCE = 0.50  # as WAITED, where nothing at all was done
WIDE = 0.10  # half the interval over rounds, of the value
LATE = 0.05  # of the sends: the driver did not keep to the schedule
MET = 0.99  # of the operations that were due
UNSURE = 0.1  # of the median latency
TIMED = ("untimed", "operations")
LATE_START_US = 2000.0  # of one of several drivers
LITTLE = 0.05  # how far throughput x latency may be from the number of connections
# What a correct server never does, by the name under which the driver counts it.
WRONG = {
    "wrong_bytes": "wrong replies",
    "own_line": "lines that came back to their sender",
    "duplicate": "replies or lines that came twice",
    "reordered": "replies or lines out of order",
}
# Datagrams may be lost or late; what a stream lost is wrong.
MISSING = {"lost": "lost", "late": "late"}


def judge(
    workload: str, connections: int, rounds: list[Round], failures: list[str], few: str
) -> tuple[Verdict, list[str]]:
    """The verdict on a cell and the reasons for it; `failures` are rounds that were no round.

    `few` says why the model leaves connections unserved, if it does so by nature.
    """
    if failures:
        return "failed", list(dict.fromkeys(failures))
    reasons = [*_wrong(workload, rounds)]
    if reasons:
        return "failed", reasons + _details(rounds)
    reasons += _left_out(rounds, few) + _shards(workload, rounds)
    if all(each.pace and not each.pace.offered for each in rounds):
        return "ok", [*reasons, "nothing was due in the window: a longer --duration"]
    empty = sum(not each.operations for each in rounds)
    alone = connections < 2 or max(each.counts.served for each in rounds) < 2
    if empty == len(rounds) and workload == "chat" and alone:
        return "ok", reasons or ["alone in the room: nobody to deliver to"]
    if not any(each.counts.served for each in rounds):
        return "failed", [*reasons, "no operation was completed in the window"]
    waits = [noise(each) for each in rounds]
    # A window without any operation is excused only if most of it was not to be had.
    if _mean(waits) > (NO_CHANCE if empty else WAITED):
        return "noisy", [*reasons, _who_waited(rounds)]
    if empty:
        where = f"{empty} of the rounds" if len(rounds) > 1 else "the window"
        return "failed", [*reasons, f"no operation was completed in {where}"]
    driver = _mean([each.driver.cpu_fraction or 0 for each in rounds])
    server = _mean([each.server.cpu_fraction or 0 for each in rounds])
    rates = [each.ops_per_s for each in rounds]
    spread = centre(rates).spread or (max(rates) - min(rates)) / 2 / centre(rates).value
    if len(rounds) > 2 and spread > WIDE:
        return "noisy", [
            *reasons,
            f"the rounds differ by ±{spread:.0%}{_why(rounds)}: run again with more --rounds or a "
            "longer --duration",
        ]
    if rounds[0].pace is not None:
        return _paced(workload, connections, rounds, reasons)
    if driver > BUSY >= server:
        return "driver-bound", [
            *reasons,
            f"{_busiest(rounds)} used {driver:.0%} of its core, the server "
            f"{f'{server:.0%}' if server else 'we do not know what'}: the server can do more than "
            "is shown; compare CPU/op",
        ]
    return "ok", reasons + _little(workload, rounds) + _drifting(rounds) + _too_short(rounds)


def _latest(rounds: list[Round]) -> str:
    shards = [(each.late_fraction or 0.0, each.worker) for each in rounds[0].shards]
    return f"the drivers, most of all the one on {max(shards)[1]}," if shards else "the driver"


def _busiest(rounds: list[Round]) -> str:
    """Which driver, where there are several."""
    shards = [(each.cpu_fraction, each.worker) for each in rounds[0].shards]
    return f"the driver on {max(shards)[1]}" if shards else "the driver"


def _shards(workload: str, rounds: list[Round]) -> list[str]:
    """What several drivers did not do as one."""
    if not any(each.shards for each in rounds):
        return []
    words = []
    numbers = sorted({len(each.shards) for each in rounds})
    if len(numbers) > 1:
        several = " and by ".join(map(str, numbers))
        words.append(f"driven by {several} drivers in different rounds: some were lost or came")
    late: dict[str, float] = {}
    for each in rounds:
        for shard in each.shards:
            late[shard.worker] = max(shard.late_us, late.get(shard.worker, 0.0))
    words += [
        f"the driver on {worker} began {us / 1000:.1f} ms late"
        for worker, us in late.items()
        if us > LATE_START_US
    ]
    return words + (_clocks(rounds) if workload == "chat" else [])


def _clocks(rounds: list[Round]) -> list[str]:
    """Deliveries from one host to another, whose clocks are not known well enough."""
    error = 2 * max(shard.clock_error_us for each in rounds for shard in each.shards)
    untimed, operations = (sum(getattr(each, name) for each in rounds) for name in TIMED)
    known = f"the clocks of two hosts are known to ±{error / 1000:.1f} ms only"
    if untimed:
        return [
            f"latencies are those of deliveries within one host: {known}, and "
            f"{untimed / operations:.0%} of all needed two"
        ]
    usual = min((each.latency_us.p50 or 0.0 for each in rounds), default=0.0)
    if error > UNSURE * usual:
        return [f"latencies from one host to another are as uncertain: {known}"]
    return []


def _why(rounds: list[Round]) -> str:
    slow = at_full_speed(rounds, rounds).count(False)
    if not slow:
        return ""
    return (
        f", and in {slow} of {len(rounds)} something else on the same hardware slowed the machine "
        "down"
    )


def noise(each: Round) -> float:
    """Of a round's window: how long one of both could not run, because others did."""
    return max(each.server_wait_fraction, each.driver_wait_fraction, each.stolen_fraction)


def _who_waited(rounds: list[Round]) -> str:
    waited = _mean([noise(each) for each in rounds])
    if _mean([each.stolen_fraction for each in rounds]) > WAITED:
        return (
            f"the hypervisor gave {waited:.0%} of the time to other machines: measure at another "
            "time, or on a machine of your own"
        )
    who = "server" if _mean([each.server_wait_fraction for each in rounds]) > WAITED else "driver"
    return (
        f"the {who} waited {waited:.0%} of the time for a CPU that something else used: stop other "
        "programs, then run again"
    )


def _paced(
    workload: str, connections: int, rounds: list[Round], reasons: list[str]
) -> tuple[Verdict, list[str]]:
    """The verdict on an open loop."""
    late = _mean([each.pace.late_fraction for each in rounds if each.pace])
    if late > LATE:
        worst = max(each.pace.lateness_p99_us for each in rounds if each.pace)
        return "driver-bound", [
            *reasons,
            f"{_latest(rounds)} sent {late:.0%} of the messages more than 0.1 ms late, 1 % of them "
            f"by {worst / 1000:.1f} ms and more: ask for a lower rate",
        ]
    seconds = sum(each.window_s for each in rounds)
    offered = sum(each.pace.offered * each.window_s for each in rounds if each.pace)
    done = sum(each.operations for each in rounds)
    # Those under way at either end of a window are due in one and done in another.
    at_the_ends = 2 * len(rounds) * (connections - 1 if workload == "chat" else 1)
    if done + at_the_ends < MET * offered:
        return "rate-unmet", [
            *reasons,
            f"{done / seconds:,.0f} of {offered / seconds:,.0f} operations due in a second were "
            "done: ask for a lower rate; without --rate a run shows what the model can do",
        ]
    return "ok", reasons + _too_short(rounds)


def _drifting(rounds: list[Round]) -> list[str]:
    if 2 * sum(not each.settled for each in rounds) <= len(rounds):
        return []
    longest = max(each.warmup_s for each in rounds)
    return [
        f"after {longest:.0f} s of warm-up the rate was still drifting: it may be another one "
        "with a longer --duration"
    ]


def _too_short(rounds: list[Round]) -> list[str]:
    """Which percentile of the table is missing because there were too few operations."""
    operations = sum(each.operations for each in rounds)
    seconds = sum(each.window_s for each in rounds)
    for name, share in (("p99", 0.01), ("p99.9", 0.001)):
        needed = round(BEYOND / share)
        if 0 < operations < needed:
            longer = seconds / len(rounds) * needed / operations * 1.1
            return [
                f"{operations:,} operations are too few for {name}, which takes {needed:,}: "
                f"--duration {math.ceil(longer * 10) / 10:.1f}, or more --rounds"
            ]
    return []


def _wrong(workload: str, rounds: list[Round]) -> list[str]:
    names = dict(WRONG)
    if workload != "udp-echo":
        names |= MISSING
    elif rounds[0].pace:  # several are under way on a socket, and UDP promises no order
        del names["reordered"]
    found = []
    for name, words in names.items():
        if count := sum(each.errors.get(name, 0) for each in rounds):
            found.append(f"{count} {words}")
    return found


def _details(rounds: list[Round]) -> list[str]:
    return [message for each in rounds for message in each.messages][:3]


def _left_out(rounds: list[Round], few: str) -> list[str]:
    """Connections and datagrams that were not served, which is no fault of the figures."""
    found = []
    worst = max(rounds, key=lambda each: each.counts.attempted - each.counts.served).counts
    if worst.starved:
        found.append(f"{worst.starved} starved" + (f": {few}" if few else ""))
    found += [
        f"{count} {name.replace('_', ' ')}"
        for name in ("refused", "reset", "timed_out")
        if (count := getattr(worst, name))
    ]
    known = {*WRONG}
    if dropped := sum(each.server.dropped or 0 for each in rounds):
        found.append(
            f"the kernel dropped {dropped} datagrams: they came faster than the server read them, "
            "and its receive buffer was full (net.core.rmem_default)"
        )
    for name in sorted({name for each in rounds for name in each.errors} - known):
        count = sum(each.errors.get(name, 0) for each in rounds)
        found.append(f"{count} {MISSING.get(name, name)}")
    return found


def _little(workload: str, rounds: list[Round]) -> list[str]:
    """Little's law: connections = throughput x latency, in a closed loop (Little, 1961)."""
    if workload == "chat":
        return []  # one message is many operations there
    for each in rounds:  # a closed loop
        busy = each.counts.served if workload != "tcp-short" else None
        if busy and each.littles_law and abs(each.littles_law / busy - 1) > LITTLE:
            return [
                f"throughput x latency is {each.littles_law:.1f} where {busy} connections were "
                "served: some stood still for part of the time"
            ]
    return []


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)
