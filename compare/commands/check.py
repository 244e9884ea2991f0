"""`compare check`: from words to a request, and from findings to what is shown."""

from __future__ import annotations

import ipaddress
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass

import click
from rich.console import Console

from compare.check import languages, variant
from compare.check.bench import Subject
from compare.check.catalogue import CHECKS, CLIENTS, PROFILES, Profile, of_profile
from compare.check.declared import read_limit
from compare.check.languages import LANGUAGES, Language
from compare.check.runner import run
from compare.check.style import ONE_THREAD
from compare.check.variant import DEFAULT, Variant
from compare.commands.file import File
from compare.commands.graded import NOT_YET, Graded
from compare.commands.options import SECONDS
from compare.commands.output import (
    FAILED,
    INTERRUPTED,
    PIPED_WIDTH,
    as_json,
    interrupt,
    show,
    write,
)
from compare.host.launch import READY_TIMEOUT_S
from compare.host.place import Place, loopback_fault
from compare.models import starting
from compare.report import checks
from compare.report.progress import saying

PASSED = 0
ASKED = ("MUST", "STYLE")  # of everybody, and of who was to be made so


@dataclass(frozen=True)
class Request:
    """What is to be checked."""

    subject: Subject
    ids: list[str]

    @classmethod
    def read(
        cls,
        *,
        profile: Profile,
        only: str | None,
        limits: tuple[str, ...],
        connect: str | None,
        remote: bool,
        strict: bool,
        command: tuple[str, ...],
        ready_timeout_s: float | None = None,
        language: Language | None = None,
        style: str | None = None,
        of_frames: Variant | None = None,
    ) -> Request:
        """Raises click.UsageError, with a line for a person."""
        if profile in CLIENTS:
            _must_be_a_client(profile, connect, command)
        if bool(command) == bool(connect):
            raise click.UsageError(
                "give either a command after --, such as: compare check -- python my_server.py "
                "{port}, or --connect HOST:PORT."
            )
        if remote and not connect:
            raise click.UsageError("--remote goes with --connect: a command runs on this machine.")
        if ready_timeout_s is not None and connect:
            raise click.UsageError("--ready-timeout goes with a command: what --connect names is.")
        if of_frames is not None and profile != "frames":
            raise click.UsageError("--variant goes with --profile frames, which alone has some.")
        known = [each.id for each in of_profile(profile)]
        ids = [each for each in known if style or not CHECKS[each].style]
        ids = ids if only is None else [each.strip() for each in only.split(",")]
        for name in ids:
            if name not in known:
                raise click.BadParameter(
                    f"{profile} has no check {name!r}; choose from {', '.join(known)}",
                    param_hint="'--only'",
                )
        place = None if connect is None else _place(connect, profile, remote=remote)
        declared = dict(map(_limit, limits))
        if unasked := declared.keys() - {CHECKS[name].limit for name in ids}:
            raise click.BadParameter(
                f"none of the checks that are to be made asks for {min(unasked)}",
                param_hint="'--limit'",
            )
        words = words_of(command)
        if style and not any(CHECKS[name].style == style for name in ids):
            raise click.BadParameter(
                "none of the checks that are to be made asks for it", param_hint="'--style'"
            )
        subject = Subject(
            profile,
            words,
            place,
            declared,
            strict,
            ready_timeout_s=ready_timeout_s,
            language=language or languages.of_command(words),
            style=style,
            variant=of_frames or DEFAULT,
        )
        return cls(subject, ids)


def _must_be_a_client(profile: Profile, connect: str | None, command: tuple[str, ...]) -> None:
    example = f"compare check --profile {profile} -- python my_client.py {{host}} {{port}}"
    if connect:
        raise click.UsageError(
            f"--connect names a server, and --profile {profile} is for a client, whose server is "
            f"made here: {example}."
        )
    if command and not any("{port}" in word for word in command):
        raise click.UsageError(
            f"put {{port}} into the command where the client is told whom to talk to: {example}."
        )


