"""Where cells are measured: on this machine, or on a cluster."""

from __future__ import annotations

from typing import Protocol

from compare.driver.outcome import Outcome
from compare.host.machine import Machine
from compare.measure.driver_process import Told
from compare.models.matrix import Model, Workload
from compare.results.records import Host, Key, Round, Settings


class Gone(Exception):  # noqa: N818  no error of ours
    """There is nothing left to measure on; the message is for a person."""


class Testbed(Protocol):
    """Where cells are measured. machine: the server's. hosts: all, where there are several."""

    machine: Machine
    hosts: list[Host]

    def unsupported(self, model: Model, workload: Workload, connections: int) -> str | None:
        """Why there is nothing to measure there; None if there is."""

    def why_not(self, model: Model, workload: Workload) -> str | None:
        """What the model does wrong, so that it is not to be measured."""

    def measure(
        self, key: Key, settings: Settings, rate: float | None, told: Told, *, number: int = 0
    ) -> tuple[Outcome, Round]:
        """Measure `key`; in an open loop at `rate`. `told` hears of its operations meanwhile.

        number: of the round; each has messages and arrivals of its own.

        Raises LaunchError for the server's failures, DriverError for ours, and Gone.
        """
