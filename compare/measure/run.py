"""A run: blocks of models under the same load, in rounds, each against fresh servers.

What a run is asked for decides how it goes on. A closed loop shows what a model can do. An open
loop at a share of that, or at the highest rate that keeps a promise, needs the closed one first.
"""

from __future__ import annotations

import datetime
import itertools
import math
import random
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import get_args

import msgspec

from compare.host.cores import Cores
from compare.measure.block import Here
from compare.measure.loads import loads_of
from compare.measure.progress import Progress
from compare.measure.promise import keep, keep_up
from compare.measure.search import highest
from compare.measure.tally import Tally
from compare.measure.testbed import Block, Finding, Gone, Held, Testbed
from compare.models.matrix import WORKLOADS
from compare.models.model import Model
from compare.results.breakeven import break_evens
from compare.results.ranking import rank, rank_all
from compare.results.records import Cell, Idle, Load, Loop, Metric, Run, Settings
from compare.results.scalability import scalabilities
from compare.results.verdict import LATE

DECIDES: dict[Loop, tuple[Metric, ...]] = {
    "closed": ("ops_per_s", "cpu_us_per_op"),
    "open": ("p99_us", "cpu_us_per_op"),
}
MOST_ROUNDS = 30
# Half an interval, of what is told before the rounds are over.
NARROW: dict[Metric, float] = {"cpu_us_per_op": 0.03, "ops_per_s": 0.05, "p99_us": 0.2}
LOOKS_FROM = 4  # rounds, before it may be over sooner
# At each look before the last an answer must hold with this; so little is left of the 5 % by all of
# them that the last may be as ever (Haybittle 1971; Peto et al. 1976).
EARLY = 0.999
SECOND_CHANCES = 1  # of a rate that seems to break the promise
LIMITED = {"driver-bound", "both-full", "unbound", "not-pinned"}  # not by the server alone
IDLE_AT_ONCE = 100_000  # of all servers of a block; where there were more, they stand apart
UNPAIRED = 1_000_000  # from here on the number of a round is that of no other
LOOPS: tuple[Loop, ...] = get_args(Loop)


Watcher = Callable[[Progress], None]
Keeper = Callable[[Run], None]


def execute(
    settings: Settings,
    models: Sequence[Model],
    watch: Watcher,
    keep: Keeper,
    testbed: Testbed | None = None,
) -> Run:
    """Measure, on this machine or on another testbed; `keep` gets the run after every round.

    A KeyboardInterrupt ends it, and so does the end of the testbed: the run is returned with what
    was measured until then.
    """
    runner = _Runner(settings, models, watch, keep, testbed or Here())
    try:
        runner.prepare()
        for loop in LOOPS:
            runner.measure_all(loop)
    except KeyboardInterrupt:
        return runner.snapshot(interrupted=True)
    except Gone as gone:
        return msgspec.structs.replace(runner.snapshot(interrupted=True), ended=str(gone))
    return runner.snapshot(interrupted=False)


class _OverError(Exception):
    """No rate is to be found: the tally knows why."""


