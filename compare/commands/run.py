"""`compare run`: models under loads, from the command line; and `compare scale`, a name for one."""

from __future__ import annotations

import copy
import signal
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, get_args

import click
from click.core import ParameterSource

from compare.commands.asked import OVER_TLS, Asked
from compare.commands.file import File
from compare.commands.options import (
    DURATION,
    LOAD,
    OWN,
    RATE,
    RUNGS,
    SECONDS,
    SHARE,
    SIZE,
    Names,
    Rounds,
    Several,
    alone_on,
    chosen,
    cores_option,
    handler_options,
    model_options,
    pinned_to,
    server_cores_option,
    store_option,
    whole,
)
from compare.commands.output import FAILED, INTERRUPTED, UNCLEAR, deliver, interrupt, show
from compare.commands.recorder import Keeper
from compare.commands.spoken import found_out
from compare.commands.where import joined, used, where_options
from compare.contract.spec import Handshake
from compare.host.launch import READY_TIMEOUT_S
from compare.host.place import loopback_fault
from compare.measure.profile import profiled
from compare.measure.run import execute
from compare.models.matrix import WORKLOADS
from compare.models.model import Model
from compare.models.own_servers import from_config, from_option
from compare.report.progress import watching
from compare.report.requirements import show_requirements
from compare.report.terminal import show as show_run
from compare.results.records import Run
from compare.results.requirement import Requirement, check

STATUSES = {"kept": 0, "broken": FAILED, "unclear": UNCLEAR}
WORST = (0, UNCLEAR, FAILED)
LADDER = "10,100,1000,10000,most"


def _add_servers(
    context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[Model]:
    """Known before --models is read, which may name them."""
    try:
        return _own(context, [from_option(text) for text in values])
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _add_config(
    context: click.Context, parameter: click.Parameter, value: Path | None
) -> list[Model]:
    try:
        return _own(context, from_config(value) if value else [])
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from None


def _own(context: click.Context, models: list[Model]) -> list[Model]:
    known = context.meta.setdefault(OWN, [])
    for each in models:
        if each.name in known:
            raise ValueError(f"there is a server {each.name!r} already; choose another name")
        known.append(each.name)
    return models


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
    type=Several(whole(1_000_000), whole=True),
    default="64",
    show_default=True,
    help="For udp-echo client sockets, for chat members.",
)
@click.option(
    "--idle",
    type=Several(whole(10_000_000, 0), whole=True, word="most"),
    help="Connections that stand beside those that work; most: as many as a process may have.",
)
@click.option("--hold", type=whole(10_000_000), help="So many idle, whatever --idle says.")
@click.option("--ramp", type=RATE, help="Open the idle at so many a second; see what gives way.")
@click.option(
    "--rounds",
    type=Rounds(),
    help="With fresh servers, at most. auto: until all is told, at most 30.  [default: 11; with "
    "--quick 4, with --idle 3]",
)
@click.option(
    "--duration",
    type=SECONDS,
    help="Of each server in a round.  [default: 0.25; with --quick 0.08, with --alone 1]",
)
@click.option(
    "--slice",
    "slice_s",
    type=DURATION,
    help="How long the driver turns to a server before the next one has its turn.  [default: "
    "20ms; in an open loop 100ms, with --slo 500ms, and for udp-echo the whole --duration]",
)
@click.option(
    "--alone",
    is_flag=True,
    help="One server after the other, each in one window: for what slices cannot show.",
)
@click.option(
    "--margin",
    type=SHARE,
    default="5%",
    show_default=True,
    help="What is nearer to the best than this is tied with it.",
)
@click.option(
    "--size",
    "sizes",
    type=Several(SIZE, whole=True),
    help="Bytes of a message.  [default: 1000; for chat 100]",
)
@handler_options
@click.option(
    "--rate",
    "rates",
    type=Several(RATE),
    help="Open loop: so many operations are due in a second, whatever the server does. Of udp-echo "
    "it shows what is lost, and where.",
)
@click.option(
    "--load",
    "shares",
    type=Several(LOAD),
    help="Open loop, at this share of what each model does in a closed one, such as 70%.",
)
@click.option(
    "--slo",
    type=DURATION,
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
@click.option(
    "--tls",
    is_flag=False,
    flag_value="full",
    type=Names("handshake", get_args(Handshake)),
    help="Speak TLS, with a certificate made for the run: full for a whole handshake on each "
    "connection of tcp-short, resumed to go on with the session before it; several, such as "
    "none,full, beside each other.  [default: none; without a value full]",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), help="Of order and messages.")
