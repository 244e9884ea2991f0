"""Whether a cell can be believed, and why not, in words that name the remedy."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from typing import get_args

from compare.contract.histogram import BEYOND
from compare.contract.outcome import LATE_NS, UNSURE
from compare.results.loss import by_driver, is_pressed, loss_of, lost_anyway, missing, what_was_lost
from compare.results.records import Round, Verdict
from compare.results.statistics import midmean, ratio_of

BUSY = 0.90  # of a core: at its limit
ERRORS = 0.01  # of the operations or connections: they are part of the answer
THROTTLED = 0.01  # of the time
OTHERS = 0.05  # of the driver's core
LATE = 0.05  # of the sends: the driver did not keep to the schedule
LATE_TAIL = 0.1  # of the p99, that the latest of its sends may have
MET = 0.99  # of the operations that were due
TIMED = ("untimed", "operations")
LATE_START_US = 2000.0  # of one of several drivers
SLIDE = 0.05  # of the rate, within a round
SURE = 0.999
FEWEST = 4  # rounds
LITTLE = 0.05  # how far throughput x latency may be from the number of connections
# What a correct server never does, by the name under which the driver counts it.
WRONG = {
    "wrong_bytes": "wrong replies",
    "own_line": "lines that came back to their sender",
    "duplicate": "replies or lines that came twice",
    "reordered": "replies or lines out of order",
}
NOT_PINNED = (
    "server and driver shared a core, or were not held to one: the driver's work is in the rate; "
    "compare CPU/op"
)
ONE_SHARED = "the driver had a part of one of the server's {} cores: it can do more; compare CPU/op"
Found = tuple[Verdict, str]
# Datagrams may be lost or late; what a stream lost is wrong.
MISSING = {"lost": "lost", "late": "late"}


def judge(
    workload: str,
    connections: int,
    rounds: list[Round],
    failures: list[str],
    few: str,
    *,
    pinned: bool = True,
    cores: int = 1,
) -> tuple[list[Verdict], list[str]]:
    """All that is to be said of a cell, the gravest first, and the reasons for it.

    `failures` are rounds that were no round. `few` says why the model leaves connections unserved,
    if it does so by nature. `pinned`: server and driver had cores of their own; `cores`: so many
    were the server's.
    """
    if failures:
        return ["failed"], list(dict.fromkeys(failures))
    reasons = [*_wrong(workload, rounds)]
    if reasons:
        return ["failed"], reasons + _details(rounds)
    reasons += _left_out(rounds, few) + _shards(workload, rounds)
    overrun = any(_overrun(each) for each in rounds)
    if not overrun and all(each.pace and not each.pace.offered for each in rounds):
        return ["ok"], [*reasons, "nothing was due in the window: a longer --duration"]
    empty = sum(not each.operations for each in rounds)
    alone = connections < 2 or max(each.counts.served for each in rounds) < 2
    if empty == len(rounds) and workload == "chat" and alone:
        kept_out: list[Verdict] = [verdict for verdict, _ in _errors(workload, rounds, few)]
        return kept_out or ["ok"], reasons or ["alone in the room: nobody to deliver to"]
    if not any(each.counts.served for each in rounds):
        return ["failed"], [*reasons, "no operation was completed in the window"]
    if empty and not (overrun or is_pressed(rounds)):
        where = f"{empty} of the rounds" if len(rounds) > 1 else "the window"
        return ["failed"], [*reasons, f"no operation was completed in {where}"]
    found = [*_errors(workload, rounds, few), *_throttled(rounds)]
    if rounds[0].pace is not None:
        found += _paced(workload, connections, rounds)
    elif not pinned:
        found += [("not-pinned", NOT_PINNED if cores == 1 else ONE_SHARED.format(cores))]
    elif not few:
        found += _bound(rounds, cores)
    # On a core that both share the driver waits for the server, and for nobody else.
    others = _others(rounds) if pinned else []
    if rounds[0].pace is None:
        reasons += others or _little(workload, rounds)
        reasons += _drifting(rounds) or _sliding(rounds)
    else:
        unmet = any(verdict == "rate-unmet" for verdict, _ in found)
        reasons += others or ([] if unmet else _queueing(rounds))
    found.sort(key=lambda each: get_args(Verdict).index(each[0]))
    verdicts: list[Verdict] = list(dict.fromkeys(verdict for verdict, _ in found))
    return verdicts or ["ok"], [*(why for _, why in found), *reasons, *_too_short(rounds)]


def _errors(workload: str, rounds: list[Round], few: str) -> Iterator[Found]:
    """Who is not served costs nothing, so that many of them would make a server look fast."""
    failed = served = 0
    for each in rounds:
        counts = each.counts
        failed += counts.refused + counts.reset + counts.timed_out
        failed += sum(n for name, n in each.errors.items() if name not in (*WRONG, *MISSING))
        failed += 0 if few else counts.starved
        served += counts.attempted
        if workload == "udp-echo":
            failed += missing(each)[0]
            served += missing(each)[1]
    share = failed / served if served else 0.0
    if share > ERRORS:
        what = "datagrams were lost or late" if workload == "udp-echo" else "connections failed"
        yield "errors", f"{share:.1%} of the {what}: it is not ranked"


def _throttled(rounds: list[Round]) -> Iterator[Found]:
    share = _mean([each.server.throttled or 0.0 for each in rounds])
    if share > THROTTLED:
        yield (
            "throttled",
            f"a CPU quota held the server back for {share:.0%} of the time: lift it (cpu.max of "
            "its control group; in a container, its CPU limit)",
        )


def _others(rounds: list[Round]) -> list[str]:
    share = _foreign(rounds)
    return [f"other programs had {share:.0%} of the driver's core"] if share > OTHERS else []


def _foreign(rounds: list[Round]) -> float:
    """What others had of the driver's core while it waited for it; with a quota, it has that."""
    if list(_throttled(rounds)):
        return 0.0
    return _mean([each.driver.wait_fraction or 0 for each in rounds])


