"""What other TCP echo servers do on the checks that ours are held to.

    python tests/strangers/measure.py [--rounds 3] [--rows tcp/1,tcp/3] [--servers NAME,...]

Takes a quarter of an hour, most of it waiting for connections that a full backlog turned away.

The checks are tests/conformance/test_tcp.py and test_tcp_limits.py as they are; only the command
that starts a server is another one. Each server here is what the documentation of its project
teaches, and nothing is added or taken away to make it look better or worse. Prints a Markdown
table. A row counts where all rounds agree; one that differs, or takes too long, is named below.

What a server logs and how it ends on SIGTERM is not judged, but for tcp/17, whose row forbids
a traceback. A row that needs a limit is no failure of a server that has no such limit.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import importlib.util
import io
import multiprocessing
import os
import platform
import shlex
import sys
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
CONFORMANCE = ROOT / "tests" / "conformance"
CHECKS = [CONFORMANCE / "test_tcp.py", CONFORMANCE / "test_tcp_limits.py"]
HARNESS = CONFORMANCE / "conftest.py"
NO_SUCH_LIMIT = "no such limit"
# Rows that need declared limits. So does a part of tcp/5; the rest of it any server can pass.
LIMITS = frozenset(("tcp/10", "tcp/11", "tcp/14", "tcp/15", "tcp/16"))
UNFINISHED = "unfinished"
TEST_TIMEOUT_S = 120  # for what takes a few seconds where nobody has to connect again


@dataclass(frozen=True, slots=True)
class Stranger:
    """A server of `package`, or of the standard library, to be run by this Python."""

    title: str
    command: tuple[str, ...]
    package: str | None = None
    ours: bool = False

    @property
    def version(self) -> str:
        if self.package is None:
            return f"CPython {platform.python_version()}"
        return f"{self.package} {version(self.package)}"

    @property
    def missing(self) -> bool:
        name = (self.package or "sys").lower()
        return importlib.util.find_spec(name) is None


def _of(name: str) -> tuple[str, ...]:
    return (str(HERE / f"{name}.py"),)


def _ours(loop: str) -> tuple[str, ...]:
    return ("-m", "aionet", "serve", "echo", "--loop", loop)


# Ours have the names that the harness has for them, and its checks choose by.
SERVERS = {
    "asyncio": Stranger("aionet on asyncio", _ours("asyncio"), ours=True),
    "uvloop": Stranger("aionet on uvloop", _ours("uvloop"), "uvloop", ours=True),
    "asyncio-streams": Stranger("asyncio streams", _of("asyncio_streams")),
    "asyncio-protocol": Stranger("asyncio Protocol", _of("asyncio_protocol")),
    "uvloop-protocol": Stranger("Protocol on uvloop", _of("uvloop_protocol"), "uvloop"),
    "twisted": Stranger("Twisted Protocol", _of("twisted_protocol"), "Twisted"),
    "selectors": Stranger("`selectors` example", _of("selectors_example")),
    "socketserver": Stranger("ThreadingTCPServer", _of("socketserver_threading")),
}


@dataclass
class Checks:
    """A pytest plugin: runs the checks on the server called `name`, and notes how each row ends."""

    name: str
    rows: frozenset[str]
    outcomes: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))  # by row
    limits: set[str] = field(default_factory=set)  # rows that ask for a limit
    _row_of: dict[str, str] = field(default_factory=dict)
    _row: str = ""

    @property
    def _server(self) -> Stranger:
        return SERVERS[self.name]

    def pytest_plugin_registered(self, plugin: Any) -> None:
        if getattr(plugin, "__file__", None) == str(HARNESS):
            plugin.MODELS = {self.name: ()}
            plugin.Serve._command = self._command
            plugin.Server.__init__ = self._without_judging_the_log(plugin.Server.__init__)

    def _command(
        self, service: str, *options: str, switch_interval: float | None = None
    ) -> list[str]:
        assert service == "echo"
        if self._server.ours:
            return [sys.executable, *self._server.command, *options]
        port = "0"
        if options[:1] == ("--listen",):
            port, options = options[1].rpartition(":")[2], options[2:]
        assert not options, f"{self._server.title} has no {options}"
        return [sys.executable, *self._server.command, port]

    def _without_judging_the_log(self, init: Any) -> Any:
        @functools.wraps(init)
        def replacement(server: Any, *args: Any) -> None:
            init(server, *args)
            server.expected_stderr = r"(?s)(?!.*Traceback).*" if self._row == "tcp/17" else "(?s).*"

        return replacement

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        kept = []
        for item in items:
            (row,) = item.get_closest_marker("fault").args
            if self.rows and row not in self.rows:
                continue
            needs_limit = item.path == CHECKS[1] or row in LIMITS
            if needs_limit:
                self.limits.add(row if row in LIMITS else f"{row} (idle)")
            if item.callspec.params["model"] == self.name and (
                self._server.ours or not needs_limit
            ):
                kept.append(item)
                self._row_of[item.nodeid] = row
        items[:] = kept

    def pytest_runtest_setup(self, item: Any) -> None:
        self._row = self._row_of[item.nodeid]

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        row, text = self._row_of[report.nodeid], str(report.longrepr)
        took_too_long = report.failed and "from pytest-timeout" in text
        self.outcomes[row].add(UNFINISHED if took_too_long else report.outcome)
        if report.failed:
            why = [line[1:].strip() for line in text.splitlines() if line.startswith("E ")]
            sys.stderr.write(f"{self._server.title}, {row}: {' '.join(why[:1])[:200]}\n")


Round = dict[str, str]  # how each row ended


def run_round(name: str, rows: frozenset[str]) -> Round:
    """How each row ended for one server: passed, failed, unfinished, or no such limit."""
    checks = Checks(name, rows)
    options = ["-n", "0", "-q", "--tb=short", "-p", "no:cacheprovider", "-m", ""]
    options += [f"--timeout={TEST_TIMEOUT_S}", "--rootdir", str(ROOT)]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        status = pytest.main([*options, *map(str, CHECKS)], plugins=[checks])
    if status not in (
        pytest.ExitCode.OK,
        pytest.ExitCode.TESTS_FAILED,
        pytest.ExitCode.NO_TESTS_COLLECTED,
    ):
        raise RuntimeError(f"the checks did not run:\n{said.getvalue()}")
    results: Round = {}
    for row, ended in checks.outcomes.items():
        for outcome in ("failed", UNFINISHED, "passed"):
            if outcome in ended:
                results[row] = outcome
                break
    if not SERVERS[name].ours:
        results |= dict.fromkeys(checks.limits, NO_SUCH_LIMIT)
    return results


def cell(rows: list[str]) -> str:
    """`1-4, 6`: rows by number, three and more in a row drawn together."""
    notes = [row.removeprefix("tcp/") for row in rows if "(" in row]
    runs: list[list[int]] = []
    for number in sorted(int(row.removeprefix("tcp/")) for row in rows if "(" not in row):
        if runs and runs[-1][-1] == number - 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    words = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(words + sorted(notes)) or "none"


def table(rounds: dict[str, list[Round]]) -> str:
    """The results of each server as Markdown, and what the rounds do not agree on below."""
    lines = ["| server | version | passed | failed | no such limit |", "|---|---|---|---|---|"]
    notes = []
    for name, results in rounds.items():
        server, columns = SERVERS[name], defaultdict(list)
        for row in sorted({row for each in results for row in each}):
            ended = sorted({each.get(row, "skipped") for each in results})
            if len(ended) == 1 and ended != [UNFINISHED]:
                columns[ended[0]].append(row)
            else:
                notes.append(f"{server.title}, {row}: {' or '.join(ended)}")
        cells = [cell(columns[column]) for column in ("passed", "failed", NO_SUCH_LIMIT)]
        lines.append(f"| {' | '.join([server.title, server.version, *cells])} |")
    return "\n".join([*lines, *([""] if notes else []), *notes])


def main(argv: list[str]) -> None:
    parser = argparse.ArgumentParser(description="Other TCP echo servers on our checks.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rows", default="", help="such as tcp/1,tcp/3 (default: all)")
    parser.add_argument("--servers", default=",".join(SERVERS), help=f"of {', '.join(SERVERS)}")
    args = parser.parse_args(argv)
    names = args.servers.split(",")
    if unknown := set(names) - set(SERVERS):
        parser.error(f"there is no server {', '.join(sorted(unknown))}")
    for name in [name for name in names if SERVERS[name].missing]:
        sys.stderr.write(f"{name} is left out: {SERVERS[name].package} is not installed\n")
        names.remove(name)
    rows = frozenset(filter(None, args.rows.split(",")))
    cores = len(os.sched_getaffinity(0))
    spawn = multiprocessing.get_context("spawn")  # each round imports the harness afresh
    with ProcessPoolExecutor(cores, spawn, max_tasks_per_child=1) as pool:
        tasks = {
            name: [pool.submit(run_round, name, rows) for _ in range(args.rounds)] for name in names
        }
        rounds = {name: [task.result() for task in each] for name, each in tasks.items()}
    command = shlex.join(["python", "tests/strangers/measure.py", *argv])
    sys.stdout.write(
        f"{table(rounds)}\n\n`{command}`: {args.rounds} rounds, CPython "
        f"{platform.python_version()}, {platform.system()} {platform.release()}, {cores} cores\n"
    )


if __name__ == "__main__":
    main(sys.argv[1:])
