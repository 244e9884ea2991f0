"""A run: every cell once per round, in shuffled order, each against a fresh server."""

from __future__ import annotations

import datetime
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from compare import process
from compare.driver.drive import Outcome
from compare.driver.load import Spec
from compare.driver_process import CONNECTS_PER_S, Driver, DriverError
from compare.fit import misfit
from compare.launch import STOP_TIMEOUT_S, LaunchError, Server
from compare.machine import look
from compare.matrix import MODELS, WORKLOADS
from compare.result import Cell, Key, Round, Run, Settings, cell_of, round_of
from compare.verdict import judge


@dataclass
class Progress:
    """What a watcher is told. `done` and `total` count cells over all rounds."""

    key: Key
    round: int
    done: int
    total: int
    finished: Round | None = None
    failure: str | None = None


Watcher = Callable[[Progress], None]
Keeper = Callable[[Run], None]


@dataclass
class _Tally:
    """What has been seen of one cell so far."""

    key: Key
    unsupported: str | None
    outcomes: list[Outcome] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    _summed_up: tuple[int, Cell] | None = None

    @property
    def begun(self) -> bool:
        return bool(self.unsupported or self.rounds or self.failures)

    def cell(self) -> Cell:
        """All rounds together; made anew only after another one."""
        rounds = len(self.rounds) + len(self.failures)
        if self._summed_up is None or self._summed_up[0] != rounds:
            self._summed_up = (rounds, self._sum_up())
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
        return cell_of(self.key, self.outcomes, self.rounds, verdict, reasons)


def execute(settings: Settings, watch: Watcher, keep: Keeper) -> Run:
    """Measure; `keep` gets the run as it stands after every cell.

    A KeyboardInterrupt ends it: the run is returned with what was measured until then.
    """
    began = time.monotonic()
    started = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    machine = look()
    tallies = {key: _Tally(key, _unsupported(key)) for key in _keys(settings)}
    order = random.Random(settings.seed)
    measured = 0.0

    def snapshot(*, interrupted: bool) -> Run:
        return Run(
            started=started,
            took_s=round(time.monotonic() - began, 3),
            measured_s=round(measured, 3),
            interrupted=interrupted,
            machine=machine,
            settings=settings,
            cells=[tally.cell() for tally in tallies.values() if tally.begun],
        )

    runnable = [tally for tally in tallies.values() if not tally.unsupported]
    total, done = len(runnable) * settings.rounds, 0
    try:
        for number in range(1, settings.rounds + 1):
            block = [tally for tally in runnable if not tally.failures]
            order.shuffle(block)
            done = (number - 1) * len(runnable) + len(runnable) - len(block)
            for tally in block:
                progress = Progress(tally.key, number, done, total)
                watch(progress)
                try:
                    outcome, finished = _measure(tally.key, settings, partial(watch, progress))
                except (LaunchError, DriverError) as error:
                    tally.failures.append(str(error))
                    progress.failure = str(error)
                else:
                    tally.outcomes.append(outcome)
                    tally.rounds.append(finished)
                    progress.finished = finished
                    measured += settings.warmup_s + finished.window_s
                done += 1
                progress.done = done
                watch(progress)
                keep(snapshot(interrupted=True))
    except KeyboardInterrupt:
        return snapshot(interrupted=True)
    return snapshot(interrupted=False)


def _keys(settings: Settings) -> list[Key]:
    return [
        Key(model, workload, connections)
        for workload in settings.workloads
        for connections in settings.connections
        for model in settings.models
    ]


def _unsupported(key: Key) -> str | None:
    model, workload = MODELS[key.model], WORKLOADS[key.workload]
    return model.unsupported(workload) or misfit(model, workload, key.connections)


def _measure(key: Key, settings: Settings, wait: Callable[[], None]) -> tuple[Outcome, Round]:
    """One cell, once. Raises LaunchError for the server's failures, DriverError for ours."""
    model, workload = MODELS[key.model], WORKLOADS[key.workload]
    # The driver starts up while the server does.
    with (
        Driver(settings.driver_core) as driver,
        Server(model.argv(workload), settings.server_core) as server,
    ):
        baseline = process.size(server.pid).descriptors
        spec = Spec(
            workload=key.workload,
            host=server.host,
            port=server.port,
            connections=key.connections,
            size=settings.sizes[key.workload],
            warmup_s=settings.warmup_s,
            duration_s=settings.duration_s,
            seed=settings.seed,
            server_pid=server.pid,
            server_core=settings.server_core,
            driver_core=settings.driver_core,
        )
        failure: DriverError | None = None
        try:
            outcome = driver.drive(spec, wait)
        except DriverError as error:
            failure = error
        if ending := server.died():
            raise LaunchError(f"the server ended while it was measured: {ending}")
        if failure:
            raise failure
        # Ten thousand threads need their time to end, too.
        server.stop(STOP_TIMEOUT_S + key.connections / CONNECTS_PER_S)
        messages = [*outcome.details]
        if "Traceback" in (said := server.stderr_tail()):
            messages.append(f"stderr: {said.splitlines()[-1]}")
        return outcome, round_of(outcome, baseline, messages)
