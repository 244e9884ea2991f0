"""Does the instrument find what was planted? Servers with known faults, and the same server twice.

Counts must be recovered exactly, latencies within LATENCY, a share that is lost within LOSS; a row
whose window was disturbed says `noisy` where it is about time, and counts must be right even then.
An A/A test runs the same model as A and as B through all that a run does: at most ALLOWED of the
comparisons may find a difference. Where sockperf is installed, its latencies stand beside ours:
`differs` is beyond AGREE of them, and no failure.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.host.cores import Cores
from compare.host.launch import LaunchError, Server
from compare.measure.driver_process import Driver, DriverError
from compare.models.matrix import MODELS
from compare.models.model import Model
from compare.results.aggregation import round_of
from compare.results.ranking import METRICS, paired, rank
from compare.results.records import Round
from compare.results.statistics import ratio_of
from compare.selftest import crosscheck, planted
from compare.selftest.crosscheck import AGREE, CrossCheckError, compare_medians
from compare.selftest.finding import LATENCY, Check, Finding, State
from compare.selftest.handlers import HANDLERS
from compare.selftest.side_by_side import side_by_side

UNMOVED = 0.01  # of the stall: where a closed loop's p99 is after it
ALLOWED = 0.05  # of the comparisons of a server with itself
CAPACITY, BUFFER = 2000, 8192  # of a server of datagrams: a second, and bytes
LOSS = 0.03  # of what was due: how far a loss may be off
AA_MODEL, AA_ROUNDS = "epoll", 5
DEARER, DEARER_ROUNDS, TURNS = 0.05, 14, 3000  # of an empty loop: most of what it costs


class Trial(NamedTuple):
    """What the driver saw of a planted server, and what that said it did."""

    outcome: Outcome
    seen: Round
    did: dict[str, int]


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
        (outcome,) = driver.drive(
            Spec(
                workload=workload,
                targets=[Target(server.host, server.port, server.pid, rate)],
                connections=connections,
                size=size,
                warmup_s=warmup_s,
                slice_s=duration_s,
                seed=1,
                pinned=cores.driver is not None,
            ),
            lambda operations: None,
        )
        server.stop()
        did = json.loads(server.last_words() or b"{}")
        return Trial(outcome, round_of(outcome, 0, [], 1), did)


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


# Latencies, and what a rate costs.


def noise(outcome: Outcome) -> float:
    """Share of the time in which the server could not run because something else did."""
    used = outcome.server
    return used.wait_ns / used.elapsed_ns if used and used.elapsed_ns else 0.0


def timed(name: str, predicted_us: float, outcome: Outcome, seen_us: float | None) -> Finding:
    if seen_us is not None and abs(seen_us / predicted_us - 1) <= LATENCY:
        state: State = "right"
    else:
        state = "noisy" if noise(outcome) > LATENCY / 2 else "wrong"
    return Finding(name, f"{predicted_us / 1000:.2f} ms", f"{(seen_us or 0) / 1000:.2f} ms", state)


def service_time(cores: Cores) -> Iterator[Finding]:
    """Eight connections wait for one thread: eight service times, on average (Little's law).

    Which of them waits longer than the others is the server's choice.
    """
    for connections, ms in ((1, 10.0), (8, 2.0)):
        outcome, *_ = trial(
            cores, "timing.py", "service", ms, connections=connections, duration_s=1.0
        )
        name = f"service time of {ms:g} ms, {connections} at a time: mean"
        mean_us = outcome.latency_sum_ns / max(1, outcome.operations) / 1000
        yield timed(name, connections * ms * 1000, outcome, mean_us)


def slow_accept(cores: Cores) -> Iterator[Finding]:
    outcome, seen, _ = trial(
        cores, "timing.py", "accept", 10, workload="tcp-short", connections=4, duration_s=1.0
    )
    yield timed("accept every 10 ms, 4 at a time: p50", 4 * 10_000, outcome, seen.latency_us.p50)


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
    yield timed("stall of 1.4 s, open loop: p99", predicted_us, outcome, seen.latency_us.p99)
    pace = seen.pace
    lasted_us = (did["ended"] - did["began"]) / 1000
    yield timed("stall of 1.4 s, open loop: longest", lasted_us, outcome, seen.latency_us.max)
    assert pace is not None
    outcome, seen, _ = trial(cores, *how, connections=16, duration_s=duration_s, warmup_s=1.0)
    p99 = seen.latency_us.p99 or 0.0
    moved = p99 > UNMOVED * lasted_us
    yield Finding(
        "stall of 1.4 s, closed loop: p99, which cannot show it",
        f"< {UNMOVED * lasted_us / 1000:.0f} ms",
        f"{p99 / 1000:.2f} ms",
        "right" if not moved else "noisy" if noise(outcome) > LATENCY / 2 else "wrong",
    )
    yield timed("stall of 1.4 s, closed loop: longest", lasted_us, outcome, seen.latency_us.max)


def overload(cores: Cores) -> Iterator[Finding]:
    """Who answers so many datagrams in a second loses all others, and all in its buffer."""
    rate = 8000.0
    outcome, *_ = trial(
        cores, "capacity.py", CAPACITY, BUFFER, workload="udp-echo", rate=rate, duration_s=0.5
    )
    assert outcome.pace is not None
    loss = outcome.pace.loss
    assert loss is not None
    where = (
        f"{CAPACITY:,} datagrams a second of {rate:,.0f}, a receive buffer of {2 * BUFFER:,} bytes"
    )
    expected = 1 - CAPACITY / rate
    right = abs(loss.share - expected) <= LOSS
    yield Finding(
        f"{where}: lost",
        f"{expected:.1%}",
        f"{loss.share:.1%}",
        "right" if right else "noisy" if noise(outcome) > LOSS / 2 else "wrong",
    )
    seen = outcome.sizes.receive_buffer if outcome.sizes else None
    exact = loss.server_buffer == loss.lost > 0 and seen == 2 * BUFFER  # the kernel doubles it
    yield Finding(
        f"{where}: lost in it",
        f"{loss.lost:,} in {2 * BUFFER:,} bytes",
        f"{loss.server_buffer or 0:,} in {seen or 0:,} bytes",
        "right" if exact else "wrong",
    )


LATENCIES: list[Check] = [service_time, slow_accept, stall, overload]


# The same twice.


def dearer(cores: Cores) -> Iterator[Finding]:
    """Of three servers one costs 5 % more CPU: it is behind by as much, and nobody else is.

    All have enough to do to be always busy: who waits for the driver does more messages at a time
    when it is slower, and each then costs less.
    """

    def costly(name: str, turns: int) -> Model:
        return Model(name, "planted", (str(planted.FOLDER / "costly.py"), str(turns)))

    load: dict[str, Any] = {"size": 1000, "connections": 8, "duration_s": 0.5}
    # A ratio, too: how long a turn takes would be a time of another moment.
    steps = [costly("once", TURNS), costly("twice", 2 * TURNS)]
    once, twice = side_by_side(cores, steps, "tcp-long", 4, **load)
    share = (twice.server.cpu_us_per_op or 0.0) / (once.server.cpu_us_per_op or 1.0) - 1
    more = round(DEARER * TURNS / share)
    plain = [costly("plain", TURNS), costly("plain too", TURNS)]
    three = [*plain, costly("dearer", TURNS + more)]
    cells = side_by_side(cores, three, "tcp-long", DEARER_ROUNDS, **load)
    standings = {each.model: each for each in rank(cells, "cpu_us_per_op")}
    found = standings["dearer"]
    low, high = found.ratio_ci95 or (1.0, 1.0)
    accused = any(standings[each.name].standing == "behind" for each in plain)
    right: State = "right" if found.standing == "behind" else "noisy"  # it says so itself
    state: State = "wrong" if accused or not low <= 1 + DEARER <= high else right
    yield Finding(
        "5 % more CPU in one of three servers: behind alone, by",
        f"{DEARER:.0%}",
        f"{found.ratio - 1:.1%} ({low - 1:.1%} to {high - 1:.1%})",
        state,
    )


def same_twice(cores: Cores, comparisons: int, told: Callable[[str], None]) -> Finding:
    """Compare a model with itself, as a run would compare it with another."""
    pair = [replace(MODELS[AA_MODEL], name=f"{AA_MODEL} {side}") for side in "AB"]
    done = different = 0
    while done < comparisons:
        for workload in ("udp-echo", "tcp-short", "tcp-long", "chat"):
            told(f"A/A {done}/{comparisons}")
            ours, theirs = side_by_side(cores, pair, workload, AA_ROUNDS)
            for metric in METRICS:
                done += 1
                low, high = ratio_of(paired(ours, theirs, metric) or [0.0]).interval or (1.0, 1.0)
                different += not low <= 1 <= high
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
        chance = math.comb(comparisons, most) * ALLOWED**most
        total += chance * (1 - ALLOWED) ** (comparisons - most)
    return most


def cross_check(cores: Cores, told: Callable[[str], None]) -> Iterator[Finding]:
    """Our latencies beside those of sockperf."""
    for protocol in ("tcp", "udp"):
        theirs, mine = compare_medians(protocol, cores, told)
        yield Finding(
            f"{protocol} echo, one at a time: p50 by sockperf and by us",
            f"{theirs:.1f} µs",
            f"{mine:.1f} µs",
            "right" if abs(mine / theirs - 1) <= AGREE else "differs",
        )


def selftest(cores: Cores, comparisons: int, told: Callable[[str], None]) -> Iterator[Finding]:
    """Every row, as it is found; `told` hears what is under way."""
    for check in (*COUNTS, *LATENCIES, dearer, *HANDLERS):
        told(name := getattr(check, "__name__", "").replace("_", " "))
        yield from _in_any_case(name, check(cores), "wrong")
    if crosscheck.is_installed():
        yield from _in_any_case("cross-check with sockperf", cross_check(cores, told), "differs")
    if comparisons:
        twice = (same_twice(cores, many, told) for many in [comparisons])
        yield from _in_any_case("the same server as A and as B", twice, "wrong")


def _in_any_case(name: str, rows: Iterator[Finding], state: State) -> Iterator[Finding]:
    """All rows, and if they break off, whatever for, one that says why."""
    try:
        yield from rows
    except Exception as failure:
        ours = isinstance(failure, LaunchError | DriverError | CrossCheckError)
        yield Finding(name, "a measurement", str(failure) if ours else repr(failure), state)
