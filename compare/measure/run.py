"""A run: every cell once per round, in shuffled order, each against a fresh server.

What a run is asked for decides how it goes on. A closed loop shows what a model can do. An open
loop at a share of that, or at the highest rate that keeps a promise, needs the closed one first.
"""

from __future__ import annotations

import datetime
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from compare.driver.outcome import Outcome
from compare.host.launch import LaunchError
from compare.measure.cell import Here
from compare.measure.driver_process import DriverError
from compare.measure.search import highest
from compare.measure.testbed import Gone, Testbed
from compare.models.matrix import MODELS, WORKLOADS
from compare.results.aggregation import cell_of
from compare.results.ranking import rank_all
from compare.results.records import Cell, Key, Loop, Round, Run, Settings
from compare.results.slowdown import at_full_speed
from compare.results.statistics import centre
from compare.results.verdict import LATE, MET, WAITED, judge, noise

PRECISE = 0.05  # half the interval of the rate and of the p99, of the value
MOST_ROUNDS = 30
AGAIN = 2  # times that a noisy round is made again
SECOND_CHANCES, NOISY_CHANCES = 1, 4  # of a rate that seems to break the promise


@dataclass
class Progress:
    """What a watcher is told. `done` and `total` count cells over all rounds.

    rates: operations a second in the window that is under way, some ten times a second.
    """

    key: Key
    round: int
    done: int
    total: int
    finished: Round | None = None
    failure: str | None = None
    note: str = ""
    rates: list[float] = field(default_factory=list)
    _last: tuple[float, int] | None = None

    def begin(self) -> None:
        """Another window, on a fresh server."""
        self.rates, self._last = [], None

    def count(self, operations: int) -> None:
        """So many there have been by now."""
        now = time.monotonic()
        if self._last is not None and now > self._last[0]:
            self.rates.append((operations - self._last[1]) / (now - self._last[0]))
        self._last = now, operations


Watcher = Callable[[Progress], None]
Keeper = Callable[[Run], None]


@dataclass
class _Tally:
    """What has been seen of one cell so far."""

    key: Key
    unsupported: str | None
    rate: float | None = None
    outcomes: list[Outcome] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    discarded: int = 0
    _summed_up: tuple[int, Cell] | None = None

    @property
    def begun(self) -> bool:
        return bool(self.unsupported or self.rounds or self.failures)

    @property
    def wide(self) -> float:
        """The wider of the intervals of the rate and of the p99; 1 while there is none."""
        tails = [tail for each in self.rounds if (tail := each.latency_us.p99) is not None]
        estimates = [centre([each.ops_per_s for each in self.rounds])]
        if len(tails) == len(self.rounds):
            estimates.append(centre(tails))
        if any(each.interval is None for each in estimates):
            return 1.0
        return max(each.spread for each in estimates)

    def cell(self) -> Cell:
        """All rounds together; made anew only after another one."""
        seen = len(self.rounds) + len(self.failures) + self.discarded + len(self.notes)
        if self._summed_up is None or self._summed_up[0] != seen:
            self._summed_up = (seen, self._sum_up())
        return self._summed_up[1]

    def _sum_up(self) -> Cell:
        if self.unsupported:
            return cell_of(self.key, [], [], "unsupported", [self.unsupported])
        verdict, reasons = judge(
            self.key.workload,
            self.key.connections,
            self.rounds,
            self.failures,
            MODELS[self.key.model].few,
        )
        reasons = [*self.notes, *reasons]
        return cell_of(self.key, self.outcomes, self.rounds, verdict, reasons, self.discarded)


def execute(
    settings: Settings, watch: Watcher, keep: Keeper, testbed: Testbed | None = None
) -> Run:
    """Measure, on this machine or on another testbed; `keep` gets the run after every cell.

    A KeyboardInterrupt ends it, and so does the end of the testbed: the run is returned with what
    was measured until then.
    """
    runner = _Runner(settings, watch, keep, testbed or Here())
    try:
        runner.prepare()
        for loop in settings.loops:
            runner.measure_all(loop)
    except KeyboardInterrupt:
        return runner.snapshot(interrupted=True)
    except Gone as gone:
        return msgspec.structs.replace(runner.snapshot(interrupted=True), ended=str(gone))
    return runner.snapshot(interrupted=False)


