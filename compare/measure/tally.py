"""What has been seen of one cell so far, round by round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from compare.contract.outcome import Outcome
from compare.measure.testbed import Finding
from compare.models.model import Model
from compare.results.aggregation import cell_of
from compare.results.records import Cell, Idle, Key, Load, Round
from compare.results.store import readable
from compare.results.verdict import judge

UNRESUMED = 0.02  # of the sessions that were offered: the first of each place has none


@dataclass
class Tally:
    """pinned: server and driver have cores of their own, the server so many. rate: of an open loop.

    capacity: what it does in a closed one, where that was asked. driver_was_late: at a rate at
    which the promise may have held. keeps_promise: its rounds do, beyond doubt.
    """

    model: Model
    load: Load
    unsupported: str | None
    pinned: bool
    cores: int = 1
    rate: float | None = None
    capacity: float = 0.0
    driver_was_late: bool = False
    keeps_promise: bool = False
    outcomes: list[Outcome] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    gave_way: Idle | None = None
    notes: list[str] = field(default_factory=list)
    _cell: Cell | None = None

    @property
    def key(self) -> Key:
        return Key(self.model.name, self.load)

    @property
    def begun(self) -> bool:
        return bool(self.unsupported or self.rounds or self.failures or self.gave_way)

    @property
    def over(self) -> bool:
        """Whether another round would show nothing."""
        return bool(self.unsupported or self.failures or self.gave_way)

    @property
    def why_over(self) -> str:
        """What its last round met with; nothing, where it is not over."""
        return "; ".join(self.failures or (self.gave_way.gave_way if self.gave_way else []))

    def take(self, finding: Finding) -> None:
        """What another round has found, or why there was none."""
        self._cell = None
        if isinstance(finding, str):
            self.failures.append(readable(finding))  # it may name a file
        elif isinstance(finding, Idle):
            self.gave_way = finding
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

    def begin_again(
        self, rate: float, outcomes: Sequence[Outcome] = (), rounds: Sequence[Round] = ()
    ) -> None:
        """At another rate, with what is known of that."""
        self._cell = None
        self.rate = rate
        self.failures.clear()
        self.gave_way = None
        self.outcomes[:] = outcomes
        self.rounds[:] = rounds

    def _unresumed(self) -> list[str]:
        """Where sessions were offered and not taken, its handshakes are not what was asked for."""
        done = [each.handshakes for each in self.rounds if each.handshakes]
        full = sum(each.full for each in done) - len(done) * self.load.connections
        resumed = sum(each.resumed for each in done)
        if self.load.tls != "resumed" or full <= UNRESUMED * (full + resumed):
            return []
        return [f"it took up {resumed:,} of {full + resumed:,} sessions: the others began anew"]

    def cell(self) -> Cell:
        """All rounds together; made anew only after another one."""
        if self._cell is None:
            self._cell = self._sum_up()
        return self._cell

    def _sum_up(self) -> Cell:
        if self.unsupported:
            return cell_of(self.key, [], [], ["unsupported"], [self.unsupported])
        if self.gave_way and not self.failures:
            reasons = [*self.notes, *self.gave_way.gave_way]
            return cell_of(self.key, [], [], ["gave-way"], reasons, self.gave_way)
        verdicts, reasons = judge(
            self.load.workload,
            self.load.connections,
            self.rounds,
            self.failures,
            self.model.few,
            pinned=self.pinned,
            cores=self.cores,
        )
        held = [each.held for each in self.rounds if each.held]
        words = dict.fromkeys(words for each in held for words in each.gave_way)
        reasons = [*self.notes, *words, *self._unresumed(), *reasons]
        return cell_of(self.key, self.outcomes, self.rounds, verdicts, reasons)
