"""A run: blocks of cells with the same load, in rounds, each against fresh servers.

What a run is asked for decides how it goes on. A closed loop shows what a model can do. An open
loop at a share of that, or at the highest rate that keeps a promise, needs the closed one first.
"""

from __future__ import annotations

import datetime
import math
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import msgspec

from compare.contract.outcome import Outcome
from compare.host.cores import Cores
from compare.host.launch import LaunchError
from compare.measure.block import Here
from compare.measure.progress import Progress
from compare.measure.search import highest
from compare.measure.testbed import Finding, Gone, Testbed
from compare.models.matrix import MODELS, WORKLOADS
from compare.results.aggregation import cell_of
from compare.results.ranking import rank, rank_all
from compare.results.records import Cell, Key, Loop, Metric, Round, Run, Settings
from compare.results.statistics import mean_of
from compare.results.verdict import LATE, MET, judge

DECIDES: tuple[Metric, ...] = ("ops_per_s", "cpu_us_per_op")
MOST_ROUNDS = 30
LOOKS_FROM = 4  # rounds, before it may be over sooner
# At each look before the last an answer must hold with this; so little is left of the 5 % by all of
# them that the last may be as ever (Haybittle 1971; Peto et al. 1976).
EARLY = 0.999
SECOND_CHANCES = 1  # of a rate that seems to break the promise
LESS = 0.95  # of a rate that broke it in the rounds, tried next
STEPS = 10  # at most


Watcher = Callable[[Progress], None]
Keeper = Callable[[Run], None]