class _Runner:
    def __init__(self, settings: Settings, watch: Watcher, keep: Keeper, testbed: Testbed) -> None:
        self._settings = settings
        self._testbed = testbed
        self._watch = watch
        self._keep = keep
        self._began = time.monotonic()
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._order = random.Random(settings.seed)
        self._measured_s = 0.0
        self._gate: dict[tuple[str, str], str | None] = {}  # by model and service
        self._done = self._total = 0
        self._tallies: dict[Key, _Tally] = {}

    def prepare(self) -> None:
        """Ask the testbed what it cannot measure."""
        settings = self._settings
        for loop in settings.loops:
            for key in _keys(settings, loop):
                unsupported = _unsupported(key, settings, self._testbed)
                self._tallies[key] = _Tally(key, unsupported, settings.rate)
                if not unsupported:
                    self._total += settings.rounds

    def snapshot(self, *, interrupted: bool) -> Run:
        cells = [tally.cell() for tally in self._tallies.values() if tally.begun]
        return Run(
            started=self._started,
            took_s=round(time.monotonic() - self._began, 3),
            measured_s=round(self._measured_s, 3),
            interrupted=interrupted,
            machine=self._testbed.machine,
            hosts=self._testbed.hosts,
            settings=self._settings,
            cells=cells,
            comparisons=rank_all(cells),
        )

    def measure_all(self, loop: Loop) -> None:
        """Every cell of a loop, in as many rounds as it takes."""
        settings = self._settings
        everybody = [t for t in self._tallies.values() if t.key.loop == loop and not t.unsupported]
        for tally in everybody:
            self._check(tally)
        if loop == "open" and settings.rate is None:
            for tally in everybody:
                if not tally.failures:
                    self._find_rate(tally)
            everybody = [tally for tally in everybody if not tally.unsupported]
        number = 0
        while True:
            number += 1
            if number > settings.rounds:
                if not settings.precise:
                    return
                everybody = [t for t in everybody if not t.failures and t.wide > PRECISE]
                if number > MOST_ROUNDS:
                    self._say_what_is_wide(everybody)
                    return
            block = [tally for tally in everybody if not tally.failures]
            if not block:
                return
            if number > settings.rounds:
                self._total += len(block)
            else:
                self._done += len(everybody) - len(block)
            self._order.shuffle(block)
            for tally in block:
                self._measure(tally, number)

    def _check(self, tally: _Tally) -> None:
        """Hold its model to what the workload asks of it, once a run."""
        key = tally.key
        model, workload = MODELS[key.model], WORKLOADS[key.workload]
        which = key.model, workload.service
        if which not in self._gate:
            progress = Progress(key, 0, self._done, self._total, note=f"checking {key.model}")
            self._watch(progress)
            self._gate[which] = self._testbed.why_not(model, workload)
        if reason := self._gate[which]:
            tally.failures.append(reason)
        elif model.unchecked:
            tally.notes.append("unchecked: nobody knows whether it does what the others do")

    def _measure(self, tally: _Tally, number: int) -> None:
        progress = Progress(tally.key, number, self._done, self._total)
        tries = 0
        try:
            while True:
                outcome, finished = self._measure_once(tally, tally.rate, progress)
                # Up to twice the rounds in all: what is noisy then shall be seen.
                again = min(AGAIN, self._settings.rounds - tally.discarded)
                if tries >= again or not self._was_disturbed(finished, tries):
                    break
                tries += 1
                tally.discarded += 1
                progress.note = "noisy, once more"
        except (LaunchError, DriverError) as error:
            tally.failures.append(str(error))
            progress.failure = str(error)
        else:
            tally.outcomes.append(outcome)
            tally.rounds.append(finished)
            progress.finished = finished
        self._done += 1
        progress.done = self._done
        self._watch(progress)
        self._keep(self.snapshot(interrupted=True))

    def _was_disturbed(self, finished: Round, tries: int) -> bool:
        """Whether others had the CPU, or the machine was slower than it has been.

        The latter may last for minutes, so such a round is made again once.
        """
        if noise(finished) > WAITED:
            return True
        if tries or self._settings.rounds == 1:
            return False
        rounds = [each for tally in self._tallies.values() for each in tally.rounds]
        return not at_full_speed([finished], [*rounds, finished])[0]

    def _measure_once(
        self, tally: _Tally, rate: float | None, progress: Progress
    ) -> tuple[Outcome, Round]:
        progress.begin()
        self._watch(progress)
        outcome, finished = self._testbed.measure(
            tally.key, self._settings, rate, partial(self._count, progress), number=progress.round
        )
        self._measured_s += finished.warmup_s + finished.window_s
        return outcome, finished

    def _count(self, progress: Progress, operations: int) -> None:
        progress.count(operations)
        self._watch(progress)

    # The rate of an open loop, where it was not given.

    def _find_rate(self, tally: _Tally) -> None:
        key, settings = tally.key, self._settings
        closed = self._tallies[Key(key.model, key.workload, key.connections)]
        rates = [each.ops_per_s for each in closed.rounds] or [0.0]
        capacity = 0.0 if closed.failures else centre(rates).value
        if not capacity:
            tally.unsupported = "in a closed loop it did nothing: see there"
            self._total -= settings.rounds
            return
        if settings.load is not None:
            tally.rate = settings.load * capacity
            return
        assert settings.slo_us is not None
        promise = f"p99 below {settings.slo_us / 1000:g} ms"
        try:
            tally.rate = highest(lambda rate: self._holds(tally, rate), capacity)
        except (LaunchError, DriverError) as error:
            tally.failures.append(str(error))
            return
        if tally.rate is None:
            tally.unsupported = f"no rate was found that keeps {promise}"
            self._total -= settings.rounds
        else:
            tally.notes.append(
                f"the highest rate with {promise}: {tally.rate / capacity:.0%} of what it does "
                "in a closed loop"
            )

    def _holds(self, tally: _Tally, rate: float) -> bool:
        """Whether the promise holds at `rate`; what breaks it is given a second chance."""
        broken = 0
        for _ in range(SECOND_CHANCES + NOISY_CHANCES):
            progress = Progress(tally.key, 0, self._done, self._total)
            progress.note = f"looking for the rate: {rate:,.0f}/s"
            _, seen = self._measure_once(tally, rate, progress)
            # With fewer operations than a p99 takes, none may be later than promised.
            p99, pace = seen.latency_us.p99 or seen.latency_us.max, seen.pace
            assert pace is not None
            met = seen.ops_per_s >= MET * pace.offered and pace.late_fraction <= LATE
            if met and p99 is not None and p99 <= (self._settings.slo_us or 0):
                return True
            broken += noise(seen) <= WAITED
            if broken > SECOND_CHANCES:
                break
        return False

    def _say_what_is_wide(self, tallies: list[_Tally]) -> None:
        for tally in tallies:
            tally.notes.append(
                f"after {len(tally.rounds)} rounds the interval of the rate or of the p99 is "
                f"still ±{tally.wide:.0%}"
            )


def _keys(settings: Settings, loop: Loop) -> list[Key]:
    return [
        Key(model, workload, connections, loop)
        for workload in settings.workloads
        for connections in settings.connections
        for model in settings.models
    ]


def _unsupported(key: Key, settings: Settings, testbed: Testbed) -> str | None:
    model, workload = MODELS[key.model], WORKLOADS[key.workload]
    return testbed.unsupported(model, workload, key.connections) or (
        "it cannot be told to close first"
        if settings.close == "server" and key.workload == "tcp-short" and not model.closes
        else None
    )