class _Runner:
    def __init__(
        self,
        settings: Settings,
        models: Sequence[Model],
        watch: Watcher,
        keep: Keeper,
        testbed: Testbed,
    ) -> None:
        self._settings = settings
        self._models = models
        self._testbed = testbed
        self._watch = watch
        self._keep = keep
        self._began = time.monotonic()
        self._started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._order = random.Random(settings.seed)
        self._measured_s = 0.0
        self._gate: dict[tuple[str, str], Held] = {}  # by model and service
        self._done = self._total = 0
        self._tallies: dict[Load, list[Tally]] = {}
        self._unpaired = itertools.count(UNPAIRED)

    def prepare(self) -> None:
        """Ask the testbed what it cannot measure."""
        for load in loads_of(self._settings):
            self._tallies[load] = [self._tally(model, load) for model in self._models]
            able = [each for each in self._tallies[load] if not each.unsupported]
            self._total += len(able) * self._settings.rounds

    def _tally(self, model: Model, load: Load) -> Tally:
        settings = self._settings
        cores = Cores(model.cores or tuple(settings.first_cores(load.cores)), settings.driver_core)
        apart = bool(settings.cluster) or cores.apart  # there it is the hosts' affair
        many = max(1, len(cores.server))
        tally = Tally(model, load, self._unsupported(model, load), apart, many, load.rate)
        if model.cores:
            tally.note(f"on cores of its own: {', '.join(map(str, model.cores))}")
        return tally

    def _unsupported(self, model: Model, load: Load) -> str | None:
        workload = WORKLOADS[load.workload]
        able = [each for each in self._models if not each.unsupported(workload)]
        at_once = 1 if self._is_apart(load, len(able)) else max(1, len(able))
        tls = model.without_tls if load.tls != "none" else None
        return self._testbed.unsupported(model, workload, load.connections, at_once) or (
            "it cannot be told to close first"
            if self._settings.close == "server"
            and load.workload == "tcp-short"
            and not model.closes
            else (model.unhandled if load.is_handled else None) or tls
        )

    def _is_apart(self, load: Load, many: int) -> bool:
        """Whether each server is measured with nobody beside it."""
        return self._settings.alone or load.idle * many > IDLE_AT_ONCE

    def snapshot(self, *, interrupted: bool) -> Run:
        everybody = [tally for tallies in self._tallies.values() for tally in tallies]
        cells = [tally.cell() for tally in everybody if tally.begun]
        return Run(
            started=self._started,
            took_s=round(time.monotonic() - self._began, 3),
            measured_s=round(self._measured_s, 3),
            interrupted=interrupted,
            machine=self._testbed.machine,
            limits=self._testbed.limits,
            hosts=self._testbed.hosts,
            settings=self._settings,
            cells=cells,
            comparisons=rank_all(cells, self._settings.margin),
            break_evens=break_evens(cells, self._settings.margin),
            scalability=scalabilities(cells),
        )

    def measure_all(self, loop: Loop) -> None:
        """Every block of a loop, in as many rounds as it takes."""
        blocks = [block for load, block in self._tallies.items() if load.loop == loop]
        everybody = [tally for block in blocks for tally in block]
        for tally in everybody:
            if not tally.over:
                self._check(tally)
        for tally in everybody:
            if loop == "open" and tally.load.rate is None and not tally.over:
                self._find_rate(tally)
        number = 0
        while blocks := [block for block in blocks if not self._is_over(block, number)]:
            number += 1
            for block in blocks:
                # Rounds of one block are far from each other: a bad minute is in few of them.
                self._measure(block, number)
        for tally in everybody:
            if loop == "open" and self._settings.slo_us is not None and not tally.over:
                self._keep_promise(tally)

    def _is_over(self, block: list[Tally], number: int) -> bool:
        """Whether a block has had its rounds, or its question is answered before."""
        settings = self._settings
        left = [tally for tally in block if not tally.over]
        most = MOST_ROUNDS if settings.precise else settings.rounds
        if number >= most or not left:
            over = True
        elif len(left) < 2:
            over = number >= settings.rounds
        elif number < LOOKS_FROM:
            over = False
        else:
            over = self._is_told([tally.cell() for tally in left], DECIDES[block[0].load.loop])
        if over and left and (spared := settings.rounds - number) > 0:
            self._total -= len(left) * spared
            self._watch(Progress(left[0].key, number, self._done, self._total))
        return over

    def _is_told(self, cells: list[Cell], metrics: Sequence[Metric]) -> bool:
        """Whether all is told beyond doubt, and by how much to within a few per cent."""
        margin = self._settings.margin
        early = [each for metric in metrics for each in rank(cells, metric, margin, EARLY)]
        if not early or any(each.standing == "unclear" for each in early):
            return False
        return all(
            math.log(each.ratio_ci95[1] / each.ratio_ci95[0]) / 2 <= math.log1p(NARROW[each.metric])
            for metric in metrics
            for each in rank(cells, metric, margin)
            if each.ratio_ci95
        )

    def _check(self, tally: Tally) -> None:
        """Hold its model to what the workload asks of it, once a run."""
        model, workload = tally.model, WORKLOADS[tally.load.workload]
        which = model.name, workload.service
        if which not in self._gate:
            note = f"checking {model.name}"
            self._watch(Progress(tally.key, 0, self._done, self._total, note=note))
            held = self._gate[which] = self._testbed.hold(model, workload)
            if words := held.barred or held.told:
                done = "not measured" if held.barred else "measured all the same"
                said = f"{model.name} is {done}: {words}"
                self._watch(Progress(tally.key, 0, self._done, self._total, said=said))
        held = self._gate[which]
        if held.barred:
            tally.take(held.barred)
            self._total -= self._settings.rounds
        elif held.told:
            tally.note(held.told)
        elif model.unchecked:
            tally.note("unchecked: nobody knows whether it does what the others do")

    def _measure(self, block: list[Tally], number: int, unpaired: int | None = None) -> None:
        """One round of a block; those of which no more is to be seen are left out of it.

        unpaired: what it is known by instead, where it is beyond those that were asked for, and
        nobody has one that could be paired with it.
        """
        able = [tally for tally in block if not tally.over]
        # Who is started last is a per cent slower, for as long as it lives.
        self._order.shuffle(able)
        if unpaired or number > self._settings.rounds:
            self._total += len(able)
        apart = self._is_apart(block[0].load, len(able))
        groups = [[tally] for tally in able] if apart or not able else [able]
        for group in groups:
            progress = Progress(group[0].key, number, self._done, self._total)
            progress.beside = len(group) - 1
            found = self._measure_once(group, progress, unpaired or number)
            for tally in group:
                finding = found[tally.model.name]
                tally.take(finding)
                self._done += 1
                spared = 0 if unpaired else self._settings.rounds - number
                if tally.over and spared > 0:
                    self._total -= spared
                self._tell(tally, finding, number)
                if tally.gave_way:
                    self._spare_more(tally)
            self._keep(self.snapshot(interrupted=True))

    def _tell(self, tally: Tally, finding: Finding, number: int) -> None:
        progress = Progress(tally.key, number, self._done, self._total)
        if isinstance(finding, str):
            progress.failure = f"failed: {finding}"
        elif isinstance(finding, Idle):
            progress.failure = f"gave way: {'; '.join(finding.gave_way)}"
        else:
            progress.finished = finding[1]
        self._watch(progress)

    def _spare_more(self, tally: Tally) -> None:
        """Who cannot serve so many idle connections is not asked for more."""
        same = msgspec.structs.replace(tally.load, idle=0)
        for load, block in self._tallies.items():
            if load.idle <= tally.load.idle or msgspec.structs.replace(load, idle=0) != same:
                continue
            for more in block:
                if more.model is tally.model and not more.begun:
                    more.give_up(f"it gave way at {tally.load.idle:,} idle connections already")
                    self._total -= self._settings.rounds

    def _measure_once(
        self, group: list[Tally], progress: Progress, number: int
    ) -> dict[str, Finding]:
        progress.begin()
        self._watch(progress)
        found = self._testbed.measure(
            Block(
                [tally.model for tally in group],
                group[0].load,
                self._settings,
                {tally.model.name: tally.rate for tally in group if tally.rate is not None},
                number,
            ),
            partial(self._count, progress),
            partial(self._say, progress),
        )
        for each in found.values():
            if isinstance(each, tuple):
                self._measured_s += each[1].warmup_s + each[1].window_s
        return found

    def _say(self, progress: Progress, words: str) -> None:
        progress.note = words
        self._watch(progress)

    def _count(self, progress: Progress, operations: int) -> None:
        progress.count(operations)
        self._watch(progress)

    # The rate of an open loop, where it was not given.

    def _find_rate(self, tally: Tally) -> None:
        settings = self._settings
        beside = self._tallies[tally.load.closed]
        closed = next(each for each in beside if each.model is tally.model)
        rates = [each.ops_per_s for each in closed.rounds] or [0.0]
        capacity = 0.0 if closed.over else statistics.fmean(rates)
        if not capacity:
            tally.give_up("in a closed loop it did nothing: see there")
            self._total -= settings.rounds
            return
        tally.capacity = capacity
        if tally.load.share is not None:
            tally.rate = tally.load.share * capacity
            if limits := LIMITED & {*closed.cell().verdicts}:
                tally.note(f"its closed loop was {min(limits)}: it may be able to do more")
            return
        try:
            tally.rate = highest(lambda rate: self._holds(tally, rate), capacity)
        except _OverError:
            self._total -= settings.rounds
            if tally.gave_way:
                self._spare_more(tally)
            return
        if tally.rate is None:
            tally.give_up(f"no rate was found that keeps {self._promise}")
            self._total -= settings.rounds

    @property
    def _promise(self) -> str:
        return f"p99 below {(self._settings.slo_us or 0) / 1000:g} ms"

    def _keep_promise(self, tally: Tally) -> None:
        """The search looked once at each rate: in the rounds the promise must hold beyond doubt."""

        def measure() -> None:
            self._measure([tally], len(tally.rounds) + 1, next(self._unpaired))

        through = False
        try:
            keep(tally, self._settings.slo_us or 0, self._settings.rounds, measure)
            through = True
        finally:
            if tally.keeps_promise:
                which = "the highest" if through else "a"
                share = (tally.rate or 0.0) / tally.capacity
                tally.note(
                    f"{which} rate with {self._promise}: {share:.0%} of what it does in a closed "
                    "loop"
                )
        if tally.keeps_promise and tally.driver_was_late:
            tally.note("at higher rates the driver was late: the server may do more")
        elif not (tally.keeps_promise or tally.over):
            tally.give_up(f"no rate was found that keeps {self._promise} in every round")

    def _holds(self, tally: Tally, rate: float) -> bool:
        """Whether the promise holds at `rate`; what breaks it is given a second chance."""
        for _ in range(1 + SECOND_CHANCES):
            progress = Progress(tally.key, 0, self._done, self._total)
            progress.note = f"looking for the rate: {rate:,.0f}/s"
            tally.rate = rate
            finding = self._measure_once([tally], progress, 0)[tally.model.name]
            if not isinstance(finding, tuple):
                tally.take(finding)
                raise _OverError
            _, seen = finding
            # With fewer operations than a p99 takes, none may be later than promised.
            p99 = seen.latency_us.p99 or seen.latency_us.max
            if keep_up([seen]) and p99 is not None and p99 <= (self._settings.slo_us or 0):
                return True
            tally.driver_was_late |= seen.pace is not None and seen.pace.late_fraction > LATE
        return False