@dataclass
class _Tally:
    """What has been seen of one cell so far."""

    key: Key
    unsupported: str | None
    pinned: bool
    rate: float | None = None
    capacity: float = 0.0
    outcomes: list[Outcome] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    _cell: Cell | None = None

    @property
    def begun(self) -> bool:
        return bool(self.unsupported or self.rounds or self.failures)

    def take(self, finding: Finding) -> None:
        """What another round has found, or why there was none."""
        self._cell = None
        if isinstance(finding, str):
            self.failures.append(finding)
        else:
            self.outcomes.append(finding[0])
            self.rounds.append(finding[1])

    def give_up(self, reason: str) -> None:
        """There is nothing to measure."""
        self._cell = None
        self.unsupported = reason

    def note(self, words: str) -> None:
        self._cell = None
        self.notes.append(words)

    def begin_again(self, rate: float) -> None:
        """At another rate, for which nothing is known yet."""
        self._cell = None
        self.rate = rate
        self.outcomes.clear()
        self.rounds.clear()

    def cell(self) -> Cell:
        """All rounds together; made anew only after another one."""
        if self._cell is None:
            self._cell = self._sum_up()
        return self._cell

    def _sum_up(self) -> Cell:
        if self.unsupported:
            return cell_of(self.key, [], [], ["unsupported"], [self.unsupported])
        verdicts, reasons = judge(
            self.key.workload,
            self.key.connections,
            self.rounds,
            self.failures,
            MODELS[self.key.model].few,
            pinned=self.pinned,
        )
        reasons = [*self.notes, *reasons]
        return cell_of(self.key, self.outcomes, self.rounds, verdicts, reasons)


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
                self._tallies[key] = _Tally(key, unsupported, _pinned(key, settings), settings.rate)
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
            comparisons=rank_all(cells, self._settings.margin),
        )

    def measure_all(self, loop: Loop) -> None:
        """Every block of a loop, in as many rounds as it takes."""
        everybody = [t for t in self._tallies.values() if t.key.loop == loop and not t.unsupported]
        for tally in everybody:
            self._check(tally)
        if loop == "open" and self._settings.rate is None:
            for tally in everybody:
                if not tally.failures:
                    self._find_rate(tally)
        blocks: dict[tuple[str, int], list[_Tally]] = {}
        for tally in everybody:
            if not tally.unsupported:
                load = tally.key.workload, tally.key.connections
                blocks.setdefault(load, []).append(tally)
        open_blocks = list(blocks.values())
        number = 0
        while open_blocks:
            number += 1
            for block in open_blocks:
                self._measure(block, number)
            # Rounds of one block are far from each other, so that a bad minute is in few of them.
            open_blocks = [block for block in open_blocks if not self._is_over(block, number)]
        if loop == "open" and self._settings.slo_us is not None:
            for tally in everybody:
                if tally.rounds and not tally.failures:
                    self._keep_promise(tally)

    def _is_over(self, block: list[_Tally], number: int) -> bool:
        """Whether a block has had its rounds, or its question is answered before."""
        settings = self._settings
        left = [tally for tally in block if not tally.failures]
        most = MOST_ROUNDS if settings.precise else settings.rounds
        if number >= most or not left:
            self._leave_out(block, number)
            return True
        if len(left) < 2:
            return number >= settings.rounds
        if number < LOOKS_FROM:
            return False
        cells = [tally.cell() for tally in left]
        answers = [
            each for metric in DECIDES for each in rank(cells, metric, settings.margin, EARLY)
        ]
        over = bool(answers) and all(each.standing != "unclear" for each in answers)
        if over:
            self._leave_out(block, number)
        return over

    def _leave_out(self, block: list[_Tally], number: int) -> None:
        """The rounds that a block does not need any more."""
        if (left := self._settings.rounds - number) > 0:
            self._total -= len(block) * left
            self._watch(Progress(block[0].key, number, self._done, self._total))

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
            tally.take(reason)
        elif model.unchecked:
            tally.note("unchecked: nobody knows whether it does what the others do")

    def _measure(self, block: list[_Tally], number: int) -> None:
        """One round of a block; those that have failed are left out of it."""
        able = [tally for tally in block if not tally.failures]
        if number > self._settings.rounds:
            self._total += len(able)
        else:
            self._done += len(block) - len(able)
        groups = [[tally] for tally in able] if self._settings.alone else [able]
        self._order.shuffle(groups)
        for group in groups:
            if not group:
                continue
            progress = Progress(group[0].key, number, self._done, self._total)
            progress.beside = len(group) - 1
            found = self._measure_once(group, progress, number)
            for tally in group:
                finding = found[tally.key]
                tally.take(finding)
                progress = Progress(tally.key, number, self._done, self._total)
                if isinstance(finding, str):
                    progress.failure = finding
                else:
                    progress.finished = finding[1]
                self._done += 1
                progress.done = self._done
                self._watch(progress)
            self._keep(self.snapshot(interrupted=True))

    def _measure_once(
        self, group: list[_Tally], progress: Progress, number: int
    ) -> dict[Key, Finding]:
        progress.begin()
        self._watch(progress)
        rates = {tally.key: tally.rate for tally in group if tally.rate is not None}
        found = self._testbed.measure(
            [tally.key for tally in group],
            self._settings,
            rates,
            partial(self._count, progress),
            number=number,
        )
        for each in found.values():
            if not isinstance(each, str):
                self._measured_s += each[1].warmup_s + each[1].window_s
        return found

    def _count(self, progress: Progress, operations: int) -> None:
        progress.count(operations)
        self._watch(progress)

    # The rate of an open loop, where it was not given.

    def _find_rate(self, tally: _Tally) -> None:
        key, settings = tally.key, self._settings
        closed = self._tallies[Key(key.model, key.workload, key.connections)]
        rates = [each.ops_per_s for each in closed.rounds] or [0.0]
        capacity = 0.0 if closed.failures else statistics.fmean(rates)
        if not capacity:
            tally.give_up("in a closed loop it did nothing: see there")
            self._total -= settings.rounds
            return
        tally.capacity = capacity
        if settings.load is not None:
            tally.rate = settings.load * capacity
            return
        try:
            tally.rate = highest(lambda rate: self._holds(tally, rate), capacity)
        except LaunchError as error:
            tally.take(str(error))
            return
        if tally.rate is None:
            tally.give_up(f"no rate was found that keeps {self._promise}")
            self._total -= settings.rounds

    @property
    def _promise(self) -> str:
        return f"p99 below {(self._settings.slo_us or 0) / 1000:g} ms"

    def _keep_promise(self, tally: _Tally) -> None:
        """The search looked once at each rate: in the rounds the promise must hold beyond doubt."""
        for _ in range(STEPS):
            assert tally.rate is not None
            if self._is_kept(tally):
                tally.note(
                    f"the highest rate with {self._promise}: {tally.rate / tally.capacity:.0%} of "
                    "what it does in a closed loop"
                )
                return
            tally.begin_again(tally.rate * LESS)
            for number in range(1, self._settings.rounds + 1):
                self._total += 1
                self._measure([tally], number)
                if tally.failures:
                    return
        tally.give_up(f"no rate was found that keeps {self._promise} in every round")

    def _is_kept(self, tally: _Tally) -> bool:
        tails = [each.latency_us.p99 or each.latency_us.max for each in tally.rounds]
        known = [tail for tail in tails if tail is not None]
        p99 = mean_of(known) if known and len(known) == len(tails) else None
        worst = p99.interval[1] if p99 and p99.interval else p99.value if p99 else math.inf
        return worst <= (self._settings.slo_us or 0) and all(map(_keeps_up, tally.rounds))

    def _holds(self, tally: _Tally, rate: float) -> bool:
        """Whether the promise holds at `rate`; what breaks it is given a second chance."""
        for _ in range(1 + SECOND_CHANCES):
            progress = Progress(tally.key, 0, self._done, self._total)
            progress.note = f"looking for the rate: {rate:,.0f}/s"
            tally.rate = rate
            finding = self._measure_once([tally], progress, 0)[tally.key]
            if isinstance(finding, str):
                raise LaunchError(finding)
            _, seen = finding
            # With fewer operations than a p99 takes, none may be later than promised.
            p99 = seen.latency_us.p99 or seen.latency_us.max
            if _keeps_up(seen) and p99 is not None and p99 <= (self._settings.slo_us or 0):
                return True
        return False


def _keeps_up(seen: Round) -> bool:
    """Whether server and driver both did what was due."""
    assert seen.pace is not None
    done = seen.operations / seen.window_s if seen.window_s else 0.0
    return done >= MET * seen.pace.offered and seen.pace.late_fraction <= LATE


def _keys(settings: Settings, loop: Loop) -> list[Key]:
    return [
        Key(model, workload, connections, loop)
        for workload in settings.workloads
        for connections in settings.connections
        for model in settings.models
    ]


def _unsupported(key: Key, settings: Settings, testbed: Testbed) -> str | None:
    model, workload = MODELS[key.model], WORKLOADS[key.workload]
    able = [name for name in settings.models if not MODELS[name].unsupported(workload)]
    at_once = 1 if settings.alone else max(1, len(able))
    return testbed.unsupported(model, workload, key.connections, at_once) or (
        "it cannot be told to close first"
        if settings.close == "server" and key.workload == "tcp-short" and not model.closes
        else None
    )


def _pinned(key: Key, settings: Settings) -> bool:
    """Whether server and driver have cores of their own; on a cluster that is the hosts' affair."""
    theirs = MODELS[key.model].cores or tuple(settings.server_cores)
    return bool(settings.cluster) or Cores(theirs, settings.driver_core).apart
