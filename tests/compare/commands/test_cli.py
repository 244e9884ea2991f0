"""The command line: what it prints where, how it ends, and what it leaves behind."""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.commands import run as cli
from compare.models.matrix import DEFAULT_MODELS, MODELS, SETS, WORKLOADS, Model
from compare.results.records import Cell, Run, Settings
from compare.selftest import trials
from compare.selftest.trials import Finding

DEADLINE_S = 30.0
TINY = ["--rounds", "1", "--duration", "0.1", "--connections", "4"]
Invoke = Callable[..., Result]


@pytest.fixture
def invoke() -> Iterator[Invoke]:
    """Runs the command in this process, with stdout and stderr apart and no terminal."""
    before = signal.getsignal(signal.SIGTERM)
    yield lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)
    signal.signal(signal.SIGTERM, before)


Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts the command as a process of its own, as a shell does."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, descriptors: int | None = None) -> subprocess.Popen[bytes]:
        def prepare() -> None:
            if descriptors is not None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        process = subprocess.Popen(
            [sys.executable, "-m", "compare", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            preexec_fn=prepare,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate(timeout=DEADLINE_S)


# From one end to the other


def test_run_prints_a_table_for_each_workload_and_writes_the_json(
    start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "run.json"
    process = start(
        *("run", "--models", "epoll,bare-epoll", "--workloads", "tcp-long,chat", *TINY),
        *("--seed", "42", "--json", str(path)),
    )
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, stderr.decode()
    text = stdout.decode()
    assert "\x1b" not in text

    # A table for each workload, a row for each model, best first, nothing cut.
    headings = [row for row in text.splitlines() if row.startswith(("tcp-long ", "chat "))]
    assert [row.split()[0] for row in headings] == ["tcp-long", "chat"]
    assert "4 connections, 1000 B, closed loop, 1 round of 0.1 s" in headings[0]
    assert "4 members, 100 B, closed loop" in headings[1]
    rows = [row.split()[0] for row in text.splitlines() if row.startswith(("epoll ", "bare-"))]
    assert sorted(rows) == ["bare-epoll", "bare-epoll", "epoll", "epoll"]
    assert MODELS["bare-epoll"].cannot["chat"] in text
    assert "4/4" in text
    assert "seed 42" in text
    assert "…" not in text

    # Progress goes elsewhere.
    assert "[3/3] round 1" in stderr.decode()
    assert "round 1" not in text

    assert_is_a_run(json.loads(path.read_bytes()), cells=4)
    assert list(tmp_path.iterdir()) == [path]


def test_json_on_stdout_is_alone_there(start: Start) -> None:
    process = start("run", "--models", "epoll", "--workloads", "tcp-long", *TINY, "--json", "-")
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0
    assert_is_a_run(json.loads(stdout), cells=1)
    assert b"tcp-long   4 connections" in stderr
    assert b"\x1b" not in stderr


def assert_is_a_run(run: dict[str, Any], cells: int) -> None:
    """It has the keys of the documented format, and they hang together."""
    assert run["format"] == "compare-run/1"
    assert not run["interrupted"]
    assert run["machine"]["cores"] >= 1
    assert run["settings"]["rounds"] == 1
    assert len(run["cells"]) == cells
    for cell in run["cells"]:
        assert {
            *("model", "workload", "connections", "loop", "verdict", "reasons"),
            *("ops_per_s", "ops_per_s_ci95", "latency_us", "connect_us", "counts", "errors"),
            *("server", "driver", "rounds"),
        } <= set(cell)
        assert {"p50", "p90", "p99", "p99_9", "max"} <= set(cell["latency_us"])
        assert {"p50", "p99"} <= set(cell["connect_us"])
        counted = {"attempted", "connected", "served", "starved", "refused", "reset", "timed_out"}
        assert counted <= set(cell["counts"])
        assert {"cpu_us_per_op", "rss_kb", "peak_connections"} <= set(cell["server"])
        assert "cpu_fraction" in cell["driver"]
        assert cell["loop"] == "closed"
        if cell["verdict"] == "unsupported":
            assert cell["ops_per_s"] is None
            assert cell["rounds"] == []
            continue
        if cell["verdict"] == "noisy":  # the machine stood still, and that is what it says
            continue
        assert cell["ops_per_s"], cell["reasons"]
        assert cell["counts"]["served"] == cell["connections"] == 4
        assert cell["errors"] == {}
        assert len(cell["rounds"]) == 1


# Bad values


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli, "execute", lambda *_: pytest.fail("it runs"))


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--models", "forks", "'forks'; choose from blocking, "),
        ("--models", "epoll,,asyncio", "''"),
        ("--models", "epoll asyncio", "'epoll asyncio'"),
        ("--models", "", "''"),
        ("--workloads", "ping", "'ping'; choose from udp-echo, "),
        ("--workloads", "chat,tcp", "'tcp'"),
        ("--connections", "0", "'0'"),
        ("--connections", "-1", "'-1'"),
        ("--connections", "many", "'many'"),
        ("--connections", "1.5", "'1.5'"),
        ("--connections", "64,", "''"),
        ("--connections", "1000001", "'1000001'"),
        ("--connections", "²", "'²'"),
        ("--connections", "9" * 5000, "is not a whole number"),
        ("--rounds", "0", "0"),
        ("--rounds", "1001", "1001"),
        ("--rounds", "two", "'two' is neither a whole number from 1 to 1000 nor auto"),
        ("--rounds", "-1", "'-1'"),
        ("--rounds", "1.5", "'1.5'"),
        ("--rounds", "", "''"),
        ("--rounds", "²", "'²'"),
        ("--rounds", "Auto", "'Auto'"),
        ("--rounds", "9" * 5000, "is neither a whole number"),
        ("--rate", "0", "0"),
        ("--rate", "-1", "-1"),
        ("--rate", "inf", "inf"),
        ("--rate", "fast", "'fast'"),
        pytest.param("--rate", "nan", "nan"),
        ("--load", "0", "0"),
        ("--load", "1.6", "1.6"),
        ("--load", "70%", "'70%'"),
        pytest.param("--load", "nan", "nan"),
        ("--slo", "5", "'5' is not a time from 1us to 1000s, such as 5ms"),
        ("--slo", "ms", "'ms'"),
        ("--slo", "", "''"),
        ("--slo", "5m", "'5m'"),
        ("--slo", "5 min", "'5 min'"),
        ("--slo", "0ms", "'0ms'"),
        ("--slo", "-5ms", "'-5ms'"),
        ("--slo", "0.9us", "'0.9us'"),
        ("--slo", "1001s", "'1001s'"),
        ("--slo", "nanms", "'nanms'"),
        ("--slo", "infs", "'infs'"),
        ("--arrivals", "uniform", "'uniform'"),
        ("--close", "nobody", "'nobody'"),
        ("--duration", "0", "'0'"),
        ("--duration", "-1", "'-1'"),
        ("--duration", "0.04", "'0.04'"),
        ("--duration", "nan", "'nan'"),
        ("--duration", "inf", "'inf'"),
        ("--duration", "long", "'long'"),
        ("--size", "0", "0"),
        ("--size", "15", "15 does not suit udp-echo, whose messages have 16 to 65507 bytes"),
        ("--size", "4001", "4001 does not suit chat, whose messages have 24 to 4000 bytes"),
        ("--size", "big", "'big'"),
        ("--seed", "-1", "-1"),
        ("--json", "", ""),
        ("--json", "/no/such/folder/run.json", "/no/such/folder/run.json: No such file"),
        ("--json", "/proc/run.json", "/proc/run.json"),
        ("--json", "/tmp", "'/tmp' is a directory"),
    ],
)
def test_bad_value_is_refused_in_a_line_that_names_it(
    invoke: Invoke, option: str, value: str, words: str
) -> None:
    result = invoke("run", option, value)
    assert result.exit_code == 2
    assert result.stdout == ""
    lines = result.stderr.splitlines()
    errors = [line for line in lines if line.startswith("Error: ")]
    assert errors == lines[-1:]
    assert option in errors[0]
    assert words in errors[0]


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    "options",
    [
        ("--rate", "100", "--load", "0.5"),
        ("--rate", "100", "--slo", "5ms"),
        ("--load", "0.5", "--slo", "5ms"),
        ("--rate", "100", "--load", "0.5", "--slo", "5ms"),
    ],
)
def test_two_rates_at_once_are_refused_in_a_line(invoke: Invoke, options: tuple[str, ...]) -> None:
    result = invoke("run", *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.splitlines()[-1] == (
        "Error: --rate, --load and --slo exclude each other: choose one."
    )


@pytest.mark.usefixtures("nothing_runs")
def test_size_is_held_against_the_workloads_that_are_asked_for(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, made_up_run: Callable[..., Run]
) -> None:
    asked: list[Settings] = []

    def execute(settings: Settings, *_: object) -> Run:
        asked.append(settings)
        return made_up_run([])

    monkeypatch.setattr(cli, "execute", execute)
    assert invoke("run", "--workloads", "tcp-long", "--size", "1").exit_code == 0
    assert asked[0].sizes == {"tcp-long": 1}


@pytest.mark.usefixtures("nothing_runs")
def test_json_does_not_replace_what_is_no_file(invoke: Invoke, tmp_path: Path) -> None:
    """As /dev/null is not: a pipe must still be one afterwards."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    result = invoke("run", "--json", str(pipe))
    assert pipe.is_fifo()
    assert result.exit_code == 2
    assert "--json" in result.stderr.splitlines()[-1]


def test_json_to_a_link_is_written_where_it_points(
    invoke: Invoke,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    made_up_run: Callable[..., Run],
) -> None:
    monkeypatch.setattr(cli, "execute", lambda *_: made_up_run([]))
    target, link = tmp_path / "run.json", tmp_path / "latest.json"
    target.touch()
    link.symlink_to(target)
    assert invoke("run", "--json", str(link)).exit_code == 0
    assert link.is_symlink()
    assert json.loads(target.read_bytes())["format"] == "compare-run/1"


# What is asked for


@pytest.fixture
def asked(
    monkeypatch: pytest.MonkeyPatch, invoke: Invoke, made_up_run: Callable[..., Run]
) -> Callable[..., Settings]:
    """The settings that some arguments come to."""

    def ask(*arguments: str) -> Settings:
        found: list[Settings] = []

        def execute(settings: Settings, *_: object) -> Run:
            found.append(settings)
            return made_up_run([])

        monkeypatch.setattr(cli, "execute", execute)
        result = invoke("run", *arguments)
        assert result.exit_code == 0, result.output
        return found[0]

    return ask


def test_defaults_are_the_plain_models_and_all_workloads(
    asked: Callable[..., Settings],
) -> None:
    settings = asked()
    assert settings.models == ["blocking", "threaded", "epoll", "asyncio", "uvloop"]
    assert settings.workloads == list(WORKLOADS)
    assert (settings.connections, settings.rounds, settings.duration_s) == ([64], 5, 1.0)
    assert settings.sizes == {"udp-echo": 1000, "tcp-short": 1000, "tcp-long": 1000, "chat": 100}


def test_quick_is_one_short_round_unless_more_is_asked_for(asked: Callable[..., Settings]) -> None:
    quick = asked("--quick")
    assert (quick.rounds, quick.duration_s) == (1, 0.5)
    longer = asked("--quick", "--rounds", "2", "--duration", "3")
    assert (longer.rounds, longer.duration_s) == (2, 3.0)


def test_loop_is_closed_unless_a_rate_is_asked_for(asked: Callable[..., Settings]) -> None:
    settings = asked()
    assert (settings.rate, settings.load, settings.slo_us) == (None, None, None)
    assert (settings.arrivals, settings.close) == ("fixed", "client")
    assert settings.loops == ["closed"]
    assert asked("--rate", "250").loops == ["open"]
    assert asked("--rate", "250").rate == 250
    assert asked("--load", "0.7").loops == ["closed", "open"]
    assert asked("--load", "0.7").load == 0.7
    assert asked("--slo", "5ms", "--arrivals", "poisson").loops == ["closed", "open"]


@pytest.mark.parametrize(
    ("slo", "us"),
    [
        ("5ms", 5000),
        ("5 ms", 5000),
        ("250us", 250),
        ("250µs", 250),
        ("1.5s", 1_500_000),
        ("1us", 1),
    ],
)
def test_time_of_a_promise_has_its_unit(
    asked: Callable[..., Settings], slo: str, us: float
) -> None:
    assert asked("--slo", slo).slo_us == us


def test_rounds_are_a_number_or_as_many_as_it_takes(asked: Callable[..., Settings]) -> None:
    settings = asked("--rounds", "7")
    assert (settings.rounds, settings.precise) == (7, False)
    for options in (("--rounds", "auto"), ("--rounds", "auto", "--quick")):
        settings = asked(*options)
        assert (settings.rounds, settings.precise) == (5, True)


def test_what_is_named_twice_is_measured_once(asked: Callable[..., Settings]) -> None:
    settings = asked("--models", "epoll, asyncio,epoll", "--connections", "8,1,8")
    assert settings.models == ["epoll", "asyncio"]
    assert settings.connections == [8, 1]


def test_seed_is_drawn_anew_unless_it_is_given(asked: Callable[..., Settings]) -> None:
    assert asked("--seed", "0").seed == 0
    assert asked().seed != asked().seed


def test_server_and_driver_have_cores_of_their_own_where_there_are_two(
    asked: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 9})
    settings = asked()
    assert (settings.server_core, settings.driver_core) == (3, 9)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    settings = asked()
    assert (settings.server_core, settings.driver_core) == (None, None)


# Piped


def test_long_reason_is_printed_whole(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, made_up_run: Callable[..., Run]
) -> None:
    words = [f"word{number:04}" for number in range(200)]
    cell = Cell(
        model="epoll",
        workload="tcp-long",
        connections=4,
        verdict="failed",
        reasons=["; stderr: " + " ".join(words)],
    )
    monkeypatch.setattr(cli, "execute", lambda *_: made_up_run([cell]))
    result = invoke("run")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert [word for word in result.stdout.split() if word.startswith("word")] == words


def test_hostile_stderr_of_a_server_is_printed_as_plain_text(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = r"\x1b]0;title\x07\x1b[2J[red]bad :skull:\x9b2J"
    code = f"import sys; sys.stderr.write('{text}'); sys.exit(1)"
    monkeypatch.setitem(MODELS, "hostile", Model("hostile", "planted", ("-c", code)))
    # Rows of the matrix are known by name when the command is defined.
    monkeypatch.setattr(cli, "execute", partial(with_model, cli.execute, "hostile"))
    result = invoke("run", "--models", "epoll", "--workloads", "tcp-long", *TINY)
    assert result.exit_code == 1
    assert "[red]bad :skull:" in result.stdout
    assert not {"\x1b", "\x07", "\x9b"} & set(result.stdout)


def with_model(execute: Callable[..., Run], name: str, settings: Settings, *others: object) -> Run:
    return execute(msgspec.structs.replace(settings, models=[name]), *others)


# Stopped


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_run_shows_and_keeps_what_was_measured(
    start: Start,
    tmp_path: Path,
    number: signal.Signals,
    is_alive: Callable[[int], bool],
    offspring: Callable[[int], set[int]],
    wait_until: Callable[[Callable[[], object], str], None],
) -> None:
    path = tmp_path / "run.json"
    process = start(
        *("run", "--models", "epoll", "--workloads", "tcp-long", "--rounds", "5"),
        *("--duration", "0.05", "--connections", "4", "--json", str(path)),
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith(b"[1/5] round 1 epoll tcp-long 4: ")
    wait_until(lambda: len(offspring(process.pid)) >= 2, "server and driver run")
    family = offspring(process.pid)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert b"Traceback" not in stderr
    wait_until(lambda: not any(map(is_alive, family)), "server and driver are gone")
    run = json.loads(path.read_bytes())
    assert run["interrupted"]
    assert len(run["cells"][0]["rounds"]) >= 1
    text = stdout.decode()
    assert "\nepoll " in text
    assert "Interrupted: this is what was measured until then." in text
    assert list(tmp_path.iterdir()) == [path]


def test_run_interrupted_before_anything_was_measured_says_so(
    start: Start,
    offspring: Callable[[int], set[int]],
    wait_until: Callable[[Callable[[], object], str], None],
) -> None:
    process = start("run", "--duration", "60", "--rounds", "1", "--json", "-")
    wait_until(lambda: len(offspring(process.pid)) >= 2, "server and driver run")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert json.loads(stdout)["cells"] == []
    assert b"Interrupted" in stderr
    assert b"Traceback" not in stderr


def test_killed_runner_leaves_neither_server_nor_driver(
    start: Start,
    is_alive: Callable[[int], bool],
    offspring: Callable[[int], set[int]],
    wait_until: Callable[[Callable[[], object], str], None],
) -> None:
    process = start("run", "--models", "epoll", "--workloads", "tcp-long", "--duration", "60")
    wait_until(lambda: len(offspring(process.pid)) >= 2, "server and driver run")
    family = offspring(process.pid)
    process.kill()
    wait_until(lambda: not any(map(is_alive, family)), "server and driver are gone")


# Limits


def test_more_connections_than_descriptors_are_told_with_what_to_type(start: Start) -> None:
    process = start(
        *("run", "--models", "epoll", "--workloads", "tcp-long", "--rounds", "1"),
        *("--duration", "0.05", "--connections", "300,4"),
        descriptors=256,
    )
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, stderr.decode()
    text = stdout.decode()
    reason = "unsupported; 300 connections need 364 descriptors, and a process may have 256"
    assert reason in text
    assert "ulimit -Hn 364" in text
    assert "--connections 192" in text
    assert "4/4" in text, text


# The self-test


@pytest.fixture
def findings(monkeypatch: pytest.MonkeyPatch, invoke: Invoke) -> Callable[..., tuple[Result, Any]]:
    """Runs the self-test with findings of these states; the result, and what was asked for."""

    def run(*states: str, interrupted: bool = False) -> tuple[Result, Any]:
        asked: list[Any] = []

        def find(cores: Any, comparisons: int, told: Callable[[str], None]) -> Iterator[Finding]:
            asked.append((cores, comparisons))
            told("something")
            for state in states:
                yield Finding(f"a [row] of {state}", "1", "2", state)  # type: ignore[arg-type]
            if interrupted:
                raise KeyboardInterrupt

        monkeypatch.setattr(trials, "selftest", find)
        return invoke("selftest", "--comparisons", "0"), asked[0]

    return run


@pytest.mark.parametrize(
    ("states", "status"),
    [
        ((), 0),
        (("right", "right"), 0),
        (("right", "noisy"), 0),
        (("right", "wrong", "noisy"), 1),
    ],
)
def test_self_test_fails_only_where_something_is_wrong(
    findings: Callable[..., tuple[Result, Any]], states: tuple[str, ...], status: int
) -> None:
    result, (_, comparisons) = findings(*states)
    assert result.exit_code == status
    assert comparisons == 0
    for state in states:
        assert f"a [row] of {state} " in result.stdout
    for state in ("right", "wrong", "noisy"):
        assert f"{states.count(state)} {state}" in result.stdout
    assert ("stop other programs" in result.stdout) == ("noisy" in states)


def test_interrupted_self_test_shows_what_was_found(
    findings: Callable[..., tuple[Result, Any]],
) -> None:
    result, _ = findings("right", "wrong", interrupted=True)
    assert result.exit_code == 130
    assert "a [row] of wrong " in result.stdout


@pytest.mark.parametrize("value", ["-1", "many", "100001"])
def test_bad_number_of_comparisons_is_refused(invoke: Invoke, value: str) -> None:
    result = invoke("selftest", "--comparisons", value)
    assert result.exit_code == 2
    assert "--comparisons" in result.stderr.splitlines()[-1]


# The catalogue


def test_list_names_every_model_and_workload(invoke: Invoke) -> None:
    result = invoke("list")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "…" not in result.stdout
    lines = result.stdout.splitlines()
    for name in [*MODELS, *WORKLOADS]:
        assert [line for line in lines if line.startswith(f"{name} ")], name
    for model in MODELS.values():
        for words in (model.summary, *model.meaning.values(), *model.exceptions.values()):
            assert words in result.stdout
    for words, _ in SETS.values():
        assert words in result.stdout


def test_list_says_what_cannot_run_and_what_to_type(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvloop" else find(name)
    )
    text = invoke("list").stdout
    assert text.count("cannot run: uvloop is not installed: pip install uvloop") >= len(WORKLOADS)


def test_help_names_every_option_and_the_version_is_told(invoke: Invoke) -> None:
    shown = invoke("run", "-h").stdout
    options = ("models", "workloads", "connections", "rounds", "duration", "size", "json")
    for option in (*options, "rate", "load", "slo", "arrivals", "close", "set", "python"):
        assert f"--{option} " in shown
    for name in [*DEFAULT_MODELS, *SETS]:
        assert name in shown
    assert version("aionet-compare") in invoke("--version").stdout
