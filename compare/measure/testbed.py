"""Where cells are measured: on this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from compare.contract.outcome import Outcome
from compare.contract.spec import TLS
from compare.host.certificate import Certificate
from compare.host.launch import LaunchError
from compare.host.limits import Limits
from compare.host.machine import Machine
from compare.measure.driver_process import DriverError, Told
from compare.models.model import Model, Workload
from compare.results.records import Host, Idle, Load, Round, Settings

Say = Callable[[str], None]  # what is under way, in words


class Gone(Exception):  # noqa: N818  no error of ours
    """There is nothing left to measure on; the message is for a person."""


# Or the idle connections that it could not all serve; or why there is nothing else.
Finding = tuple[Outcome, Round] | Idle | str


@dataclass(frozen=True)
class Block:
    """One round of what is measured side by side: a load, and who is put under it.

    rates: operations a second of an open loop, by the model's name. number: of the round; each
    has messages and arrivals of its own. certificate: of the servers, where they speak TLS.
    """

    models: Sequence[Model]
    load: Load
    settings: Settings
    rates: Mapping[str, float] = field(default_factory=dict)
    number: int = 1
    certificate: Certificate | None = None

    @property
    def tls(self) -> TLS | None:
        """How the driver speaks it."""
        if self.certificate is None:
            return None
        return TLS(self.certificate.pem, resumed=self.load.tls == "resumed")


class Held(NamedTuple):
    """What came of a model held to checks.

    barred: why it may not be measured. told: what is said beside its figures.
    """

    barred: str | None = None
    told: str | None = None


class Testbed(Protocol):
    """Where cells are measured. machine, limits: the server's. hosts: all, where several are."""

    machine: Machine
    limits: Limits
    hosts: list[Host]

    def unsupported(
        self, model: Model, workload: Workload, connections: int, at_once: int
    ) -> str | None:
        """Why there is nothing to measure there; None if there is. at_once: so many servers."""

    def hold(self, model: Model, workload: Workload) -> Held:
        """What the model does wrong, and whether it is to be measured."""

    def measure(self, block: Block, told: Told, say: Say) -> dict[str, Finding]:
        """Each model against a fresh server; by their names.

        `told` hears of operations meanwhile, `say` of what comes before. Raises Gone.
        """


def one_by_one(block: Block, measure: Callable[[Model], Finding]) -> dict[str, Finding]:
    """Where each has the whole testbed for itself; what fails is a finding."""
    found: dict[str, Finding] = {}
    for model in block.models:
        try:
            found[model.name] = measure(model)
        except (LaunchError, DriverError) as error:
            found[model.name] = str(error)
    return found