def _bound(rounds: list[Round], cores: int) -> Iterator[Found]:
    """What was at its limit, in a closed loop: by what room is left, and not by what was used.

    A server is at its limit when all the cores are that its threads can use. Where it uses more
    than one of them and not all, one of its threads may be at its limit, and nobody can tell.
    """
    used = _mean([each.driver.cpu_fraction or 0 for each in rounds])
    others = _foreign(rounds)
    driver = used + others  # what they had it could not use either
    told = f"{used:.0%}" + (f" and other programs {others:.0%}" if others > OTHERS else "")
    server = _mean([each.server.cpu_fraction or 0 for each in rounds])
    usable = min(cores, *(each.server.threads or cores for each in rounds))
    theirs = f"{server:.0%}" if server else "we do not know what"
    if driver > BUSY and server <= BUSY * usable:
        of = f" of {usable} cores" if usable > 1 and server else ""
        more = "; --drivers has the load put on from several cores" if usable > 1 else ""
        yield (
            "driver-bound",
            f"{_busiest(rounds)} used {told} of its core, the server {theirs}{of}: the server can "
            f"do more than is shown; compare CPU/op{more}",
        )
    elif driver > BUSY:
        full = "both" if usable == 1 else "all"
        yield (
            "both-full",
            f"{full} cores were full, the driver's to {driver:.0%}: the server may do a few per "
            "cent more; compare CPU/op",
        )
    elif server <= BUSY:
        yield (
            "unbound",
            f"nobody was at its limit, the server at {server:.0%} of a core and the driver at "
            f"{used:.0%}: each waits for the other; more --connections would show what it can do",
        )


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


def _overrun(each: Round) -> bool:
    """Whether what was due in its warm-up never came home, so that nothing was measured."""
    return bool(each.pace and each.gave_up and not each.slices)


