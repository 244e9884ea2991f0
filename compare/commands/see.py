"""`compare see`: both ends of connections, and the server's threads, as they change."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import click
from rich.console import Console

from compare.check.bench import Subject
from compare.check.blame import of_this_machine
from compare.commands.check import words_of
from compare.commands.file import File
from compare.commands.options import SECONDS
from compare.commands.output import FAILED, INTERRUPTED, as_json, interrupt
from compare.host.launch import READY_TIMEOUT_S, LaunchError
from compare.host.place import loopback_fault
from compare.report.lanes import WIDTH, Lanes
from compare.report.lanes_page import page
from compare.see import play, states
from compare.see.records import Seen
from compare.see.scenes import SCENES

USAGE = 2
_SCENES = "\n".join(f"  {name}: {scene.what}\n" for name, scene in SCENES.items())


@click.command(epilog=f"Scenes:\n\n{_SCENES}")
@click.option(
    "--scene", type=click.Choice(list(SCENES)), help="What is done to it.  [default: hello]"
)
@click.option(
    "--states", "every", is_flag=True, help="All eleven states of TCP, each held still; no command."
)
@click.option(
    "--ready-timeout",
    "ready_timeout_s",
    type=SECONDS,
    help=f"How long it may take to start.  [default: {READY_TIMEOUT_S:g}s]",
)
@click.option(
    "-o", "--output", "html_path", type=File(dir_okay=False), help="A page of HTML with it."
)
@click.option("--json", "json_path", type=File(dir_okay=False, allow_dash=True))
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def see(
    scene: str | None,
    every: bool,
    ready_timeout_s: float | None,
    html_path: str | None,
    json_path: str | None,
    command: tuple[str, ...],
) -> None:
    """Show the states of both ends of TCP connections, and what the server's threads do.

    COMMAND starts the server; {port} and {host} in it are replaced:

        compare see -- python my_server.py {port}

    A line for each call of a client, whose number is in front, and for each change: the states of
    both ends, with r bytes in Recv-Q and s in Send-Q, how many wait to be accepted and the backlog,
    and the threads: R runs or waits for a core, S sleeps in a call, T is stopped.
    """
    if every and (command or scene):
        raise click.UsageError("--states has both ends itself: it takes no command and no --scene.")
    if not every and not command:
        raise click.UsageError(
            "give a command after --, such as: compare see -- python my_server.py {port}, or "
            "--states, which needs none."
        )
    for path, option in ((html_path, "'-o'"), (json_path, "'--json'")):
        _must_be_writable(path, option)
    if fault := loopback_fault():
        raise click.ClickException(fault)
    signal.signal(signal.SIGTERM, interrupt)
    name = "states" if every else scene or "hello"
    what = states.WHAT if every else SCENES[name].what
    lanes = Lanes(_console(stderr=json_path == "-"), name, what)
    try:
        if every:
            seen = play.all_states(lanes.show)
        else:
            subject = Subject("tcp-echo", words_of(command), ready_timeout_s=ready_timeout_s)
            seen = play.with_server(subject, name, lanes.show)
    except play.DatagramsError as error:
        click.echo(f"the server cannot be seen: {error}", err=True)
        sys.exit(USAGE)
    except (LaunchError, play.BlindError) as error:
        click.echo(f"the server cannot be seen: {error}", err=True)
        sys.exit(FAILED)
    except OSError as error:
        if not (reason := of_this_machine(error)):
            raise
        click.echo(f"nothing can be seen: {reason}", err=True)
        sys.exit(FAILED)
    lanes.end(seen)
    _write(seen, html_path, json_path)
    sys.exit(INTERRUPTED if seen.interrupted else 0)


def _must_be_writable(path: str | None, option: str) -> None:
    """Before anything is started. Raises click.BadParameter."""
    if path is None or path == "-":
        return
    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        raise click.BadParameter(
            f"cannot write {path!r}: {error.strerror}", param_hint=option
        ) from None


def _write(seen: Seen, html_path: str | None, json_path: str | None) -> None:
    if json_path is not None:
        data = as_json(seen)
        if json_path == "-":
            sys.stdout.buffer.write(data)
            sys.stdout.flush()
        else:
            Path(json_path).write_bytes(data)
    if html_path is not None:
        Path(html_path).write_text(page(seen), encoding="utf-8")


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, emoji=False)
    if console.is_terminal:
        return console
    return Console(stderr=stderr, highlight=False, emoji=False, width=WIDTH, color_system=None)