def words_of(command: tuple[str, ...]) -> tuple[str, ...]:
    """As in `compare run --server`."""
    try:
        words = starting.words_of(command)
    except ValueError as error:
        raise click.UsageError(f"{error}.") from None
    if command and not words:
        raise click.UsageError("the command is empty.")
    return words


def _limit(text: str) -> tuple[str, float]:
    try:
        return read_limit(text)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--limit'") from None


def _place(text: str, profile: Profile, *, remote: bool) -> Place:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="'--connect'")
    try:
        place = Place("udp" if profile == "udp-echo" else "tcp", host, int(port)).resolved()
    except OSError as error:
        raise click.BadParameter(
            f"nobody knows {host}: {error.strerror}", param_hint="'--connect'"
        ) from None
    address = ipaddress.ip_address(place.host.partition("%")[0])
    if not (address.is_loopback or address.is_unspecified or remote):
        raise click.BadParameter(
            f"{host} is not this machine; the checks send floods and resets, so say --remote if "
            "the server is yours",
            param_hint="'--connect'",
        )
    return place


def perform(
    request: Request,
    *,
    seed: int,
    alone: bool,
    strict: bool,
    regardless: bool,
    outputs: Mapping[str, str | None],
) -> int:
    """Make the checks, show each as it is found, write the files; the exit status.

    Raises click.BadParameter where a file cannot be written, before anything is asked.
    """
    subject = request.subject
    graded = Graded(subject, request.ids, outputs)
    console = _console(stderr=outputs["json"] == "-")
    status, reason, told_why = PASSED, NOT_YET, ""
    try:
        with saying() as told:
            for finding in run(
                subject, request.ids, seed, told, alone=alone, regardless=regardless
            ):
                graded.add(finding)
                again = not finding.started and finding.actual == told_why
                if not again and not checks.is_undeclared(finding, subject.limits):
                    checks.show_finding(finding, _repeat(subject, finding.id, seed), console)
                told_why = told_why if finding.started else finding.actual
    except KeyboardInterrupt:
        status, reason = INTERRUPTED, "not asked: interrupted"
    finally:
        graded.end(reason)
    found = graded.findings
    if found:
        for line in checks.summary(found, subject.limits):
            console.print(line, soft_wrap=True, markup=False)
    if told_why and not any(each.started and each.state != "skipped" for each in found):
        tested = CHECKS[found[0].id].tested
        click.echo(f"the {tested} cannot be checked: {told_why}", err=True)
    for unwritten in graded.unwritten.values():
        click.echo(unwritten, err=True)
        status = status or FAILED
    bad = ("failed", "skipped") if strict else ("failed",)
    if any(each.state in bad and (strict or each.kind in ASKED) for each in found):
        return status or FAILED
    return status


def _console(*, stderr: bool) -> Console:
    console = Console(stderr=stderr, highlight=False, emoji=False)
    if console.is_terminal:
        return console
    return Console(
        stderr=stderr, highlight=False, emoji=False, width=PIPED_WIDTH, color_system=None
    )


def _repeat(subject: Subject, name: str, seed: int) -> str:
    words = ["compare", "check", "--profile", subject.profile, "--only", name, "--seed", str(seed)]
    for limit, value in subject.limits.items():
        words += ["--limit", f"{limit}={value:g}"]
    words += ["--style", subject.style] if subject.style and CHECKS[name].style else []
    words += ["--variant", str(subject.variant)] if subject.variant != DEFAULT else []
    words += ["--strict"] if subject.strict and CHECKS[name].kind == "STRICT" else []
    if subject.ready_timeout_s is not None:
        words += ["--ready-timeout", f"{subject.ready_timeout_s:g}"]
    if subject.place is not None:
        host = f"[{subject.place.host}]" if ":" in subject.place.host else subject.place.host
        return shlex.join([*words, "--connect", f"{host}:{subject.place.port}"])
    return shlex.join([*words, "--", *subject.command])


class Words(click.ParamType[Variant]):
    """A variant of frames, such as 2,numbers."""

    name = "WORDS"

    def convert(
        self, value: str | Variant, param: click.Parameter | None, context: click.Context | None
    ) -> Variant:
        try:
            return value if isinstance(value, Variant) else variant.read(value)
        except ValueError as error:
            self.fail(str(error), param, context)


