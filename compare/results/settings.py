"""What a run was asked for."""

from __future__ import annotations

import msgspec

from compare.contract.spec import Arrivals, Closer, Handshake
from compare.models.interpreter import Interpreter
from compare.models.source import Source
from compare.results.load import Number, Slow, Whole

MARGIN = 0.05  # what is nearer to the best is tied with it, if nothing else is asked for


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked for; see `Load` for what has several values. Times in seconds.

    sizes: none is each workload's usual one. ramp: idle connections are opened at so many a second.
    works_us, waits_us, slows: what a message is to cost the server. tls: "none" is plain TCP.

    interpreters: that ran the servers, where not the one that ran the rest.
    sources: checkouts that models were taken from, beside ours.
    servers: the commands of the user's own, by name.
    rounds: with fresh servers, at most; where `precise`, at most MOST_ROUNDS.
    duration_s: that each server is measured in a round, in slices of `slice_s` by turns with the
        others of the same load; where `alone`, in one window with nobody beside it.
    margin: what is nearer to the best than this is tied with it.
    rates, shares: of open loops. slo_us: the highest rate is looked for whose p99 stays below.
    warmup_s: at most; on a cluster exactly.
    server_cores, driver_core: where they run; none is anywhere. rungs: a load is put on so many of
        the server's, the first ones.
    drivers: on this machine, that put a load on one server together.
    cluster: the scheduler's address, or local:N. target: where the server stands already.
    """

    models: list[str]
    interpreters: list[Interpreter] = []
    sources: list[Source] = []
    servers: dict[str, list[str]] = {}
    workloads: list[str]
    connections: list[Whole]
    sizes: list[Whole] = []
    idle: list[Whole] = msgspec.field(default_factory=lambda: [0])
    works_us: list[Number] = []
    waits_us: list[Number] = []
    slows: list[Slow] = []
    tls: list[Handshake] = msgspec.field(default_factory=lambda: ["none"])
    ramp: Number | None = None
    rounds: Whole
    precise: bool = False
    duration_s: Number
    slice_s: Number = 0.02
    alone: bool = False
    margin: Number = MARGIN
    warmup_s: Number
    seed: Whole
    rates: list[Number] = []
    shares: list[Number] = []
    slo_us: Number | None = None
    arrivals: Arrivals = "fixed"
    close: Closer = "client"
    server_cores: list[Whole] = []
    rungs: list[Whole] = []
    driver_core: Whole | None
    drivers: Whole = 1
    cluster: str | None = None
    target: str | None = None

    def first_cores(self, many: int) -> list[int]:
        """Those that a server has under a load with so many, 0 being all; none is anywhere."""
        return self.server_cores[:many] if many else self.server_cores
