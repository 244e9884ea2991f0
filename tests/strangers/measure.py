"""What the servers of others, and ours, do on the checks of `compare check`.

    python tests/strangers/measure.py [--rounds 3] [--only tcp/1,tcp/3] [--servers NAME,...]

Takes half an hour. Each of the others here is what its project's documentation or examples
teach, with a port from the command line, and nothing is added to make it look better or worse;
socat and ncat are called as their manual pages show it. Prints a Markdown table for each profile:
how many MUST checks passed, and which did not, where all rounds agree; and a note for each check
in which they do not. Ours are also held to the limits that they declare.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import get_args

from compare.check.catalogue import CHECKS, PROFILES, Kind, Profile, of_profile
from compare.measure.gate import PROFILE_OF
from compare.models.matrix import MODELS, WORKLOADS

HERE = Path(__file__).parent
FAILED = "failed"


Limits = tuple[tuple[str, tuple[str, ...]], ...]  # what is declared, and the options that set it


@dataclass(frozen=True, slots=True)
class Server:
    """A server: of `package`, of the program that begins its command, or of the standard library.

    limits: those it keeps, if it is ours. alone: it serves one client at a time.
    exceptions: checks that it cannot pass by nature, and why. strict: it is one of ours, and held
    to what they promise, too.
    """

    title: str
    profile: Profile
    command: tuple[str, ...]
    package: str | None = None
    limits: Limits = ()
    alone: bool = False
    exceptions: Mapping[str, str] = field(default_factory=dict)
    strict: bool = False

    @property
    def version(self) -> str:
        if self.package and not self.package.startswith("_"):  # of the standard library
            return f"{self.package} {version(self.package)}"
        if self.command[0] == sys.executable:
            return f"CPython {platform.python_version()}"
        version_option = {"ncat": "--version"}.get(self.command[0], "-V")
        done = subprocess.run(
            [self.command[0], version_option], capture_output=True, text=True, check=False
        )
        said = re.search(r"version ([\w.]+)", done.stdout + done.stderr, re.IGNORECASE)
        return f"{self.command[0]} {said[1] if said else ''}"

    @property
    def missing(self) -> str | None:
        """What is not installed, if something is not."""
        if self.package and importlib.util.find_spec(self.package.lower()) is None:
            return self.package
        return None if shutil.which(self.command[0]) else self.command[0]

    def ids(self, declared: str = "") -> list[str]:
        """The checks of the limit that is declared; where none is, MUST, and STRICT of ours."""
        limit = declared.partition("=")[0] or None
        return [
            each.id
            for each in of_profile(self.profile)
            if each.limit == limit
            and (each.kind in ("MUST", "LIMIT") or (self.strict and each.kind == "STRICT"))
        ]


def check(server: Server, wanted: Collection[str]) -> dict[str, str]:
    """How each check ended, by its ID; one that is made twice has passed if both have."""
    states: dict[str, str] = {}
    compare = [sys.executable, "-m", "compare", "check", "--regardless", "--json", "-"]
    compare += ["--profile", server.profile, *(["--alone"] if server.alone else [])]
    for declared, options in [("", ()), *server.limits]:
        ids = [each for each in server.ids(declared) if each not in server.exceptions]
        ids = [each for each in ids if not wanted or each in wanted]
        if not ids:
            continue
        words = [
            "--only",
            ",".join(ids),
            *(["--strict"] if server.strict else []),
            *(["--limit", declared] if declared else []),
        ]
        command = [*compare, *words, "--", *server.command, *options]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = json.loads(done.stdout or "{}").get("findings")
        if not found:
            raise SystemExit(f"{server.title} cannot be checked: {done.stderr}")
        for each in found:
            if states.get(each["id"]) != FAILED:
                states[each["id"]] = each["state"]
    return states


def _python(name: str) -> tuple[str, ...]:
    return (sys.executable, str(HERE / f"{name}.py"), "{port}")


OTHERS = {
    "socat": Server(
        "socat PIPE", "tcp-echo", ("socat", "TCP-LISTEN:{port},bind={host},fork,reuseaddr", "PIPE")
    ),
    "socat-cat": Server(
        "socat EXEC:cat",
        "tcp-echo",
        ("socat", "TCP-LISTEN:{port},bind={host},fork,reuseaddr", "EXEC:cat"),
    ),
    "ncat": Server(
        "ncat --exec cat",
        "tcp-echo",
        ("ncat", "--listen", "--keep-open", "--exec", "/bin/cat", "{host}", "{port}"),
    ),
    "socketserver": Server("ThreadingTCPServer", "tcp-echo", _python("socketserver_threading")),
    "selectors": Server("`selectors` example", "tcp-echo", _python("selectors_example")),
    "asyncio-docs-streams": Server(
        "asyncio's page on streams", "tcp-echo", _python("asyncio_docs_streams")
    ),
    "asyncio-docs-protocol": Server(
        "asyncio's page on protocols", "tcp-echo", _python("asyncio_docs_protocol")
    ),
    "asyncio-streams": Server("asyncio streams", "tcp-echo", _python("asyncio_streams")),
    "asyncio-protocol": Server("asyncio Protocol", "tcp-echo", _python("asyncio_protocol")),
    "uvloop-sockets": Server(
        "uvloop's benchmark", "tcp-echo", _python("uvloop_sockets"), package="uvloop"
    ),
    "uvloop-protocol": Server(
        "uvloop's benchmark, --proto", "tcp-echo", _python("uvloop_protocol"), package="uvloop"
    ),
    "twisted": Server("Twisted's echo", "tcp-echo", _python("twisted_protocol"), package="Twisted"),
    "tornado-docs": Server(
        "Tornado's page, lines", "tcp-echo", _python("tornado_docs"), package="Tornado"
    ),
    "tornado-bytes": Server(
        "Tornado, read_bytes", "tcp-echo", _python("tornado_bytes"), package="Tornado"
    ),
    "trio": Server("trio's tutorial", "tcp-echo", _python("trio_tutorial"), package="trio"),
    "anyio": Server("anyio's page", "tcp-echo", _python("anyio_page"), package="anyio"),
    "gevent-example": Server(
        "gevent's example, lines", "tcp-echo", _python("gevent_example"), package="gevent"
    ),
    "gevent-bytes": Server("gevent, recv", "tcp-echo", _python("gevent_bytes"), package="gevent"),
    "socat-udp": Server(
        "socat UDP-RECVFROM", "udp-echo", ("socat", "UDP-RECVFROM:{port},bind={host},fork", "PIPE")
    ),
    "socketserver-udp": Server("UDPServer", "udp-echo", _python("socketserver_datagrams")),
    "asyncio-docs-udp": Server(
        "asyncio's DatagramProtocol", "udp-echo", _python("asyncio_docs_datagrams")
    ),
}


# Ours, and for each limit the options that set it.
_WRITE: Limits = (("write=0.4s", ("--write-timeout", "0.4")),)
_ONE_AT_A_TIME: Limits = (*_WRITE, ("drain=0.5s", ("--drain-timeout", "0.5")))
_CAPPED: Limits = (
    ("connections=3", ("--max-connections", "3", "--on-full", "queue")),
    ("connections=3", ("--max-connections", "3", "--on-full", "reject")),
)
_BLOCKING: Limits = (
    *_ONE_AT_A_TIME,
    ("stalled=384k", ("--write-buffer", "65536")),
    *_CAPPED,
    ("descriptors=1", ()),
    ("idle=1s", ("--idle-timeout", "1")),
    ("per-peer=2", ("--max-per-peer", "2")),
)
_AIONET: Limits = (*_BLOCKING, ("workers=2", ("--workers", "2")))
_UDP: Limits = (("asked-address=1", ()),)
_AIONET_UDP: Limits = (
    *_UDP,
    ("no-privileged=1", ()),
    ("rate=50", ("--udp-rate-loopback", "50")),
    ("no-broadcast=1", ()),
)
_CHAT: Limits = (
    ("message=4096", ()),
    ("outbox=256k", ("--outbox", "262144")),
    ("message-time=0.5s", ("--message-timeout", "0.5")),
)
_FRAMEWORK: Limits = (
    *_ONE_AT_A_TIME,
    ("stalled=384k", ("--write-buffer", "65536")),
    ("idle=1s", ("--idle-timeout", "1")),
)
# A reader of asyncio's takes 256 KiB at once when it has room for 128.
_STREAMS: Limits = (
    *_ONE_AT_A_TIME,
    ("stalled=640k", ("--write-buffer", "65536")),
    ("idle=1s", ("--idle-timeout", "1")),
)
_OURS: dict[str, dict[Profile, Limits]] = {
    "blocking": {"tcp-echo": _ONE_AT_A_TIME, "udp-echo": _UDP, "chat": ()},
    "threaded": {"tcp-echo": _BLOCKING, "udp-echo": _UDP, "chat": _CHAT},
    "epoll": {"tcp-echo": _BLOCKING, "udp-echo": _UDP, "chat": _CHAT},
    "asyncio": {"tcp-echo": _AIONET, "udp-echo": _AIONET_UDP, "chat": _CHAT},
    "uvloop": {"tcp-echo": _AIONET, "udp-echo": _AIONET_UDP, "chat": _CHAT},
    "select": {"tcp-echo": _BLOCKING, "udp-echo": _UDP, "chat": _CHAT},
    "poll": {"tcp-echo": _BLOCKING, "udp-echo": _UDP, "chat": _CHAT},
    "epoll-et": {"tcp-echo": _BLOCKING, "udp-echo": _UDP, "chat": _CHAT},
    "coroutines": {"tcp-echo": _BLOCKING, "chat": _CHAT},
    "threadpool": {"tcp-echo": (*_ONE_AT_A_TIME, *_CAPPED), "chat": _CHAT},
    "fork": {"tcp-echo": (*_ONE_AT_A_TIME, *_CAPPED)},
    "prefork": {"tcp-echo": _ONE_AT_A_TIME, "udp-echo": _UDP},
    "prefork-reuseport": {"tcp-echo": _WRITE, "udp-echo": _UDP},
    "asyncio-threads": {"tcp-echo": _FRAMEWORK, "udp-echo": _UDP},
    "interpreters": {"tcp-echo": _FRAMEWORK, "udp-echo": _UDP},
    "asyncio-streams": {"tcp-echo": _STREAMS, "chat": _CHAT},
    "uvloop-streams": {"tcp-echo": _STREAMS, "chat": _CHAT},
    "anyio": {"tcp-echo": _FRAMEWORK, "udp-echo": (), "chat": _CHAT},
    "gevent": {"tcp-echo": _FRAMEWORK, "udp-echo": _UDP, "chat": _CHAT},
    "rloop": {"tcp-echo": (), "udp-echo": (), "chat": ()},
    "tornado": {"tcp-echo": _FRAMEWORK, "chat": _CHAT},
    "trio": {"tcp-echo": _FRAMEWORK, "udp-echo": (), "chat": _CHAT},
    "twisted": {"tcp-echo": _FRAMEWORK, "udp-echo": (), "chat": _CHAT},
}


def _ours(name: str, profile: Profile, limits: Limits) -> Server:
    model = MODELS[name]
    workload = next(each for each in WORKLOADS.values() if PROFILE_OF[each.service] == profile)
    scheme = "udp" if profile == "udp-echo" else "tcp"
    command = (*model.argv(workload), "--listen", f"{scheme}://{{host}}:{{port}}")
    package, _, _ = command[command.index("-m") + 1].partition(".")
    return Server(
        f"{package}: {name}",
        profile,
        command,
        model.module,
        limits,
        model.alone,
        model.exceptions,
        strict=True,
    )


OURS = {
    f"{name}-{profile}": _ours(name, profile, limits)
    for name, profiles in _OURS.items()
    for profile, limits in profiles.items()
}
SERVERS = OTHERS | OURS


def table(profile: Profile, rounds: dict[str, list[dict[str, str]]]) -> str:
    """The results of each server as Markdown, and what the rounds do not agree on below."""
    lines = [f"| {profile} | version | passed | failed |", "|---|---|---|---|"]
    notes = []
    for name, results in rounds.items():
        server, counts, failed = SERVERS[name], {kind: [0, 0] for kind in get_args(Kind)}, []
        for id_ in results[0]:
            states = {each[id_] for each in results} - {"skipped"}
            if len(states) == 2:
                notes.append(f"{server.title}, {id_}: failed in some rounds")
            if states:
                count = counts[CHECKS[id_].kind]
                count[0] += states == {"passed"}
                count[1] += 1
                failed += [id_] if FAILED in states else []
        passed = ", ".join(f"{n} of {all_} {kind}" for kind, (n, all_) in counts.items() if all_)
        cells = [server.title, server.version, passed, ", ".join(failed) or "none"]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, *([""] if notes else []), *notes])


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Servers of others, and ours, on our checks.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="such as tcp/1,tcp/3 (default: all)")
    parser.add_argument("--servers", default=",".join(SERVERS), help=f"of {', '.join(SERVERS)}")
    args = parser.parse_args(argv)
    names = args.servers.split(",")
    if unknown := set(names) - set(SERVERS):
        parser.error(f"there is no server {', '.join(sorted(unknown))}")
    wanted = set(filter(None, args.only.split(",")))
    if unknown := wanted - set(CHECKS):
        parser.error(f"there is no check {', '.join(sorted(unknown))}")
    for name in names[:]:
        if missing := SERVERS[name].missing:
            sys.stderr.write(f"{name} is left out: {missing} is not installed\n")
            names.remove(name)
    rounds: dict[str, list[dict[str, str]]] = {}
    for number, name in enumerate(names):
        sys.stderr.write(f"{number + 1}/{len(names)} {name}\n")
        try:
            rounds[name] = [check(SERVERS[name], wanted) for _ in range(args.rounds)]
        except KeyboardInterrupt:
            sys.stderr.write("interrupted: the servers before this one are shown\n")
            names = [*rounds]
            break
    for profile in PROFILES:
        mine = {name: rounds[name] for name in names if SERVERS[name].profile == profile}
        if any(results[0] for results in mine.values()):
            sys.stdout.write(f"{table(profile, mine)}\n\n")
    command = shlex.join(["python", "tests/strangers/measure.py", *argv])
    sys.stdout.write(
        f"`{command}`: {args.rounds} rounds, CPython {platform.python_version()}, "
        f"{platform.system()} {platform.release()}, {os.cpu_count()} cores\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
