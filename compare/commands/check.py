"""`compare check`: from words to a request, and from findings to what is shown."""

from __future__ import annotations

import contextlib
import ipaddress
import shlex
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import click
import msgspec
from rich.console import Console

from compare.check.bench import Subject
from compare.check.catalogue import CHECKS, PROFILES, Profile, of_profile
from compare.check.runner import Finding, run
from compare.commands.output import FAILED, INTERRUPTED, PIPED_WIDTH, interrupt, show
from compare.host.launch import LaunchError
from compare.host.place import Place
from compare.report import checks
from compare.report.progress import saying
from compare.report.words import escape

PASSED = 0
_UNITS = {"ms": 1e-3, "s": 1.0, "k": 1024.0, "M": 1024.0**2, "": 1.0}
_LIMITS = sorted({each.limit for each in CHECKS.values() if each.limit})


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
        command: tuple[str, ...],
    ) -> Request:
        """Raises click.UsageError, with a line for a person."""
        if bool(command) == bool(connect):
            raise click.UsageError(
                "give either a command after --, such as: compare check -- python my_server.py "
                "{port}, or --connect HOST:PORT."
            )
        if remote and not connect:
            raise click.UsageError("--remote goes with --connect: a command runs on this machine.")
        known = [each.id for each in of_profile(profile)]
        ids = known if only is None else [each.strip() for each in only.split(",")]
        for name in ids:
            if name not in known:
                raise click.BadParameter(
                    f"{profile} has no check {name!r}; choose from {', '.join(known)}",
                    param_hint="'--only'",
                )
        place = None if connect is None else _place(connect, profile, remote=remote)
        declared = dict(map(read_limit, limits))
        if unasked := declared.keys() - {CHECKS[name].limit for name in ids}:
            raise click.BadParameter(
                f"none of the checks that are to be made asks for {min(unasked)}",
                param_hint="'--limit'",
            )
        subject = Subject(profile, command, place, declared)
        return cls(subject, ids)


def read_limit(text: str) -> tuple[str, float]:
    """A name and its value from `idle=2s`. Raises click.BadParameter."""
    name, _, value = text.partition("=")
    number = value.rstrip("smkM")
    try:
        amount = float(number) * _UNITS[value[len(number) :]]
    except (ValueError, KeyError):
        amount = 0.0
    if name not in _LIMITS or amount <= 0:
        raise click.BadParameter(
            f"{text!r} is not one of {', '.join(_LIMITS)} with a value above 0, such as idle=2s",
            param_hint="'--limit'",
        )
    return name, amount


