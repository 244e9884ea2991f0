"""A block, once: fresh servers of all that are to be compared under a load, and one driver.

All are alive at the same time, and the driver turns to them in slices, so that what slows the
machine down slows all of them down. Where that is, on this machine or on a cluster, is a Testbed's
business.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Mapping, Sequence

import msgspec

from compare.check.bench import Subject, free_port
from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.host import process
from compare.host.launch import STOP_TIMEOUT_S, LaunchError, Place, Server
from compare.host.limits import misfit
from compare.host.machine import look
from compare.measure import gate
from compare.measure.driver_process import CONNECTS_PER_S, Driver, DriverError, Told
from compare.measure.gate import PROFILE_OF
from compare.measure.testbed import Finding
from compare.models.matrix import MODELS, WORKLOADS, Model, Workload
from compare.models.model import WORKERS
from compare.results.aggregation import round_of
from compare.results.records import Host, Key, Settings


class Here:
    """This machine."""

    def __init__(self) -> None:
        self.machine = look()
        self.hosts: list[Host] = []

    def unsupported(
        self, model: Model, workload: Workload, connections: int, at_once: int
    ) -> str | None:
        return model.unsupported(workload) or misfit(model, workload, connections, at_once=at_once)

    def why_not(self, model: Model, workload: Workload) -> str | None:
        return gate.why_not(model, workload)

    def measure(
        self,
        keys: Sequence[Key],
        settings: Settings,
        rates: Mapping[Key, float],
        told: Told,
        *,
        number: int = 1,
    ) -> dict[Key, Finding]:
        return measure(keys, settings, rates, told, number=number)


def close_after(key: Key, settings: Settings) -> int | None:
    """After how many bytes the server is to close a connection, if it is."""
    if settings.close == "server" and key.workload == "tcp-short":
        return settings.sizes[key.workload]
    return None


def spec_of(key: Key, settings: Settings, targets: list[Target], number: int) -> Spec:
    """What the driver is to do to servers that it knows no more of."""
    slices = 1 if settings.alone else max(1, round(settings.duration_s / settings.slice_s))
    return Spec(
        workload=key.workload,
        targets=targets,
        connections=key.connections,
        size=settings.sizes[key.workload],
        warmup_s=settings.warmup_s,
        slices=slices,
        slice_s=settings.duration_s / slices,
        seed=settings.seed + number,
        arrivals=settings.arrivals,
        close=settings.close,
    )


def measure(
    keys: Sequence[Key],
    settings: Settings,
    rates: Mapping[Key, float],
    told: Told,
    *,
    number: int = 1,
) -> dict[Key, Finding]:
    """As `Testbed.measure`, on this machine: all servers are there at once, and one driver."""
    found, failure = _together(keys, settings, rates, told, number)
    left = [key for key in keys if key not in found]
    if len(left) == 1:
        found[left[0]] = failure
    for place, key in enumerate(left if len(left) > 1 else []):
        # One of them held the driver up, or made it fail: each by itself, to see which. What is
        # measured apart is no round of the others, and is not paired with one.
        apart, why = _together([key], settings, rates, told, -(number * len(keys) + place))
        found[key] = apart.get(key, why)
    return found


def _together(
    keys: Sequence[Key],
    settings: Settings,
    rates: Mapping[Key, float],
    told: Told,
    number: int,
) -> tuple[dict[Key, Finding], str]:
    """What was found, and what became of the driver if of some nothing was."""
    found: dict[Key, Finding] = {}
    failure = ""
    with contextlib.ExitStack() as stack:
        driver = stack.enter_context(Driver(settings.driver_core))
        servers = _ready(keys, settings, stack, found)
        if not servers:
            return found, failure
        baselines = {key: process.size(each.pid).descriptors for key, each in servers.items()}
        targets = [
            Target(each.host, each.port, each.pid, rates.get(key)) for key, each in servers.items()
        ]
        spec = msgspec.structs.replace(
            spec_of(keys[0], settings, targets, number),
            trace=number == 1,
            pinned=settings.driver_core is not None,
        )
        outcomes: list[Outcome] | None = None
        try:
            outcomes = driver.drive(spec, told)
        except DriverError as error:
            failure = str(error)
        endings = {key: each.died() for key, each in servers.items()}
        for each in servers.values():
            each.terminate()  # so that they end at the same time, too
        for place, (key, server) in enumerate(servers.items()):
            if ending := endings[key]:
                found[key] = f"the server ended while it was measured: {ending}"
            elif outcomes is not None:
                found[key] = _stopped(server, outcomes[place], baselines[key], number)
    return found, failure


def _ready(
    keys: Sequence[Key],
    settings: Settings,
    stack: contextlib.ExitStack,
    found: dict[Key, Finding],
) -> dict[Key, Server]:
    """The servers that are; why the others are not is `found`. All start up at the same time."""
    servers: dict[Key, Server] = {}
    for key in keys:
        try:
            servers[key] = start(
                MODELS[key.model],
                WORKLOADS[key.workload],
                settings.server_cores,
                close_after=close_after(key, settings),
            )
        except LaunchError as error:
            found[key] = str(error)
        else:
            stack.push(servers[key])
    for key, server in list(servers.items()):
        try:
            server.__enter__()
        except LaunchError as error:
            found[key] = str(error)
            del servers[key]
    return servers


def _stopped(server: Server, outcome: Outcome, baseline: int, number: int) -> Finding:
    """What was found, if the server ends as it should, too."""
    try:
        # Ten thousand threads need their time to end, too.
        server.stop(STOP_TIMEOUT_S + outcome.counts.attempted / CONNECTS_PER_S)
    except LaunchError as error:
        return str(error)
    messages = [*outcome.details]
    if "Traceback" in (said := server.stderr_tail()):
        messages.append(f"stderr: {said.splitlines()[-1]}")
    return outcome, round_of(outcome, baseline, messages, number)


def start(
    model: Model,
    workload: Workload,
    cores: Collection[int],
    *,
    close_after: int | None = None,
    workers: int = WORKERS,
    host: str | None = None,
) -> Server:
    """The server of a cell, not yet ready; on loopback, if no `host` is given."""
    argv = model.argv(workload, close_after=close_after, workers=workers, host=host)
    if not model.own:
        return Server(argv, cores, env=model.surroundings)
    subject = Subject(
        PROFILE_OF[workload.service], tuple(argv), cwd=model.cwd, env=model.surroundings
    )
    address = host or "127.0.0.1"
    place = Place(subject.scheme, address, free_port(subject.scheme, address))
    return Server(
        subject.argv(place),
        model.cores or cores,
        place=place if subject.takes_a_port else None,
        cwd=model.cwd,
        env=model.surroundings,
    )