def _paced(workload: str, connections: int, rounds: list[Round]) -> Iterator[Found]:
    """What is to be said of an open loop."""
    # With fewer operations in a round than a p99 takes, the longest stands for it.
    paces = [(each.pace, each.latency_us.p99 or each.latency_us.max) for each in rounds]
    late = _mean([pace.late_fraction for pace, _ in paces if pace])
    # One bad moment of the machine is in one round: it says nothing of the others.
    usual = statistics.median(pace.lateness_p99_us for pace, _ in paces if pace)
    tail = _mean([us for _, us in paces if us is not None] or [math.inf])
    if late > LATE or usual > max(LATE_NS / 1000, LATE_TAIL * tail):
        yield (
            "driver-bound",
            f"{_latest(rounds)} sent {late:.0%} of the messages more than {LATE_NS / 1e6:g} ms "
            f"late, 1 % of them by {usual / 1000:.1f} ms and more, which is in the latencies: ask "
            "for a lower rate",
        )
    if any(_overrun(each) for each in rounds):
        yield (
            "rate-unmet",
            "what was due in the warm-up was not done in time: ask for a lower rate; without "
            "--rate a run shows what the model can do",
        )
        return
    seconds = sum(each.window_s for each in rounds)
    offered = sum(pace.offered * each.window_s for each in rounds if (pace := each.pace))
    done = sum(each.operations for each in rounds)
    excused = 0
    if loss := loss_of(rounds):
        excused = lost_anyway(loss, rounds)
        if at_driver := by_driver(loss, ERRORS):
            yield "driver-bound", at_driver
    # Those under way at either end of a window are due in one and done in another.
    ends = 2 * sum(max(1, len(each.slices)) for each in rounds)
    at_the_ends = ends * (connections - 1 if workload == "chat" else 1)
    if done + excused + at_the_ends < MET * offered:
        yield (
            "rate-unmet",
            f"{done / seconds:,.0f} of {offered / seconds:,.0f} operations due in a second were "
            "done: ask for a lower rate; without --rate a run shows what the model can do",
        )


def _unsettled(rounds: list[Round]) -> bool:
    """Most of them, when their warm-up ended."""
    return 2 * sum(not each.settled for each in rounds) > len(rounds)


def _queueing(rounds: list[Round]) -> list[str]:
    if not _unsettled(rounds):
        return []
    return [
        "what was due still queued up after the warm-up: latencies grow with --duration, and "
        "--alone shows how far"
    ]


def _drifting(rounds: list[Round]) -> list[str]:
    if not _unsettled(rounds):
        return []
    longest = max(each.warmup_s for each in rounds)
    return [
        f"after {longest:.2g} s of warm-up the rate was still drifting: it may be another one "
        "with a longer --duration"
    ]


def _sliding(rounds: list[Round]) -> list[str]:
    """Whether the rate is another one at the end of a round than at its begin, in all of them."""
    moved = []
    for each in rounds:
        logs = [math.log(one.operations / one.window_ns) for one in each.slices if one.operations]
        if half := len(logs) // 2:
            moved.append(midmean(logs[-half:]) - midmean(logs[:half]))
    found = ratio_of(moved, confidence=SURE) if len(moved) >= FEWEST else None
    if found is None or found.interval is None:
        return []
    low, high = found.interval
    if high >= 1 / (1 + SLIDE) and low <= 1 + SLIDE:
        return []
    return [
        f"from the first half of a round's slices to the second its rate changed by "
        f"{found.value - 1:+.0%}: it warms up or wears out, which --alone with a longer --duration "
        "shows"
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
            if count == 1:
                words = words.replace("replies", "reply").replace("lines", "line")
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
    found += what_was_lost(rounds)
    found += [f"in one round {each.gave_up}" for each in rounds if each.gave_up]
    found += [
        f"in one round measured by itself, since {each.apart}" for each in rounds if each.apart
    ]
    if overflow := max(each.server.time_wait_overflow or 0 for each in rounds):
        found.append(
            f"{overflow:,} closes on this machine without TIME_WAIT, which was full "
            "(net.ipv4.tcp_max_tw_buckets)"
        )
    for name in sorted({name for each in rounds for name in each.errors} - known):
        count = sum(each.errors.get(name, 0) for each in rounds)
        sent = sum(each.sent for each in rounds) if name in MISSING else 0
        of = f" of {sent:,} datagrams sent, warm-up included" if sent else ""
        found.append(f"{count} {MISSING.get(name, name)}{of}")
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
