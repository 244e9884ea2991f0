"""A block, once: fresh servers of all that are to be compared under a load, and one driver.

All are alive at the same time, and the driver turns to them in slices, so that what slows the
machine down slows all of them down. Where that is, on this machine or on a cluster, is a Testbed's
business.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection
from dataclasses import replace

import msgspec

from compare.check.bench import Subject, free_port
from compare.contract.outcome import Outcome
from compare.contract.spec import Spec, Target
from compare.host import certificate, process
from compare.host.certificate import Certificate
from compare.host.cores import Cores, aside
from compare.host.launch import STOP_TIMEOUT_S, LaunchError, Server
from compare.host.limits import Limits, limits_here, misfit
from compare.host.machine import look
from compare.host.place import Place
from compare.measure import gate
from compare.measure.driver_process import CONNECTS_PER_S, Driver, DriverError, Told
from compare.measure.gate import PROFILE_OF
from compare.measure.holders import Holders
from compare.measure.idle import hold, order_of, workers
from compare.measure.testbed import Block, Finding, Held, Say
from compare.models.handler import PLAIN, Handler
from compare.models.matrix import WORKLOADS
from compare.models.model import WORKERS, Model, Workload
from compare.results.aggregation import round_of
from compare.results.records import Host, Idle, Load, Settings


class Here:
    """This machine."""

    def __init__(self) -> None:
        self.machine = look()
        self.limits = limits_here()
        self.hosts: list[Host] = []
        self._certificate: Certificate | None = None

    def unsupported(
        self, model: Model, workload: Workload, connections: int, at_once: int
    ) -> str | None:
        return model.unsupported(workload) or misfit(model, workload, connections, at_once=at_once)

    def hold(self, model: Model, workload: Workload) -> Held:
        return gate.hold(model, workload)

    def measure(self, block: Block, told: Told, say: Say) -> dict[str, Finding]:
        if block.load.tls != "none":
            try:
                self._certificate = self._certificate or certificate.make()
            except OSError as error:
                return dict.fromkeys((each.name for each in block.models), str(error))
            block = replace(block, certificate=self._certificate)
        return self.measure_all(block, told, say)

    def measure_all(self, block: Block, told: Told, say: Say) -> dict[str, Finding]:
        """The same, where the servers have the certificate that they need."""
        return measure(block, told, say)


def close_after(load: Load, settings: Settings) -> int | None:
    """After how many bytes the server is to close a connection, if it is."""
    return load.size if settings.close == "server" and load.workload == "tcp-short" else None


def handler_of(block: Block) -> Handler:
    """What each message is to cost a server; in each round others are the slow ones."""
    load = block.load
    return Handler(
        work_us=load.work_us,
        wait_us=load.wait_us,
        slow_share=load.slow_share,
        slow_us=load.slow_us,
        size=load.size,
        seed=block.settings.seed + block.number,
    )


def spec_of(block: Block, targets: list[Target]) -> Spec:
    """What the driver is to do to servers that it knows no more of."""
    load, settings = block.load, block.settings
    whole = settings.alone or load.is_whole
    slices = 1 if whole else max(1, round(settings.duration_s / settings.slice_s))
    return Spec(
        workload=load.workload,
        targets=targets,
        connections=load.connections,
        size=load.size,
        warmup_s=settings.warmup_s,
        slices=slices,
        slice_s=settings.duration_s / slices,
        seed=settings.seed + block.number,
        arrivals=settings.arrivals,
        each_s=(load.work_us + load.wait_us + load.slow_share * load.slow_us) / 1e6,
        close=settings.close,
        tls=block.tls,
    )


def measure(block: Block, told: Told, say: Say = lambda words: None) -> dict[str, Finding]:
    """As `Testbed.measure`, on this machine: all servers are there at once, and one driver."""
    found, failure = _together(block, told, say)
    left = [each for each in block.models if each.name not in found]
    if left and len(block.models) == 1:
        found[left[0].name] = failure
        return found
    for place, model in enumerate(left):
        # One of them held the driver up, or made it fail, or one that is found to have ended did:
        # each by itself, to see which. What is measured apart is no round of the others, and is
        # not paired with one.
        number = -(block.number * len(block.models) + place)
        apart, why = _together(replace(block, models=[model], number=number), told, say)
        found[model.name] = _by_itself(apart.get(model.name, why), failure)
    return found


def _by_itself(finding: Finding, why: str) -> Finding:
    """The same, with the reason why nobody was measured beside it."""
    if not (why and isinstance(finding, tuple)):
        return finding
    outcome, seen = finding
    return outcome, msgspec.structs.replace(seen, apart=why)


def _together(block: Block, told: Told, say: Say) -> tuple[dict[str, Finding], str]:
    """What was found, and what became of the driver if of some nothing was."""
    found: dict[str, Finding] = {}
    failure = ""
    driver_core = block.settings.driver_core
    with contextlib.ExitStack() as stack:
        # What we do meanwhile is no business of theirs.
        stack.enter_context(aside(Cores(tuple(block.settings.server_cores), driver_core)))
        try:
            driver = stack.enter_context(Driver(driver_core))
        except DriverError as error:
            return found, str(error)
        servers = _ready(block, stack, found)
        with contextlib.ExitStack() as holding:
            try:
                held: list[Holders] = []
                idle = _hold(block, servers, holding, found, say, held)
                if not servers:
                    return found, failure
                baselines = {
                    name: process.count_sockets(each.pid) for name, each in servers.items()
                }
                targets = [
                    Target(each.host, each.port, each.pid, block.rates.get(name))
                    for name, each in servers.items()
                ]
                spec = msgspec.structs.replace(
                    spec_of(block, targets),
                    trace=block.number == 1,
                    pinned=driver_core is not None,
                )
                outcomes = driver.drive(spec, told)
                for holders in held:
                    holders.check()
            except DriverError as error:
                outcomes, failure = None, str(error)
            endings = {name: each.died() for name, each in servers.items()}
        for each in servers.values():
            each.terminate()  # so that they end at the same time, too
        for place, (name, server) in enumerate(servers.items()):
            if ending := endings[name]:
                found[name] = f"the server ended while it was measured: {ending}"
            elif outcomes is not None:
                found[name] = stopped(
                    server, outcomes[place], baselines[name], block, idle.get(name)
                )
    return found, failure


def _ready(
    block: Block, stack: contextlib.ExitStack, found: dict[str, Finding]
) -> dict[str, Server]:
    """The servers that are; why the others are not is `found`. All start up at the same time."""
    servers: dict[str, Server] = {}
    for model in block.models:
        try:
            servers[model.name] = start_for(block, model, limits_here())
        except LaunchError as error:
            found[model.name] = str(error)
        else:
            stack.push(servers[model.name])
    for name, server in list(servers.items()):
        try:
            server.__enter__()
        except LaunchError as error:
            found[name] = str(error)
            del servers[name]
    return servers


def _hold(
    block: Block,
    servers: dict[str, Server],
    stack: contextlib.ExitStack,
    found: dict[str, Finding],
    say: Say,
    all_holders: list[Holders],
) -> dict[str, Idle]:
    """Idle connections to each server, one after the other; which cannot serve them is no more.

    Raises DriverError.
    """
    held: dict[str, Idle] = {}
    if not block.load.idle:
        return held
    order = order_of(block)
    for model in [each for each in block.models if each.name in servers]:
        server = servers[model.name]
        address = server.host, server.port
        holders = stack.enter_context(Holders(address, block.settings.driver_core))
        all_holders.append(holders)
        held[model.name] = hold(server, model, holders, order, say)
        if not held[model.name].all_served:
            found[model.name] = held[model.name]
            del servers[model.name]  # it ends when all do
    say("")
    return held


def stopped(
    server: Server, outcome: Outcome, baseline: int, block: Block, idle: Idle | None
) -> Finding:
    """What was found, if the server ends as it should, too."""
    many = outcome.counts.attempted + block.load.idle
    try:
        # Ten thousand threads need their time to end, too.
        server.stop(STOP_TIMEOUT_S + many / CONNECTS_PER_S)
    except LaunchError as error:
        return str(error)
    messages = [*outcome.details]
    if "Traceback" in (said := server.stderr_tail()):
        messages.append(f"stderr: {said.splitlines()[-1]}")
    return outcome, round_of(outcome, baseline, messages, block.number, idle)


def start_for(block: Block, model: Model, limits: Limits) -> Server:
    """The server of one of its models on this machine, whose limits are these; not yet ready."""
    load, settings = block.load, block.settings
    return start(
        model,
        WORKLOADS[load.workload],
        settings.first_cores(load.cores),
        close_after=close_after(load, settings),
        workers=workers(load, settings, limits),
        handler=handler_of(block),
        certificate=block.certificate,
    )


def start(
    model: Model,
    workload: Workload,
    cores: Collection[int],
    *,
    close_after: int | None = None,
    workers: int = WORKERS,
    host: str | None = None,
    handler: Handler = PLAIN,
    certificate: Certificate | None = None,
) -> Server:
    """The server of a cell, not yet ready; on loopback, if no `host` is given."""
    argv = model.argv(
        workload, close_after=close_after, workers=workers, host=host, handler=handler
    )
    if certificate is not None:
        argv += ["--tls-cert", certificate.path]
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
        ready_timeout_s=model.ready_timeout_s,
    )
