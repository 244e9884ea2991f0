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
    Share,
    choose,
    cores_option,
    model_options,
    pinned_to,
    store_option,
)
from compare.commands.output import FAILED, INTERRUPTED, UNCLEAR, deliver, interrupt, show
from compare.commands.recorder import Keeper
from compare.commands.where import joined, where, where_options
from compare.contract.spec import Arrivals, Closer
from compare.measure.run import execute
from compare.measure.rung import CLUSTER_WARMUP_S, WARMUP_S
from compare.models.matrix import MODELS, WORKLOADS, Model
from compare.models.own_servers import from_config, from_option
from compare.report.progress import watching
from compare.report.requirements import show_requirements
from compare.report.terminal import show as show_run
from compare.results.records import Run, Settings
from compare.results.requirement import Requirement, check

STATUSES = {"kept": 0, "broken": FAILED, "unclear": UNCLEAR}
WORST = (0, UNCLEAR, FAILED)
ROUNDS, QUICK_ROUNDS = 10, 5
SLICE_US, OPEN_SLICE_US = 20_000.0, 100_000.0
SLO_SLICE_US = 500_000.0  # near its limit a queue takes its time to build up
LEAST_SLICE_US, MOST_SLICE_US = 5_000.0, 10_000_000.0
SLICED_WARMUP_S = 0.5  # at most, of each server in each round


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
    "--source",
    "sources",
    metavar="LABEL=DIR",
    multiple=True,
    help="Another checkout, such as base=../before: its models are measured side by side with "
    "ours, as epoll@base.",
)
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
    help="With fresh servers, at most. auto: until all is told, at most 30.  [default: 10; with "
    "--quick 5]",
)
@click.option(
    "--duration",
    type=Seconds(),
    help="Of each server in a round.  [default: 0.25; with --quick 0.1, with --alone 1]",
)
@click.option(
    "--slice",
    "slice_s",
    type=Duration(),
    help="How long the driver turns to a server before the next one has its turn.  [default: "
    "20ms; in an open loop 100ms, with --slo 500ms]",
)
@click.option(
    "--alone",
    is_flag=True,
    help="One server after the other, each in one window: for what slices cannot show.",
)
@click.option(
    "--margin",
    type=Share(),
    default="5%",
    show_default=True,
    help="What is nearer to the best than this is tied with it.",
)
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
    help="Of an open loop: evenly spaced, or independent of each other.  [default: fixed; with "
    "--slo poisson]",
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
@click.option(
    "--require",
    "required",
    metavar="METRIC<BOUND",
    multiple=True,
    help="Such as 'p99<5ms' or 'cpu<=1.05*epoll': exit status 1 where it is broken beyond doubt, "
    "3 where that cannot be told.",
)
@click.option("--quick", is_flag=True, help="Few rounds, and short: a look, with wide intervals.")
@cores_option
@where_options
def run(
    models: list[str] | None,
    sets: list[str] | None,
    pythons: tuple[str, ...],
    sources: tuple[str, ...],
    workloads: list[str],
    connections: list[int],
    rounds: int | str | None,
    duration: float | None,
    slice_s: float | None,
    alone: bool,
    margin: float,
    size: int | None,
    rate: float | None,
    load: float | None,
    slo: float | None,
    arrivals: Arrivals | None,
    closer: Closer,
    seed: int | None,
    json_path: str | None,
    store: Path | None,
    server: list[Model],
    config: list[Model],
    unchecked: bool,
    required: tuple[str, ...],
    quick: bool,
    cores: str | None,
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
    place = where(
        cluster,
        target,
        tls_ca,
        tls_cert,
        tls_key,
        insecure=insecure,
        pythons=pythons,
        sources=sources,
    )
    if place.target:
        if (
            models
            or sets
            or server
            or config
            or pythons
            or sources
            or unchecked
            or closer == "server"
        ):
            raise click.UsageError(
                "--target is the one server, and stands already: leave --models, --set, --python, "
                "--source, --server, --config, --unchecked and --close server out."
            )
        models = _standing(target or "")
    own = {each.name: replace(each, unchecked=unchecked) for each in (*server, *config)}
    MODELS.update(own)
    chosen, interpreters, checkouts = choose(models, sets, pythons, sources)
    pinned = pinned_to(cores)
    if slice_s is not None and not LEAST_SLICE_US <= slice_s <= MOST_SLICE_US:
        raise click.BadParameter(
            f"a slice lasts from {LEAST_SLICE_US / 1000:g}ms to {MOST_SLICE_US / 1e6:g}s.",
            param_hint="'--slice'",
        )
    paced = any(each is not None for each in (rate, load, slo))
    default_us = SLO_SLICE_US if slo else OPEN_SLICE_US if paced else SLICE_US
    one_by_one = alone or cluster is not None
    usual_rounds, usual_s = ROUNDS, 1.0 if one_by_one or slo else 0.25
    if quick:  # one by one takes long
        usual_rounds, usual_s = (1, 0.5) if one_by_one else (QUICK_ROUNDS, 0.1)
    settings = Settings(
        models=list(dict.fromkeys([*own, *chosen])),
        interpreters=interpreters,
        sources=checkouts,
        servers={name: list(model.command) for name, model in own.items()},
        workloads=workloads,
        connections=connections,
        rounds=rounds if isinstance(rounds, int) else usual_rounds,
        precise=rounds == "auto",
        duration_s=duration or usual_s,
        slice_s=(slice_s or default_us) / 1e6,
        alone=one_by_one,
        margin=margin,
        warmup_s=CLUSTER_WARMUP_S if cluster else WARMUP_S if one_by_one else SLICED_WARMUP_S,
        sizes={name: size or WORKLOADS[name].size for name in workloads},
        seed=random.SystemRandom().getrandbits(32) if seed is None else seed,
        rate=rate,
        load=load,
        slo_us=slo,
        arrivals=arrivals or ("fixed" if slo is None else "poisson"),
        close=closer,
        server_cores=[] if cluster else list(pinned.server),
        driver_core=None if cluster else pinned.driver,
        cluster=cluster,
        target=target,
    )
    try:
        requirements = [Requirement.parse(text, settings.models) for text in required]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--require'") from None
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
    answers = check(requirements, result.cells)
    if answers:
        show(partial(show_requirements, answers), stderr=json_path == "-")
    if any(cell.verdict == "failed" for cell in result.cells):
        sys.exit(FAILED)
    statuses = [STATUSES[each.answer] for each in answers]
    if {each.requirement for each in answers} < set(requirements):  # nothing was held to some
        statuses.append(UNCLEAR)
    sys.exit(max(statuses, key=WORST.index, default=0))
