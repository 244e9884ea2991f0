"""Does the instrument find what was planted? Servers with known faults, and the same server twice.

Counts must be recovered exactly, latencies within LATENCY; a row whose window was disturbed says
`noisy` where it is about time, and counts must be right even then. An A/A test runs the same
model as A and as B through all that a run does: at most ALLOWED of the comparisons may find a
difference. Where sockperf is installed, its latencies stand beside ours: `differs` is beyond
AGREE of them, and no failure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import msgspec

from compare.driver.load import Spec
from compare.driver.outcome import Outcome
from compare.host.launch import LaunchError, Server
from compare.measure.cell import measure
from compare.measure.driver_process import Driver, DriverError
from compare.results.aggregation import round_of
from compare.results.records import Key, Round, Settings
from compare.results.statistics import chance
from compare.results.verdict import WAITED, noise
from compare.selftest import crosscheck, planted
from compare.selftest.crosscheck import AGREE, CrossCheckError, compare_medians

LATENCY = 0.05
UNMOVED = 0.01  # of the stall: where a closed loop's p99 is after it
ALLOWED = 0.05  # of the comparisons of a server with itself
AA_ROUNDS = 5
AA_WINDOW_S = 0.1
AA_MODEL = "epoll"

State = Literal["right", "wrong", "differs", "noisy"]


class Finding(NamedTuple):
    """One row: what was planted, and what the instrument said of it."""

    name: str
    planted: str
    recovered: str
    state: State


@dataclass(frozen=True)
class Cores:
    """Where the server and the driver run; None is anywhere."""

    server: int | None
    driver: int | None


class Trial(NamedTuple):
    """What the driver saw of a planted server, and what that said it did."""

    outcome: Outcome
    seen: Round
    did: dict[str, int]


Check = Callable[[Cores], Iterator[Finding]]


def trial(
    cores: Cores,
    script: str,
    *arguments: object,
    workload: str = "tcp-long",
    connections: int = 4,
    size: int = 100,
    duration_s: float = 0.5,
    warmup_s: float = 0.0,
    rate: float | None = None,
) -> Trial:
    """Drive one planted server. Raises LaunchError or DriverError."""
    with (
        Driver(cores.driver) as driver,
        Server(planted.command(script, *arguments), cores.server) as server,
    ):
        outcome = driver.drive(
            Spec(
                workload=workload,
                host=server.host,
                port=server.port,
                connections=connections,
                size=size,
                warmup_s=warmup_s,
                duration_s=duration_s,
                seed=1,
                rate=rate,
                server_pid=server.pid,
                server_core=cores.server,
                driver_core=cores.driver,
            ),
            lambda operations: None,
        )
        server.stop()
        return Trial(outcome, round_of(outcome, 0, []), json.loads(server.last_words() or b"{}"))


# Counts.


def counted(
    name: str,
    script: str,
    *arguments: object,
    seen_as: Callable[[Outcome], int],
    planted_as: str = "faults",
    **load: Any,
) -> Check:
    """A check that a fault is counted as often as it happened."""

    def check(cores: Cores) -> Iterator[Finding]:
        outcome, _, did = trial(cores, script, *arguments, **load)
        happened, seen = did.get(planted_as, 0), seen_as(outcome)
        state: State = "right" if seen == happened > 0 else "wrong"
        yield Finding(name, str(happened), str(seen), state)

    check.__name__ = name
    return check


def error(name: str) -> Callable[[Outcome], int]:
    return lambda outcome: outcome.errors.get(name, 0)


def unserved(cores: Cores) -> Iterator[Finding]:
    outcome, *_ = trial(cores, "echo.py", "one-at-a-time", connections=8)
    counts = outcome.counts
    right = (counts.served, counts.starved) == (1, 7)
    yield Finding(
        "one client at a time: served, starved",
        "1, 7",
        f"{counts.served}, {counts.starved}",
        "right" if right else "wrong",
    )


COUNTS: list[Check] = [
    counted(
        "datagrams lost", "datagrams.py", "lost", 50, workload="udp-echo", seen_as=error("lost")
    ),
    counted(
        "datagrams doubled",
        *("datagrams.py", "duplicate", 50),
        workload="udp-echo",
        seen_as=error("duplicate"),
    ),
    counted(
        "datagrams late",
        *("datagrams.py", "late", 20),
        workload="udp-echo",
        planted_as="released",
        seen_as=error("late"),
    ),
    counted(
        "datagrams overtaken",
        *("datagrams.py", "overtaken", 20),
        workload="udp-echo",
        planted_as="released",
        seen_as=error("reordered"),
    ),
    counted(
        "datagrams corrupted",
        *("datagrams.py", "corrupt_filler", 50),
        workload="udp-echo",
        seen_as=error("wrong_bytes"),
    ),
    counted("replies corrupted", "echo.py", "flipped", 100, 100, seen_as=error("wrong_bytes")),
    counted(
        "connections reset",
        *("echo.py", "reset", 100, 50),
        workload="tcp-short",
        seen_as=lambda outcome: outcome.counts.reset,
    ),
    counted("connections ended early", "echo.py", "eof", 100, 100, seen_as=error("eof")),
    counted("chat lines lost", "room.py", "loses", 40, 3, workload="chat", seen_as=error("lost")),
    counted(
        "chat lines doubled",
        *("room.py", "duplicates", 40, 3),
        workload="chat",
        seen_as=error("duplicate"),
    ),
    counted(
        "chat lines out of order",
        *("room.py", "reorders", 40, 3),
        workload="chat",
        planted_as="reordered",
        seen_as=error("reordered"),
    ),
    unserved,
]


# Latencies.


def timed(name: str, predicted_us: float, seen: Round, seen_us: float | None) -> Finding:
    if seen_us is not None and abs(seen_us / predicted_us - 1) <= LATENCY:
        state: State = "right"
    else:
        state = "noisy" if noise(seen) > LATENCY / 2 else "wrong"
    return Finding(name, f"{predicted_us / 1000:.2f} ms", f"{(seen_us or 0) / 1000:.2f} ms", state)


def service_time(cores: Cores) -> Iterator[Finding]:
    """Eight connections wait for one thread: eight service times, on average (Little's law).

    Which of them waits longer than the others is the server's choice.
    """
    for connections, ms in ((1, 10.0), (8, 2.0)):
        outcome, seen, _ = trial(
            cores, "timing.py", "service", ms, connections=connections, duration_s=1.0
        )
        name = f"service time of {ms:g} ms, {connections} at a time: mean"
        mean_us = outcome.latency_sum_ns / max(1, outcome.operations) / 1000
        yield timed(name, connections * ms * 1000, seen, mean_us)


def slow_accept(cores: Cores) -> Iterator[Finding]:
    _, seen, _ = trial(
        cores, "timing.py", "accept", 10, workload="tcp-short", connections=4, duration_s=1.0
    )
    yield timed("accept every 10 ms, 4 at a time: p50", 4 * 10_000, seen, seen.latency_us.p50)


def stall(cores: Cores) -> Iterator[Finding]:
    """The server does nothing for 1.4 s of a window of 5 s.

    In an open loop, whatever is due then waits for its end, so the p99 follows from the rate. In
    a closed loop nothing is sent, and a handful of operations in many thousands show it.
    """
    rate, duration_s = 1000.0, 5.0
    how = ("timing.py", "stall", 1400, 2500)
    outcome, seen, did = trial(
        cores, *how, connections=16, duration_s=duration_s, warmup_s=1.0, rate=rate
    )
    waits = sorted(
        max(0.0, did["ended"] - due) if due >= did["began"] else 0.0
        for due in (outcome.began_ns + k * 1e9 / rate for k in range(int(rate * duration_s)))
    )
    predicted_us = waits[-len(waits) // 100] / 1000
    yield timed("stall of 1.4 s, open loop: p99", predicted_us, seen, seen.latency_us.p99)
    pace = seen.pace
    lasted_us = (did["ended"] - did["began"]) / 1000
    yield timed("stall of 1.4 s, open loop: longest", lasted_us, seen, seen.latency_us.max)
    assert pace is not None
    _, seen, _ = trial(cores, *how, connections=16, duration_s=duration_s, warmup_s=1.0)
    p99 = seen.latency_us.p99 or 0.0
    moved = p99 > UNMOVED * lasted_us
    yield Finding(
        "stall of 1.4 s, closed loop: p99, which cannot show it",
        f"< {UNMOVED * lasted_us / 1000:.0f} ms",
        f"{p99 / 1000:.2f} ms",
        "right" if not moved else "noisy" if noise(seen) > WAITED else "wrong",
    )
    yield timed("stall of 1.4 s, closed loop: longest", lasted_us, seen, seen.latency_us.max)


LATENCIES: list[Check] = [service_time, slow_accept, stall]


# The same twice.


FIGURES: list[Callable[[Round], float | None]] = [
    lambda each: each.ops_per_s,
    lambda each: each.latency_us.p50,
    lambda each: each.server.cpu_us_per_op,
]


def same_twice(cores: Cores, comparisons: int, told: Callable[[str], None]) -> Finding:
    """Compare a model with itself, as a run would compare it with another."""
    workloads = ["udp-echo", "tcp-short", "tcp-long", "chat"]
    settings = Settings(
        models=[AA_MODEL],
        workloads=workloads,
        connections=[16],
        rounds=AA_ROUNDS,
        duration_s=AA_WINDOW_S,
        warmup_s=0.05,
        sizes=dict.fromkeys(workloads, 100),
        seed=1,
        server_core=cores.server,
        driver_core=cores.driver,
    )
    done = different = 0
    while done < comparisons:
        for workload in workloads:
            told(f"A/A {done}/{comparisons}")
            key = Key(AA_MODEL, workload, 16)
            sides: tuple[list[Round], list[Round]] = ([], [])
            for number in range(2 * AA_ROUNDS):
                # A B B A A B B A: neither is always the first.
                side = sides[((number + 1) // 2) % 2]
                side.append(measure(key, settings, None, lambda operations: None)[1])
            for figure in FIGURES:
                a, b = ([figure(each) or 0.0 for each in side] for side in sides)
                done += 1
                different += chance(a, b) <= ALLOWED
    return Finding(
        f"the same server as A and as B: of {done} comparisons, those that differ",
        f"<= {ALLOWED:.0%}",
        f"{different} ({different / done:.1%})",
        "right" if different <= most_by_chance(done) else "wrong",
    )


def most_by_chance(comparisons: int) -> int:
    """How many may differ where ALLOWED do on average, in all but one of a hundred runs."""
    total, most = 0.0, -1
    while total < 0.99:
        most += 1
        total += (
            math.comb(comparisons, most) * ALLOWED**most * (1 - ALLOWED) ** (comparisons - most)
        )
    return most


def cross_check(cores: Cores, told: Callable[[str], None]) -> Iterator[Finding]:
    """Our latencies beside those of sockperf."""
    for protocol in ("tcp", "udp"):
        theirs, mine = compare_medians(protocol, cores.server, cores.driver, told)
        yield Finding(
            f"{protocol} echo, one at a time: p50 by sockperf and by us",
            f"{theirs:.1f} µs",
            f"{mine:.1f} µs",
            "right" if abs(mine / theirs - 1) <= AGREE else "differs",
        )


def selftest(cores: Cores, comparisons: int, told: Callable[[str], None]) -> Iterator[Finding]:
    """Every row, as it is found; `told` hears what is under way."""
    for check in (*COUNTS, *LATENCIES):
        told(getattr(check, "__name__", "").replace("_", " "))
        try:
            yield from check(cores)
        except (LaunchError, DriverError, msgspec.DecodeError) as failure:
            yield Finding(check.__name__, "a measurement", str(failure), "wrong")
    if crosscheck.is_installed():
        try:
            yield from cross_check(cores, told)
        except (LaunchError, DriverError, CrossCheckError) as failure:
            yield Finding("cross-check with sockperf", "a measurement", str(failure), "differs")
    if comparisons:
        yield same_twice(cores, comparisons, told)
