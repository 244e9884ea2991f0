"""One cell, once: a fresh server, a fresh driver, and what the two have used."""

from __future__ import annotations

from compare import process
from compare.check.bench import Subject, free_port
from compare.driver.load import Spec
from compare.driver.outcome import Outcome
from compare.driver_process import CONNECTS_PER_S, Driver, DriverError, Told
from compare.gate import PROFILE_OF
from compare.launch import STOP_TIMEOUT_S, LaunchError, Place, Server
from compare.matrix import MODELS, WORKLOADS, Model, Workload
from compare.result import Key, Round, Settings, round_of


def measure(
    key: Key,
    settings: Settings,
    rate: float | None,
    told: Told,
    *,
    number: int = 0,
) -> tuple[Outcome, Round]:
    """Measure `key`; in an open loop at `rate`. `told` hears of its operations meanwhile.

    number: of the round; each has messages and arrivals of its own.

    Raises LaunchError for the server's failures, DriverError for ours.
    """
    model, workload = MODELS[key.model], WORKLOADS[key.workload]
    closes_after = None
    if settings.close == "server" and key.workload == "tcp-short":
        closes_after = settings.sizes[key.workload]
    # The driver starts up while the server does.
    with (
        Driver(settings.driver_core) as driver,
        _start(model, workload, closes_after, settings.server_core) as server,
    ):
        baseline = process.size(server.pid).descriptors
        spec = Spec(
            workload=key.workload,
            host=server.host,
            port=server.port,
            connections=key.connections,
            size=settings.sizes[key.workload],
            warmup_s=settings.warmup_s,
            duration_s=settings.duration_s,
            seed=settings.seed + number,
            rate=rate,
            arrivals=settings.arrivals,
            close=settings.close,
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


def _start(model: Model, workload: Workload, close_after: int | None, core: int | None) -> Server:
    """The server of a cell, not yet ready."""
    argv = model.argv(workload, close_after=close_after)
    if not model.own:
        return Server(argv, core, env=model.environment)
    profile = PROFILE_OF[workload.service]
    subject = Subject(profile, tuple(argv), cwd=model.cwd, env=model.environment)
    place = Place(subject.scheme, "127.0.0.1", free_port(subject.scheme))
    return Server(
        subject.argv(place),
        model.cores[0] if model.cores else core,
        place=place if subject.takes_a_port else None,
        cwd=model.cwd,
        env=model.environment,
    )
