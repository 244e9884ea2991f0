"""The commands about the instrument: what it compares, whether it and its machine are right."""

from __future__ import annotations

import signal
import sys
from functools import partial

import click

from compare.commands.options import alone_on, cores_option, json_flag, pinned_to, whole
from compare.commands.output import FAILED, INTERRUPTED, as_json, interrupt, show, write
from compare.host.place import loopback_fault
from compare.report.progress import saying


@click.command()
@click.option(
    "--comparisons",
    type=whole(100_000, 0),
    default="204",
    show_default=True,
    help="Of a server with itself; 0 leaves them out.",
)
@cores_option
def selftest(comparisons: float, cores: str | None) -> None:
    """Hold the instrument against servers with planted faults, and against itself.

    Takes about seven minutes, without the comparisons two. Exit status 1 when anything
    was not recovered.
    """
    from compare.report.findings import show_findings
    from compare.selftest.finding import Finding
    from compare.selftest.trials import selftest as find

    pinned = pinned_to(cores)
    if fault := loopback_fault():
        raise click.ClickException(fault)
    signal.signal(signal.SIGTERM, interrupt)
    found: list[Finding] = []
    interrupted = False
    try:
        with saying() as told, alone_on(pinned.named):
            for each in find(pinned, int(comparisons), told):
                found.append(each)  # noqa: PERF402  so that what was found is kept by Ctrl-C
    except KeyboardInterrupt:
        interrupted = True
    show(partial(show_findings, found))
    if interrupted:
        sys.exit(INTERRUPTED)
    sys.exit(FAILED if any(each.state == "wrong" for each in found) else 0)


@click.command()
@json_flag
def doctor(as_json_: bool) -> None:
    """Say what is wrong with this machine for measuring, and what to type.

    Exit status 1 when something is.
    """
    from compare.host.doctor import diagnose, examine

    if as_json_:
        diagnosis = diagnose()
        write("-", as_json(diagnosis), "json")
        sys.exit(FAILED if diagnosis.ailments else 0)
    found = 0
    for each in examine():
        found += 1
        click.echo(f"{each.what}: {each.effect}")
        click.echo(f"    {each.mend}" if each.mend else "    nothing can be done from here")
    if not found:
        click.echo("nothing is wrong with this machine for measuring")
    sys.exit(FAILED if found else 0)


@click.command("list")
@json_flag
def list_cells(as_json_: bool) -> None:
    """Show every model and workload, and what each cell means."""
    from compare.report.catalogue import catalogue, show_catalogue

    if as_json_:
        write("-", as_json(catalogue()), "json")
    else:
        show(show_catalogue)
