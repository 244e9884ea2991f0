"""One cell, once: a fresh server, a fresh driver, and what the two have used.

Where that is, on this machine or on a cluster, is a Testbed's business.
"""

from __future__ import annotations

import msgspec

from compare.check.bench import Subject, free_port
from compare.driver.load import Spec
from compare.driver.outcome import Outcome
from compare.host import process
from compare.host.launch import STOP_TIMEOUT_S, LaunchError, Place, Server
from compare.host.limits import misfit
from compare.host.machine import look
from compare.measure import gate
from compare.measure.driver_process import CONNECTS_PER_S, Driver, DriverError, Told
from compare.measure.gate import PROFILE_OF
from compare.models.matrix import MODELS, WORKLOADS, Model, Workload
from compare.models.model import WORKERS
from compare.results.aggregation import round_of
from compare.results.records import Host, Key, Round, Settings


class Here:
    """This machine."""

    def __init__(self) -> None:
        self.machine = look()
        self.hosts: list[Host] = []

    def unsupported(self, model: Model, workload: Workload, connections: int) -> str | None:
        return model.unsupported(workload) or misfit(model, workload, connections)

    def why_not(self, model: Model, workload: Workload) -> str | None:
        return gate.why_not(model, workload)

    def measure(
        self, key: Key, settings: Settings, rate: float | None, told: Told, *, number: int = 0
    ) -> tuple[Outcome, Round]:
        return measure(key, settings, rate, told, number=number)


def close_after(key: Key, settings: Settings) -> int | None:
    """After how many bytes the server is to close a connection, if it is."""
    if settings.close == "server" and key.workload == "tcp-short":
        return settings.sizes[key.workload]
    return None


def spec_of(
    key: Key, settings: Settings, rate: float | None, number: int, host: str, port: int
) -> Spec:
    """What the driver is to do to a server that it knows no more of."""
    return Spec(
        workload=key.workload,
        host=host,
        port=port,
        connections=key.connections,
        size=settings.sizes[key.workload],
        warmup_s=settings.warmup_s,
        duration_s=settings.duration_s,
        seed=settings.seed + number,
        rate=rate,
        arrivals=settings.arrivals,
        close=settings.close,
        server_pid=None,
        server_core=None,
        driver_core=None,
    )


def measure(
    key: Key, settings: Settings, rate: float | None, told: Told, *, number: int = 0
) -> tuple[Outcome, Round]:
    """As `Testbed.measure`, on this machine."""
    # The driver starts up while the server does.
    with (
        Driver(settings.driver_core) as driver,
        start(
            MODELS[key.model],
            WORKLOADS[key.workload],
            settings.server_core,
            close_after=close_after(key, settings),
        ) as server,
    ):
        baseline = process.size(server.pid).descriptors
        spec = msgspec.structs.replace(
            spec_of(key, settings, rate, number, server.host, server.port),
            trace=number == 1,
            server_pid=server.pid,
            server_core=settings.server_core,
            driver_core=settings.driver_core,
        )
        failure: DriverError | None = None
        try:
            outcome = driver.drive(spec, told)
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


def start(
    model: Model,
    workload: Workload,
    core: int | None,
    *,
    close_after: int | None = None,
    workers: int = WORKERS,
    host: str | None = None,
) -> Server:
    """The server of a cell, not yet ready; on loopback, if no `host` is given."""
    argv = model.argv(workload, close_after=close_after, workers=workers, host=host)
    if not model.own:
        return Server(argv, core, env=model.environment)
    subject = Subject(
        PROFILE_OF[workload.service], tuple(argv), cwd=model.cwd, env=model.environment
    )
    address = host or "127.0.0.1"
    place = Place(subject.scheme, address, free_port(subject.scheme, address))
    return Server(
        subject.argv(place),
        model.cores[0] if model.cores else core,
        place=place if subject.takes_a_port else None,
        cwd=model.cwd,
        env=model.environment,
    )