@click.option(
    "--json",
    "json_path",
    type=File(dir_okay=False, allow_dash=True),
    help="Write the run there as JSON, after every cell; - for stdout.",
)
@click.option(
    "--markdown",
    "markdown_path",
    type=File(dir_okay=False, allow_dash=True),
    help="The same as Markdown, for a pull request.",
)
@store_option
@click.option(
    "--server",
    metavar="NAME=COMMAND",
    multiple=True,
    is_eager=True,
    callback=_add_servers,
    help="A server of your own beside ours; {port} in its command is replaced. Without "
    "--workloads it is asked what it serves.",
)
@click.option(
    "--config",
    type=File(exists=True, dir_okay=False, path_type=Path),
    is_eager=True,
    callback=_add_config,
    help="A TOML file with [server.NAME] tables: command, workloads, env, cwd, cores, "
    "ready_timeout.",
)
@click.option(
    "--ready-timeout",
    type=SECONDS,
    help=f"How long your own may take to start.  [default: {READY_TIMEOUT_S:g}s]",
)
@click.option("--unchecked", is_flag=True, help="Measure your own without any checks before.")
@click.option(
    "--require",
    "required",
    metavar="METRIC<BOUND",
    multiple=True,
    help="Such as 'p99<5ms' or 'cpu<=1.05*epoll': exit status 1 where it is broken beyond doubt, "
    "3 where that cannot be told.",
)
@click.option(
    "--profile",
    metavar="MODEL,...",
    help="Afterwards, of these: which system calls an operation takes, in a run of its own under "
    "strace; and, where py-spy is installed, in another one where their CPU time goes.",
)
@click.option("--quick", is_flag=True, help="Few rounds, and short: a look, with wide intervals.")
@click.option(
    "--drivers",
    type=click.IntRange(1, 64),
    default=1,
    show_default=True,
    help="Processes on this machine that put the load on one server together, where one does not "
    "suffice; each server is measured alone then. The first is on the driver's core, the others on "
    "what is left beside the server's.",
)
@cores_option
@server_cores_option
@where_options
def run(**given: Any) -> None:
    """Measure models under workloads and print a table for each load.

    A closed loop, in which every connection waits for its reply before it sends the next
    message, shows what a model can do. An open loop shows latencies: choose it by --rate,
    --load or --slo.

    --connections, --idle, --size, --work, --wait, --rate and --load take several values, such as
    16,1k,64k or 0.1..0.9, and what changes with them is shown, too.

    Exit status 1 when a cell failed, a file could not be written or the run be kept to its end,
    130 when interrupted; what was measured is shown.
    """
    source = click.get_current_context().get_parameter_source("workloads")
    if given["tls"] and source is ParameterSource.DEFAULT:
        given["workloads"] = [each for each in given["workloads"] if each in OVER_TLS]
    measure(Asked(**given))


def _scale() -> click.Command:
    """The same command with other defaults."""
    defaults = {"workloads": "tcp-long", "idle": LADDER}
    params = []
    for param in run.params:
        mine = copy.copy(param)
        if isinstance(mine, click.Option) and mine.name in defaults:
            mine.default, mine.show_default = defaults[mine.name], True
        params.append(RUNGS if mine.name == "cores" else mine)  # how many, and not which

    def callback(**given: Any) -> None:
        idle = click.get_current_context().get_parameter_source("idle")
        if given["rungs"] and idle is ParameterSource.DEFAULT:
            given["idle"] = None
        measure(Asked(**given))

    return click.Command(
        "scale",
        params=params,
        callback=callback,
        help="Measure 64 working connections beside 10, 100, 1,000, ... that stand idle.\n\n"
        "Each of the idle is served once, and stays. Where a model cannot serve them all, what "
        "gave way is named, and it is asked for no more. It is compare run --workloads tcp-long "
        f"--idle {LADDER}.\n\n"
        "With --cores 1,2,4 nobody stands idle, unless --idle says so, and the server has so many "
        "cores: shown is what they gain, and what keeps them from gaining more.",
    )


scale = _scale()


def measure(asked: Asked) -> None:
    """Do what was asked, and exit."""
    asked.check()
    if not asked.cluster and (fault := loopback_fault()):
        raise click.ClickException(fault)
    place = asked.place()
    pinned = pinned_to(asked.cores, asked.server_cores, asked.rungs)
    own = [
        replace(
            each,
            unchecked=asked.unchecked,
            ready_timeout_s=asked.ready_timeout or each.ready_timeout_s,
        )
        for each in (*asked.server, *asked.config)
    ]
    if own and not asked.cluster:
        own = found_out(own, asked.workloads)
    models, interpreters, checkouts = chosen(
        asked.models, asked.sets, asked.pythons, asked.sources, own
    )
    if all(each.own for each in models):  # of what none of them serves there is no table
        served = [each for each in asked.workloads if not all(each in m.cannot for m in models)]
        asked = replace(asked, workloads=served or asked.workloads)
    if asked.target:
        models = [Model(asked.target, "what stands there", (), own=True, unchecked=True)]
    try:
        requirements = [
            Requirement.parse(text, [each.name for each in models]) for text in asked.required
        ]
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--require'") from None
    keep = Keeper(asked.outputs, asked.store)
    asked.profiled(models)
    signal.signal(signal.SIGTERM, interrupt)
    with (
        alone_on(used(place, asked.drivers, pinned, own)),
        joined(place, asked.drivers, pinned) as testbed,
        watching() as view,
    ):

        def keep_and_show(run: Run) -> None:
            keep(run)
            view.show(run)

        settings = asked.settings(
            models,
            testbed.limits,
            interpreters=interpreters,
            sources=checkouts,
            server_cores=[] if place.cluster else list(pinned.server),
            driver_core=None if place.cluster else pinned.driver,
        )
        result = execute(settings, models, view.watch, keep_and_show, testbed)
        if names := asked.profiled(models) if not result.interrupted else ():
            result = profiled(result, models, names, partial(click.echo, err=True))
    keep(result)
    try:
        deliver(result, partial(show_run, result), asked.outputs)
    finally:
        keep.say_where(result)
    if result.interrupted:
        sys.exit(INTERRUPTED)
    answers = check(requirements, result.cells)
    if answers:
        show(partial(show_requirements, answers), stderr="-" in asked.outputs.values())
    if keep.unwritten or keep.in_part or any(cell.verdict == "failed" for cell in result.cells):
        sys.exit(FAILED)
    statuses = [STATUSES[each.answer] for each in answers]
    if {each.requirement for each in answers} < set(requirements):  # nothing was held to some
        statuses.append(UNCLEAR)
    sys.exit(max(statuses, key=WORST.index, default=0))
