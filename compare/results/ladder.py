"""What a ladder found: frozen records, the JSON format `compare-scale/1`."""

from __future__ import annotations

import msgspec

from compare.contract.counts import Counts
from compare.host.limits import Limits
from compare.host.machine import Machine
from compare.models.interpreter import Interpreter
from compare.results.percentiles import Percentiles
from compare.results.records import Cell, Host

FORMAT = "compare-scale/1"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for. idle: connections that stand by, ascending. rate: of opening them."""

    models: list[str]
    interpreters: list[Interpreter] = []
    idle: list[int]
    connections: int
    rate: float | None
    rounds: int
    duration_s: float
    warmup_s: float
    size: int
    seed: int
    server_cores: list[int] = []
    driver_core: int | None
    cluster: str | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is used while the connections stand, beyond what was before, in KB.

    server_kb: the server's own, anonymous memory of all its processes, what they share once.
    kernel_kb: slab, where sockets live.
    all_kb: what the whole machine has less, drivers included. available_kb: what is left.
    """

    server_kb: int
    kernel_kb: int
    all_kb: int
    available_kb: int


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One model beside so many idle connections.

    connect_us: of the idle, until the handshake was done; first_reply_us until the echo.
    overflows: times that the kernel's accept queue was full (ListenOverflows), on the machine.
    cell: those that work; None where it did not come to that.
    gave_way: what did not hold, in words.
    """

    model: str
    idle: int
    processes: int
    counts: Counts
    errors: dict[str, int]
    connect_us: Percentiles
    first_reply_us: Percentiles
    took_s: float
    overflows: int
    memory: Memory | None
    cell: Cell | None
    gave_way: list[str]

    @property
    def all_served(self) -> bool:
        return self.counts.served == self.idle


class Scale(msgspec.Struct, frozen=True, kw_only=True):
    """All steps. memory_slope: bytes of server memory per idle connection, by model.

    machine, limits: the server's. hosts: those of a cluster. ended: why, where before it was
    through.
    """

    format: str = FORMAT
    started: str
    took_s: float
    interrupted: bool
    ended: str | None = None
    machine: Machine
    hosts: list[Host] = []
    limits: Limits
    settings: Settings
    steps: list[Step]
    memory_slope: dict[str, float]
