"""`compare run`: models under workloads, from the command line."""

from __future__ import annotations

import random
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import click

from compare.commands.options import (
    Amount,
    Duration,
    Names,
    Numbers,
    Rounds,
    Seconds,
    choose,
    model_options,
    store_option,
)
from compare.commands.output import FAILED, INTERRUPTED, deliver, interrupt
from compare.commands.recorder import Keeper
from compare.commands.where import joined, where, where_options
from compare.driver.load import Closer
from compare.driver.schedule import Arrivals
from compare.host.machine import cores
from compare.measure.run import execute
from compare.measure.rung import CLUSTER_WARMUP_S, WARMUP_S
from compare.models.matrix import MODELS, WORKLOADS, Model
from compare.models.own_servers import from_config, from_option
from compare.report.progress import watching
from compare.report.terminal import show as show_run
from compare.results.records import Run, Settings


def _add_servers(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[Model]:
    """Known before --models is read, which may name them."""
    try:
        models = [from_option(text) for text in values]
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    MODELS.update({each.name: each for each in models})
    return models


def _add_config(
    context: click.Context, parameter: click.Parameter, value: Path | None
) -> list[Model]:
    try:
        models = from_config(value) if value else []
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None
    MODELS.update({each.name: each for each in models})
    return models


def _standing(target: str) -> list[str]:
    """What stands at a target, as the one model."""
    MODELS[target] = Model(target, "what stands there", (), own=True, unchecked=True)
    return [target]


@click.command()
@model_options
@click.option(
    "--workloads",
    type=Names("workload", list(WORKLOADS)),
    default=",".join(WORKLOADS),
    show_default=True,
)
@click.option(
    "--connections",
    type=Numbers(),
    default="64",
    show_default=True,
    help="For udp-echo client sockets, for chat members.",
)
@click.option(
    "--rounds",
    type=Rounds(),
    help="auto: until the intervals are within 5 %, at most 30.  [default: 5; with --quick 1]",
)
@click.option("--duration", type=Seconds(), help="Of a window.  [default: 1; with --quick 0.5]")
@click.option("--size", type=click.IntRange(1), help="Bytes.  [default: 1000; for chat 100]")
@click.option(
    "--rate",
    type=Amount(0.1, 10_000_000),
    help="Open loop: so many operations are due in a second, whatever the server does.",
)
@click.option(
    "--load",
    type=Amount(0.01, 1.5),
    help="Open loop, at this share of what each model does in a closed one.",
)
@click.option(
    "--slo",
    type=Duration(),
    help="Open loop, at the highest rate whose p99 is below this, such as 5ms.",
)
@click.option(
    "--arrivals",
    type=click.Choice(["fixed", "poisson"]),
    default="fixed",
    show_default=True,
    help="Of an open loop: evenly spaced, or independent of each other.",
)
@click.option(
    "--close",
    "closer",
    type=click.Choice(["client", "server", "reset"]),
    default="client",
    show_default=True,
    help="Who ends the connections of tcp-short.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of order and messages.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write the run there as JSON, after every cell; - for stdout.",
)
@store_option
@click.option(
    "--server",
    metavar="NAME=COMMAND",
    multiple=True,
    is_eager=True,
    callback=_add_servers,
    help="A server of your own beside ours; {port} in its command is replaced.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    callback=_add_config,
    help="A TOML file with [server.NAME] tables: command, workloads, env, cwd, cores.",
)
@click.option("--unchecked", is_flag=True, help="Measure your own even if they fail the checks.")
@click.option("--quick", is_flag=True, help="One round of 0.5 s: a look, not a result.")
@where_options
def run(
    models: list[str] | None,
    sets: list[str] | None,
    pythons: tuple[str, ...],
    workloads: list[str],
    connections: list[int],
    rounds: int | str | None,
    duration: float | None,
    size: int | None,
    rate: float | None,
    load: float | None,
    slo: float | None,
    arrivals: Arrivals,
    closer: Closer,
    seed: int | None,
    json_path: str | None,
    store: Path | None,
    server: list[Model],
    config: list[Model],
    unchecked: bool,
    quick: bool,
    cluster: str | None,
    target: str | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
) -> None:
    """Measure models under workloads and print a table for each workload.

    A closed loop, in which every connection waits for its reply before it sends the next
    message, shows what a model can do. An open loop shows latencies: choose it by --rate,
    --load or --slo.

    Exit status 1 when a cell failed, 130 when interrupted; what was measured is shown.
    """
    for name in workloads:
        workload = WORKLOADS[name]
        if size is not None and not workload.smallest <= size <= workload.largest:
            raise click.BadParameter(
                f"{size} does not suit {name}, whose messages have {workload.smallest} to "
                f"{workload.largest} bytes.",
                param_hint="'--size'",
            )
    if sum(each is not None for each in (rate, load, slo)) > 1:
        raise click.UsageError("--rate, --load and --slo exclude each other: choose one.")
    place = where(cluster, target, tls_ca, tls_cert, tls_key, insecure=insecure, pythons=pythons)
    if place.target:
        if models or sets or server or config or pythons or unchecked or closer == "server":
            raise click.UsageError(
                "--target is the one server, and stands already: leave --models, --set, --python, "
                "--server, --config, --unchecked and --close server out."
            )
        models = _standing(target or "")
    own = {each.name: replace(each, unchecked=unchecked) for each in (*server, *config)}
    MODELS.update(own)
    chosen, interpreters = choose(models, sets, pythons)
    server_core, driver_core = cores()
    settings = Settings(
        models=list(dict.fromkeys([*own, *chosen])),
        interpreters=interpreters,
        servers={name: list(model.command) for name, model in own.items()},
        workloads=workloads,
        connections=connections,
        rounds=rounds if isinstance(rounds, int) else 1 if quick and not rounds else 5,
        precise=rounds == "auto",
        duration_s=duration or (0.5 if quick else 1.0),
        warmup_s=CLUSTER_WARMUP_S if cluster else WARMUP_S,
        sizes={name: size or WORKLOADS[name].size for name in workloads},
        seed=random.SystemRandom().getrandbits(32) if seed is None else seed,
        rate=rate,
        load=load,
        slo_us=slo,
        arrivals=arrivals,
        close=closer,
        server_core=None if cluster else server_core,
        driver_core=None if cluster else driver_core,
        cluster=cluster,
        target=target,
    )
    keep = Keeper(json_path, store)
    signal.signal(signal.SIGTERM, interrupt)
    with joined(place) as testbed, watching() as view:

        def keep_and_show(run: Run) -> None:
            keep(run)
            view.show(run)

        result = execute(settings, view.watch, keep_and_show, testbed)
    keep(result)
    deliver(result, partial(show_run, result), json_path)
    keep.say_where(result)
    if result.interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(FAILED if any(cell.verdict == "failed" for cell in result.cells) else 0)
