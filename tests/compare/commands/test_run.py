"""`compare run` as it is called: what it prints where, how it ends, and what it leaves behind."""

from __future__ import annotations

import json
import os
import resource
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from click.testing import Result

from compare.commands import run as cli
from compare.models.matrix import MODELS
from compare.results.records import Cell, Run

DEADLINE_S = 30.0
TINY = ["--rounds", "1", "--duration", "0.1", "--connections", "4"]
Invoke = Callable[..., Result]


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
            env={**os.environ, "PYTHONIOENCODING": "utf-8"},
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
    models = ("epoll  ", "bare-epoll  ")
    rows = [row.split()[0] for row in text.splitlines() if row.startswith(models)]
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
            *("model", "workload", "connections", "loop", "verdict", "verdicts", "reasons"),
            *("ops_per_s", "ops_per_s_ci95", "cpu_us_per_op_ci95", "latency_us", "connect_us"),
            *("counts", "errors", "server", "driver", "rounds"),
        } <= set(cell)
        assert {"p50", "p90", "p99", "p99_9", "max"} <= set(cell["latency_us"])
        assert {"p50", "p99"} <= set(cell["connect_us"])
        counted = {"attempted", "connected", "served", "starved", "refused", "reset", "timed_out"}
        assert counted <= set(cell["counts"])
        assert {"cpu_us_per_op", "rss_kb", "pss_kb", "peak_connections"} <= set(cell["server"])
        assert {"cpu_fraction", "wait_fraction"} <= set(cell["driver"])
        assert cell["verdict"] == cell["verdicts"][0]
        assert cell["loop"] == "closed"
        if cell["verdict"] == "unsupported":
            assert cell["ops_per_s"] is None
            assert cell["rounds"] == []
            continue
        assert cell["ops_per_s"], cell["reasons"]
        assert cell["counts"]["served"] == cell["connections"] == 4
        assert cell["errors"] == {}
        assert len(cell["rounds"]) == 1
        assert len(cell["rounds"][0]["slices"]) == 5  # of 20 ms


@pytest.mark.slow
def test_models_of_a_load_are_held_against_the_best_by_every_metric(start: Start) -> None:
    models = ["epoll", "bare-epoll", "asyncio"]
    options = ("--models", ",".join(models), "--workloads", "tcp-long", *TINY)
    process = start("run", *options, "--rounds", "2", "--json", "-")
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, stderr.decode()
    run = msgspec.json.decode(stdout, type=Run)
    for metric in ("ops_per_s", "cpu_us_per_op"):
        found = [each for each in run.comparisons if each.metric == metric]
        assert sorted(each.model for each in found) == sorted(models)
        assert [each.standing == "best" for each in found] == [True, False, False]
        assert all(each.ratio_ci95 for each in found[1:])


def test_alone_has_one_window_a_round(start: Start) -> None:
    options = ("--models", "epoll,bare-epoll", "--workloads", "tcp-long", *TINY)
    process = start("run", *options, "--alone", "--json", "-")
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, stderr.decode()
    cells = msgspec.json.decode(stdout, type=Run).cells
    assert [len(cell.rounds[0].slices) for cell in cells] == [1, 1]
    assert "closed loop, 1 round of 0.1 s   " in stderr.decode()


# Piped


def test_long_reason_is_printed_whole(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, made_up_run: Callable[..., Run]
) -> None:
    words = [f"word{number:04}" for number in range(200)]
    cell = Cell(
        model="epoll",
        workload="tcp-long",
        connections=4,
        size=1000,
        verdict="failed",
        reasons=["; stderr: " + " ".join(words)],
    )
    monkeypatch.setattr(cli, "execute", lambda *_: made_up_run([cell]))
    result = invoke("run")
    assert result.exit_code == 1
    assert "\x1b" not in result.stdout
    assert [word for word in result.stdout.split() if word.startswith("word0")] == words


def test_hostile_stderr_of_a_server_is_printed_as_plain_text(
    invoke: Invoke,
) -> None:
    text = r"\x1b]0;title\x07\x1b[2J[red]bad :skull:\x9b2J"
    code = f"import sys; sys.stderr.write('{text}'); sys.exit(1)"
    server = f"hostile={shlex.join([sys.executable, '-c', code])}"
    words = ("--server", server, "--models", "hostile", "--unchecked", "--workloads", "tcp-long")
    result = invoke("run", *words, *TINY)
    assert result.exit_code == 1
    assert "[red]bad :skull:" in result.stdout
    assert not {"\x1b", "\x07", "\x9b"} & set(result.stdout)


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
    first = process.stderr.readline()
    if first.startswith(b"another run measures"):  # a test beside this one
        first = process.stderr.readline()
    assert first.startswith(b"[1/5] round 1 epoll tcp-long 4: ")
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
    process = start("run", "--models", "epoll", "--duration", "60", "--rounds", "1", "--json", "-")
    wait_until(lambda: len(offspring(process.pid)) >= 2, "server and driver run")
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert json.loads(stdout)["cells"] == []
    assert b"nothing was measured yet, so nothing is kept" in stderr
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_connections_to_all_servers_at_once_are_told_with_what_to_type(start: Start) -> None:
    """One driver holds those of all models of a load."""
    process = start(
        *("run", "--models", "epoll,bare-epoll,asyncio", "--workloads", "tcp-long"),
        *("--rounds", "1", "--duration", "0.05", "--connections", "100"),
        descriptors=256,
    )
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    text = stdout.decode()
    assert "the driver failed" not in text
    assert "ulimit -Hn " in text
    assert process.returncode == 0, stderr.decode()
