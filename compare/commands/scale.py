"""`compare scale`: the ladder, from the command line."""

from __future__ import annotations

import signal
import sys
from functools import partial
from pathlib import Path

import click

from compare.commands.options import (
    Amount,
    Numbers,
    Seconds,
    choose,
    cores_option,
    model_options,
    pinned_to,
    store_option,
)
from compare.commands.output import INTERRUPTED, deliver, interrupt
from compare.commands.recorder import Keeper
from compare.commands.where import joined, where, where_options
from compare.measure.ladder import climb, most
from compare.measure.rung import Here
from compare.report.ladder import show_ladder
from compare.report.progress import saying
from compare.results.ladder import Settings


@click.command()
@model_options
@click.option(
    "--idle",
    type=Numbers("most"),
    default="10,100,1000,10000,most",
    show_default=True,
    help="Connections that stand by, step by step; most: as many as a process may have.",
)
@click.option("--hold", type=click.IntRange(1, 10_000_000), help="The same as --idle N: one step.")
@click.option(
    "--ramp",
    type=Amount(1, 1_000_000),
    help="Open the idle at so many a second, and see what gives way.",
)
@click.option("--connections", type=click.IntRange(1, 10_000), default=64, show_default=True)
@click.option("--rounds", type=click.IntRange(1, 1000), default=1, show_default=True)
@click.option("--duration", type=Seconds(), default=1.0, show_default=True, help="Of a window.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(dir_okay=False, allow_dash=True),
    help="Write the result there as JSON, after every step; - for stdout.",
)
@store_option
@cores_option
@where_options
def scale(
    models: list[str] | None,
    sets: list[str] | None,
    pythons: tuple[str, ...],
    idle: list[int | str],
    hold: int | None,
    ramp: float | None,
    connections: int,
    rounds: int,
    duration: float,
    json_path: str | None,
    store: Path | None,
    cores: str | None,
    cluster: str | None,
    target: str | None,
    tls_ca: Path | None,
    tls_cert: Path | None,
    tls_key: Path | None,
    insecure: bool,
) -> None:
    """Measure 64 working connections beside 10, 100, 1,000, ... that stand idle.

    Each of the idle is served once, and stays. Where a model cannot serve them all, what gave
    way is named, and it is taken no further. Exit status 130 when interrupted.
    """
    place = where(cluster, target, tls_ca, tls_cert, tls_key, insecure=insecure, pythons=pythons)
    if place.target:
        raise click.UsageError("--target is for compare run: a ladder takes a fresh server.")
    chosen, interpreters, _ = choose(models, sets, pythons)
    pinned = pinned_to(cores)
    keep = Keeper(json_path, store)
    signal.signal(signal.SIGTERM, interrupt)
    with joined(place) as joint, saying() as told:
        stages = joint or Here(pinned)
        counts = (
            [hold]
            if hold
            else sorted({most(stages.limits) if each == "most" else int(each) for each in idle})
        )
        settings = Settings(
            models=chosen,
            interpreters=interpreters,
            idle=counts,
            connections=connections,
            rate=ramp,
            rounds=rounds,
            duration_s=duration,
            warmup_s=stages.warmup_s,
            size=100,
            seed=1,
            server_cores=[] if cluster else list(pinned.server),
            driver_core=None if cluster else pinned.driver,
            cluster=cluster,
        )
        result = climb(settings, told, keep, stages)
    keep(result)
    deliver(result, partial(show_ladder, result), json_path)
    keep.say_where(result)
    if result.interrupted:
        sys.exit(INTERRUPTED)
