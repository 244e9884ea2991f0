"""What was typed for `compare run`, held to what can be meant, and what it comes to."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from compare.commands.where import Where, where
from compare.contract.spec import Arrivals, Closer, Handshake
from compare.host import calls, certificate
from compare.host.limits import Limits
from compare.measure.idle import most
from compare.measure.run import IDLE_AT_ONCE
from compare.models.matrix import WORKLOADS
from compare.models.model import Model
from compare.results.records import Settings, Slow
from compare.results.store import readable

ROUNDS, QUICK_ROUNDS, IDLE_ROUNDS = 11, 4, 3
SLICE_US, OPEN_SLICE_US = 20_000.0, 100_000.0
MOST_WAITING = 256 * 1024  # bytes of a message; a server drops who has 1 MiB to be read
SLOW_ONES = 5  # that a slice has room for
SLO_SLICE_US = 500_000.0  # near its limit a queue takes its time to build up
LEAST_SLICE_US, MOST_SLICE_US = 5_000.0, 10_000_000.0
SLICED_WARMUP_S = 0.5  # at most, of each server in each round
WARMUP_S = 2.0  # the same, of one that is alone
SHARED_WARMUP_S = 0.5  # of several drivers, so that their windows are one
OVER_TLS = ("tcp-long", "tcp-short")
HELD = ("tcp-long", "tcp-short")  # what idle connections can stand beside


@dataclass(frozen=True)
class Asked:
    """What was typed. Times of `slice_s` and `slo` in us, of `duration` in s."""

    models: list[str] | None
    sets: list[str] | None
    pythons: tuple[str, ...]
    sources: tuple[str, ...]
    workloads: list[str]
    connections: list[int]
    idle: list[int | str] | None
    hold: float | None
    ramp: float | None
    rounds: int | str | None
    duration: float | None
    slice_s: float | None
    alone: bool
    margin: float
    sizes: list[int] | None
    works: list[float] | None
    waits: list[float] | None
    slows: list[Slow] | None
    rates: list[float] | None
    shares: list[float] | None
    slo: float | None
    arrivals: Arrivals | None
    closer: Closer
    tls: list[Handshake] | None
    seed: int | None
    json_path: str | None
    markdown_path: str | None
    store: Path | None
    server: list[Model]
    config: list[Model]
    unchecked: bool
    ready_timeout: float | None
    required: tuple[str, ...]
    profile: str | None
    quick: bool
    drivers: int
    server_cores: str | None
    cluster: str | None
    target: str | None
    tls_ca: Path | None
    tls_cert: Path | None
    tls_key: Path | None
    insecure: bool
    cores: str | None = None
    rungs: list[int] | None = None

    def check(self) -> None:
        """Raises click.UsageError and click.BadParameter for what cannot be meant."""
        for name in self.workloads:
            workload = WORKLOADS[name]
            for size in self.sizes or []:
                if not workload.smallest <= size <= workload.largest:
                    raise click.BadParameter(
                        f"{size} does not suit {name}, whose messages have {workload.smallest} to "
                        f"{workload.largest} bytes.",
                        param_hint="'--size'",
                    )
                if any(self.waits or []) and size > MOST_WAITING:
                    raise click.BadParameter(
                        f"with --wait a message has at most {MOST_WAITING} bytes, since what waits "
                        f"to be answered is kept; {size} are more.",
                        param_hint="'--size'",
                    )
        if sum(each is not None for each in (self.rates, self.shares, self.slo)) > 1:
            raise click.UsageError("--rate, --load and --slo exclude each other: choose one.")
        if self.slice_s is not None and not LEAST_SLICE_US <= self.slice_s <= MOST_SLICE_US:
            raise click.BadParameter(
                f"a slice lasts from {LEAST_SLICE_US / 1000:g}ms to {MOST_SLICE_US / 1e6:g}s.",
                param_hint="'--slice'",
            )
        if list(self.outputs.values()).count("-") > 1:
            raise click.UsageError("--json and --markdown cannot both have stdout: name a file.")
        if self.drivers > 1 and self.cluster:
            raise click.UsageError("--drivers are on this machine, those of --cluster elsewhere.")
        if any(self.held):
            if other := [name for name in self.workloads if name not in HELD]:
                raise click.UsageError(
                    f"nobody stands idle in {other[0]}: --idle goes with --workloads "
                    f"{' or '.join(HELD)}."
                )
            if self.target:
                raise click.UsageError("--idle takes a fresh server, and --target stands already.")
        elif self.ramp:
            raise click.UsageError("--ramp is how fast those of --idle are opened: say how many.")
        chosen = self.models or self.sets or self.server or self.config
        cost = self.works or self.waits or self.slows
        made = cost or self.pythons or self.sources or self.unchecked or self.closer == "server"
        if self.target and (chosen or made):
            raise click.UsageError(
                "--target is the one server, and stands already: leave --models, --set, --python, "
                "--source, --server, --config, --unchecked, --close server, --work, --wait and "
                "--slow out."
            )
        if self.tls and {*self.tls} != {"none"}:
            self._check_tls()
        self._check_that_all_is_used()

    def profiled(self, models: Sequence[Model]) -> list[str]:
        """The models whose system calls are to be counted. Raises click.UsageError."""
        if self.profile is None:
            return []
        names = [each.strip() for each in self.profile.split(",")]
        known = [each.name for each in models]
        if others := [each for each in names if each not in known]:
            raise click.UsageError(
                f"--profile {others[0]!r} is none of what is measured: {', '.join(known)}."
            )
        if self.cluster or self.rates:
            raise click.UsageError(
                "--profile is of closed loops on this machine: leave --cluster and --rate out."
            )
        if words := calls.why_not():
            raise click.UsageError(words)
        return names

    def _check_tls(self) -> None:
        if other := [name for name in self.workloads if name not in OVER_TLS]:
            raise click.UsageError(
                f"{other[0]} is not measured over TLS: --tls goes with --workloads "
                f"{' or '.join(OVER_TLS)}."
            )
        if self.cluster:
            raise click.UsageError("--tls is on this machine: leave --cluster out.")
        if words := certificate.why_not():
            raise click.UsageError(words)
        if "resumed" in (self.tls or ()) and "tcp-short" not in self.workloads:
            raise click.UsageError(
                "--tls resumed is of tcp-short: connections that stay open have one handshake, and "
                "no session before it. Say --tls, or --workloads tcp-short."
            )

    def _check_that_all_is_used(self) -> None:
        """What would do nothing is refused: whoever typed it expects something of it."""
        paced = self.rates or self.shares or self.slo
        apart = "--alone" if self.alone else "--cluster" if self.cluster else ""
        apart = apart or ("--drivers" if self.drivers > 1 else "")
        own = self.server or self.config
        slice_s = (self.slice_s or 0.0) / 1e6
        for idle, words in (
            (
                self.arrivals and not paced,
                "--arrivals are of an open loop: it goes with --rate, --load or --slo.",
            ),
            (
                self.closer != "client" and "tcp-short" not in self.workloads,
                "--close says who ends the connections of tcp-short, which is not among "
                "--workloads.",
            ),
            (
                slice_s and apart,
                f"with {apart} each server is measured in one window: leave --slice out.",
            ),
            (
                slice_s and not apart and slice_s > self._duration_s(),
                f"a slice is a part of a round, which lasts {self._duration_s():g} s: a shorter "
                "--slice, or a longer --duration.",
            ),
            (
                self.unchecked and not own,
                "--unchecked is of servers of your own: it goes with --server or --config.",
            ),
            (
                self.ready_timeout and not own,
                "--ready-timeout is of servers of your own: it goes with --server or --config.",
            ),
            (
                (self.cores or self.server_cores or self.rungs) and self.cluster,
                f"--{'server-cores' if self.server_cores else 'cores'} are of this machine, and "
                "those of --cluster choose theirs.",
            ),
            (
                self.cores and self.server_cores,
                "--cores names the server's, too: leave --server-cores out.",
            ),
            (
                self.rungs and any(each.cores for each in self.config),
                "a server with cores of its own in --config has no more of them by --cores.",
            ),
        ):
            if idle:
                raise click.UsageError(words)

    def _duration_s(self) -> float:
        """Of a round, if it was not said."""
        if self.duration:
            return self.duration
        alone = self._is_alone
        if self.quick:  # one by one takes long
            return 0.5 if alone else 0.08
        return 1.0 if alone or self.slo else 0.25

    @property
    def _is_alone(self) -> bool:
        return self.alone or self.cluster is not None or self.drivers > 1

    @property
    def outputs(self) -> dict[str, str | None]:
        """Where the run is to be written in which form."""
        return {"json": self.json_path, "markdown": self.markdown_path}

    @property
    def held(self) -> list[int | str]:
        return [int(self.hold)] if self.hold else self.idle or []

    def place(self) -> Where:
        return where(
            self.cluster,
            self.target,
            self.tls_ca,
            self.tls_cert,
            self.tls_key,
            insecure=self.insecure,
            pythons=self.pythons,
            sources=self.sources,
        )

    def settings(self, models: list[Model], limits: Limits, **known: Any) -> Settings:
        """limits: of the machine that serves. known: what does not come from here alone."""
        idle = sorted({most(limits) if each == "most" else int(each) for each in self.held})
        paced = bool(self.rates or self.shares or self.slo)
        default_us = SLO_SLICE_US if self.slo else OPEN_SLICE_US if paced else SLICE_US
        slowest_us = max((each.us for each in self.slows or []), default=0.0)
        default_us = max(default_us, SLOW_ONES * slowest_us)
        alone = self._is_alone
        rounds = ROUNDS
        if idle:
            rounds = 1 if idle[-1] > IDLE_AT_ONCE else IDLE_ROUNDS
        if self.quick:
            rounds = 1 if alone else min(rounds, QUICK_ROUNDS)
        return Settings(
            models=[each.name for each in models],
            servers={
                each.name: [readable(word) for word in each.command]
                for each in (*self.server, *self.config)
            },
            workloads=self.workloads,
            connections=self.connections,
            sizes=self.sizes or [],
            works_us=sorted(self.works or []),
            waits_us=sorted(self.waits or []),
            slows=self.slows or [],
            idle=idle or [0],
            tls=self.tls or ["none"],
            ramp=self.ramp,
            rungs=sorted(self.rungs or []),
            rounds=self.rounds if isinstance(self.rounds, int) else rounds,
            precise=self.rounds == "auto",
            duration_s=self._duration_s(),
            slice_s=(self.slice_s or default_us) / 1e6,
            alone=alone,
            margin=self.margin,
            warmup_s=SHARED_WARMUP_S
            if self.cluster or self.drivers > 1
            else WARMUP_S
            if alone
            else SLICED_WARMUP_S,
            seed=random.SystemRandom().getrandbits(32) if self.seed is None else self.seed,
            rates=self.rates or [],
            shares=self.shares or [],
            slo_us=self.slo,
            arrivals=self.arrivals or ("fixed" if self.slo is None else "poisson"),
            close=self.closer,
            drivers=self.drivers,
            cluster=self.cluster,
            target=self.target,
            **known,
        )