def _place(text: str, profile: Profile, *, remote: bool) -> Place:
    host, _, port = text.rpartition(":")
    host = host.strip("[]")
    if not (host and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise click.BadParameter(f"{text!r} is not HOST:PORT", param_hint="'--connect'")
    local = host == "localhost"
    with contextlib.suppress(ValueError):
        local = local or ipaddress.ip_address(host).is_loopback
    if not (local or remote):
        raise click.BadParameter(
            f"{host} is not this machine; the checks send floods and resets, so say --remote if "
            "the server is yours",
            param_hint="'--connect'",
        )
    return Place("udp" if profile == "udp-echo" else "tcp", host, int(port))


def list_checks(console: Console) -> None:
    """Every check, in the order in which to make them pass."""
    listed = {each.id: each for profile in PROFILES for each in of_profile(profile)}
    for each in listed.values():
        kind = f"LIMIT {each.limit}" if each.limit else "MUST"
        profiles = ", ".join(each.profiles)
        console.print(
            f"{each.id:<12} {kind:<22} {profiles:<26} {escape(each.what)}", soft_wrap=True
        )


def perform(
    request: Request, *, seed: int, alone: bool, strict: bool, outputs: Mapping[str, str | None]
) -> int:
    """Make the checks, show each as it is found, write the files; the exit status."""
    findings: list[Finding] = []
    to_stderr = outputs["json"] == "-"
    console = Console(stderr=to_stderr, highlight=False, emoji=False)
    if not console.is_terminal:
        console = Console(
            stderr=to_stderr, highlight=False, emoji=False, width=PIPED_WIDTH, color_system=None
        )
    status = PASSED
    try:
        with saying() as told:
            for finding in run(request.subject, request.ids, seed, told, alone=alone):
                findings.append(finding)
                checks.show_finding(finding, _repeat(request.subject, finding.id, seed), console)
    except LaunchError as error:
        hint = "; put {port} into the command where it is told where to listen"
        hint = "" if request.subject.takes_a_port or request.subject.place else hint
        click.echo(f"the server cannot be checked: {error}{hint}", err=True)
        status = FAILED
    except KeyboardInterrupt:
        status = INTERRUPTED
    if findings:
        console.print(checks.summary(findings), soft_wrap=True)
    _write(findings, request.subject, outputs)
    bad = ("failed", "skipped") if strict else ("failed",)
    if any(each.state in bad and (strict or each.kind == "MUST") for each in findings):
        return status or FAILED
    return status


def _repeat(subject: Subject, name: str, seed: int) -> str:
    words = ["compare", "check", "--profile", subject.profile, "--only", name, "--seed", str(seed)]
    for limit, value in subject.limits.items():
        words += ["--limit", f"{limit}={value:g}"]
    if subject.place is not None:
        return shlex.join([*words, "--connect", f"{subject.place.host}:{subject.place.port}"])
    return shlex.join([*words, "--", *subject.command])


def _write(findings: list[Finding], subject: Subject, outputs: Mapping[str, str | None]) -> None:
    name = shlex.join(subject.command) or str(subject.place)
    contents = {
        "json": lambda: msgspec.json.format(
            msgspec.json.encode(
                {"format": "compare-check/1", "subject": name, "findings": findings}
            ),
            indent=1,
        ),
        "junit": lambda: checks.junit(findings, name),
        "gradescope": lambda: msgspec.json.encode(checks.gradescope(findings)),
    }
    for kind, path in outputs.items():
        if path == "-":
            sys.stdout.buffer.write(contents[kind]() + b"\n")
        elif path:
            try:
                Path(path).write_bytes(contents[kind]())
            except OSError as error:
                raise click.BadParameter(
                    f"cannot write {path}: {error.strerror}", param_hint=f"'--{kind}'"
                ) from None


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
@click.option("--alone", is_flag=True, help="It serves one client at a time, by nature.")
@click.option("--strict", is_flag=True, help="What could not be checked counts as failed.")
@click.option("--seed", type=click.IntRange(0, 2**63 - 1), default=7, show_default=True)
@click.option("--list", "listing", is_flag=True, help="Show all checks, and end.")
@click.option("--json", "json_path", type=click.Path(dir_okay=False, allow_dash=True))
@click.option("--junit", "junit_path", type=click.Path(dir_okay=False))
@click.option("--gradescope", "gradescope_path", type=click.Path(dir_okay=False))
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def check(
    profile: Profile,
    only: str | None,
    limits: tuple[str, ...],
    connect: str | None,
    remote: bool,
    alone: bool,
    strict: bool,
    seed: int,
    listing: bool,
    json_path: str | None,
    junit_path: str | None,
    gradescope_path: str | None,
    command: tuple[str, ...],
) -> None:
    """Ask of a server, of any language, what it must survive.

    COMMAND starts it; {port} and {host} in it are replaced, and it is ready when it prints READY
    tcp://HOST:PORT or when the port answers:

        compare check -- python my_server.py {port}

    Exit status 0 if all that is a MUST passed, 1 if not, 2 for a mistake in the options.
    """
    if listing:
        show(list_checks)
        return
    request = Request.read(
        profile=profile,
        only=only,
        limits=limits,
        connect=connect,
        remote=remote,
        command=command,
    )
    signal.signal(signal.SIGTERM, interrupt)
    outputs = {"json": json_path, "junit": junit_path, "gradescope": gradescope_path}
    sys.exit(perform(request, seed=seed, alone=alone, strict=strict, outputs=outputs))


@click.command()
@click.argument("check_id", metavar="ID")
def explain(check_id: str) -> None:
    """Tell what a check of `compare check` asks, why, and the usual mistake."""
    if check_id not in CHECKS:
        raise click.BadParameter(
            f"there is no check {check_id!r}; choose from {', '.join(CHECKS)}", param_hint="'ID'"
        )
    click.echo(checks.explain(CHECKS[check_id]))