@click.command()
@click.option("--profile", type=click.Choice(PROFILES), default="tcp-echo", show_default=True)
@click.option("--only", metavar="ID,...", help="These checks and no others.")
@click.option(
    "--limit",
    "limits",
    metavar="NAME=VALUE",
    multiple=True,
    help="A limit that the server keeps, such as idle=2s, connections=100, message=4096.",
)
@click.option("--connect", metavar="HOST:PORT", help="A server that runs already; no command.")
@click.option("--remote", is_flag=True, help="It may be on another machine.")
@click.option(
    "--ready-timeout",
    "ready_timeout_s",
    type=SECONDS,
    help=f"How long it may take to start.  [default: {READY_TIMEOUT_S:g}s]",
)
@click.option("--alone", is_flag=True, help="It serves one client at a time, by nature.")
@click.option(
    "--strict",
    is_flag=True,
    help="Ask what our own servers promise, too; what could not be checked counts as failed.",
)
@click.option(
    "--regardless",
    is_flag=True,
    help="Make checks, too, that need another one which has failed.",
)
@click.option(
    "--in",
    "language",
    type=click.Choice(LANGUAGES),
    help="The language in which to name the calls to look up.  [default: the command's]",
)
@click.option("--style", type=click.Choice([ONE_THREAD]), help="Ask how it is made, too.")
@click.option(
    "--variant",
    "of_frames",
    type=Words(),
    help="Of the length of frames: 2 or 4 bytes, and what it counts, such as 2,numbers.",
)
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=7, show_default=True)
@click.option("--list", "listing", is_flag=True, help="Show all checks, and end.")
@click.option(
    "--json",
    "json_path",
    type=File(dir_okay=False, allow_dash=True),
    help="What was found, or the list, as JSON; - for stdout.",
)
@click.option("--junit", "junit_path", type=File(dir_okay=False))
@click.option("--gradescope", "gradescope_path", type=File(dir_okay=False))
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def check(
    profile: Profile,
    only: str | None,
    limits: tuple[str, ...],
    connect: str | None,
    remote: bool,
    ready_timeout_s: float | None,
    alone: bool,
    strict: bool,
    regardless: bool,
    language: Language | None,
    style: str | None,
    of_frames: Variant | None,
    seed: int,
    listing: bool,
    json_path: str | None,
    junit_path: str | None,
    gradescope_path: str | None,
    command: tuple[str, ...],
) -> None:
    """Ask of a server, or of a client, of any language, what it must survive.

    COMMAND starts it; {port} and {host} in it are replaced, and it is ready when it prints READY
    tcp://HOST:PORT or when the port answers:

        compare check -- python my_server.py {port}

    A client (--profile client, udp-client) is told whom to talk to:

    \b
        compare check --profile client -- python my_client.py {host} {port}

    Exit status 0 if all that is a MUST passed, 1 if not, 2 for a mistake in the options.
    """
    if listing:
        if json_path:
            write(json_path, as_json(checks.listing()), "json")
        else:
            show(checks.show_listing)
        return
    request = Request.read(
        profile=profile,
        only=only,
        limits=limits,
        connect=connect,
        remote=remote,
        strict=strict,
        command=command,
        ready_timeout_s=ready_timeout_s,
        language=language,
        style=style,
        of_frames=of_frames,
    )
    if fault := loopback_fault():
        raise click.ClickException(fault)
    signal.signal(signal.SIGTERM, interrupt)
    outputs = {"json": json_path, "junit": junit_path, "gradescope": gradescope_path}
    status = perform(
        request, seed=seed, alone=alone, strict=strict, regardless=regardless, outputs=outputs
    )
    sys.exit(status)


@click.command()
@click.argument("check_id", metavar="ID")
def explain(check_id: str) -> None:
    """Tell what a check of `compare check` asks, why, and the usual mistake."""
    if check_id not in CHECKS:
        raise click.BadParameter(
            f"there is no check {check_id!r}; choose from {', '.join(CHECKS)}", param_hint="'ID'"
        )
    click.echo(checks.explain(CHECKS[check_id]))
