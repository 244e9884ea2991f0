"""Where cells are measured: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from compare.contract.outcome import Outcome
from compare.host.machine import Machine
from compare.measure.driver_process import Told
from compare.models.matrix import Model, Workload
from compare.results.records import Host, Key, Round, Settings


class Gone(Exception):  # noqa: N818  no error of ours
    """There is nothing left to measure on; the message is for a person."""


Finding = tuple[Outcome, Round] | str  # or why there is none


class Testbed(Protocol):
    """Where cells are measured. machine: the server's. hosts: all, where there are several."""

    machine: Machine
    hosts: list[Host]

    def unsupported(
        self, model: Model, workload: Workload, connections: int, at_once: int
    ) -> str | None:
        """Why there is nothing to measure there; None if there is. at_once: so many servers."""

    def why_not(self, model: Model, workload: Workload) -> str | None:
        """What the model does wrong, so that it is not to be measured."""

    def measure(
        self,
        keys: Sequence[Key],
        settings: Settings,
        rates: Mapping[Key, float],
        told: Told,
        *,
        number: int = 1,
    ) -> dict[Key, Finding]:
        """One round of a block: cells with the same load, each against a fresh server.

        rates: of those in an open loop. `told` hears of their operations meanwhile. number: of
        the round; each has messages and arrivals of its own. Raises Gone.
        """
