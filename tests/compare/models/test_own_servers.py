"""Servers of the user's own: from words to a model, and held to the checks before measuring."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.check.catalogue import CHECKS
from compare.host import launch
from compare.host.launch import LaunchError
from compare.measure import gate
from compare.measure.block import start
from compare.measure.gate import hold
from compare.measure.testbed import Held
from compare.models import own_servers
from compare.models.matrix import MODELS, WORKLOADS, Model
from compare.models.sets import DEFAULT_MODELS

ECHO = str(Path(__file__).parents[1] / "check" / "servers" / "tcp.py")
TCP_LONG = WORKLOADS["tcp-long"]


def config(folder: Path, text: str) -> Path:
    path = folder / "servers.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("command", ["a 'b c' {port}", "'a \"b c\" {port}'", "\"a 'b c' {port}\""])
def test_command_may_be_quoted_as_a_whole(command: str) -> None:
    assert own_servers.from_option(f"mine={command}").command == ("a", "b c", "{port}")


def test_option_is_a_name_and_a_command_in_a_shells_quoting() -> None:
    model = own_servers.from_option("mine=python 'my server.py' {port}")
    assert (model.name, model.command) == ("mine", ("python", "my server.py", "{port}"))
    assert model.own
    assert all(model.unsupported(each) is None for each in WORKLOADS.values())


def test_number_of_workers_is_put_into_a_command_and_the_place_is_left() -> None:
    model = own_servers.from_option("mine=./mine --workers={workers} {host}:{port} {else}")
    assert model.argv(TCP_LONG, workers=4) == ["./mine", "--workers=4", "{host}:{port}", "{else}"]
    assert model.typed() == ["./mine", "--workers=2", "{host}:{port}", "{else}"]


def test_table_of_a_file_says_where_and_what_it_serves(tmp_path: Path) -> None:
    text = """
    [server.mine]
    command = ["./mine", "--at", "{host}:{port}"]
    workloads = ["tcp-long"]
    env = { LEVEL = "3" }
    cwd = "/tmp"
    cores = [0]
    ready_timeout = "1500ms"
    """
    (model,) = own_servers.from_config(config(tmp_path, text))
    assert model.command == ("./mine", "--at", "{host}:{port}")
    assert (model.cwd, model.environment, model.cores) == ("/tmp", {"LEVEL": "3"}, (0,))
    assert model.ready_timeout_s == 1.5
    assert model.unsupported(TCP_LONG) is None
    assert "does not say" in (model.unsupported(WORKLOADS["chat"]) or "")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("python my.py", "is not NAME=COMMAND"),
        ("my server=python my.py", "'my server' is no name"),
        ("epoll=python my.py", "there is a model 'epoll' already"),
        ("mine=", "mine: the command is empty"),
        ("mine=python 'my.py", "is no command: No closing quotation"),
    ],
)
def test_mistake_in_the_option_is_told(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        own_servers.from_option(text)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[server.mine", "cannot read .*servers.toml: "),
        pytest.param(f"x = {'[' * 100_000}", "cannot read .*servers.toml: ", id="too-deep"),
        pytest.param(f"x = {'1' * 5000}", "cannot read .*servers.toml: ", id="too-many-digits"),
        ("[server.mine]\ncommand = 'x'\ncwd = ''", "mine: cwd is empty"),
        ("[server.mine]\nworkloads = []", "missing required field `command`"),
        ("[server.mine]\ncommand = 'x'\ncolour = 1", "unknown field `colour`"),
        ("[server.mine]\ncommand = 7", "Expected `str | array`"),
        ("[server.mine]\ncommand = 'x'\nworkloads = ['udp']", "there is no workload 'udp'"),
        ("[server.mine]\ncommand = 'x'\ncores = [9999]", "mine: there is no core 9999 for us"),
        ("[server.mine]\ncommand = 'x'\ncores = [-1]", "mine: there is no core -1 for us"),
    ],
)
def test_mistake_in_the_file_is_told(text: str, told: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=told):
        own_servers.from_config(config(tmp_path, text))


def test_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="No such file"):
        own_servers.from_config(tmp_path / "servers.toml")


def with_mistake(mistake: str) -> Model:
    return own_servers.from_option(f"mine={sys.executable} {ECHO} {mistake} {{port}}")


def test_server_that_does_not_start_is_not_measured() -> None:
    model = own_servers.from_option(f"mine={sys.executable} no-such-file.py {{port}}")
    assert "ended before it was ready: exit status 2" in (hold(model, TCP_LONG).barred or "")


def test_unchecked_and_reference_servers_are_measured_as_they_are() -> None:
    unchecked = dataclasses.replace(with_mistake("drops-the-last-byte"), unchecked=True)
    assert hold(unchecked, TCP_LONG) == Held()
    assert hold(MODELS["bare-epoll"], TCP_LONG) == Held()


# The default ones but one, which is asked here as an example: tests/conformance asks them it all.
HANDFUL = [
    name
    for name, each in MODELS.items()
    if not each.reference and (name == "epoll" or name not in DEFAULT_MODELS)
]


@pytest.mark.parametrize("workload", ["udp-echo", "tcp-long", "chat"])
@pytest.mark.parametrize("name", HANDFUL)
def test_ours_may_be_measured(name: str, workload: str) -> None:
    model = MODELS[name]
    if reason := model.unsupported(WORKLOADS[workload]):
        pytest.skip(reason)
    assert hold(model, WORKLOADS[workload]) == Held()


def compare(*words: str) -> Result:
    load = ("--rounds", "1", "--duration", "0.1", "--workloads", "tcp-long", "--connections", "4")
    return CliRunner().invoke(main, ["run", *load, *words])


def cells(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


@pytest.fixture
def some_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """All take their time."""
    some = [CHECKS[name] for name in ("tcp/1", "tcp/4", "tcp/18")]
    monkeypatch.setattr(gate, "of_profile", lambda profile: some)


def beside_ours(path: Path, mistake: str) -> tuple[Result, dict[str, dict]]:
    """The result, and the cells by their models."""
    server = f"mine={sys.executable} {ECHO} {mistake} {{port}}"
    result = compare("--models", "epoll", "--server", server, "--json", str(path))
    return result, {cell["model"]: cell for cell in cells(path)}


@pytest.mark.usefixtures("some_checks")
def test_server_whose_answer_is_another_is_a_failed_cell_beside_ours(tmp_path: Path) -> None:
    result, by_model = beside_ours(tmp_path / "run.json", "drops-the-last-byte")
    assert result.exit_code == 1
    assert by_model["epoll"]["verdict"] != "failed"
    assert by_model["mine"]["verdict"] == "failed"
    (reason,) = by_model["mine"]["reasons"]
    assert reason.startswith("it fails tcp/1. A byte here and there is missing")
    assert "compare check --only tcp/1 says how" in reason
    assert f"mine is not measured: {reason[:40]}" in result.output


@pytest.mark.usefixtures("some_checks")
def test_what_a_server_does_wrong_besides_is_told_beside_its_figures(tmp_path: Path) -> None:
    result, by_model = beside_ours(tmp_path / "run.json", "urgent-inline")
    assert result.exit_code == 0
    assert by_model["mine"]["rounds"]
    assert by_model["mine"]["reasons"][0] == "it fails tcp/18: compare check --only tcp/18 says how"
    assert "mine is measured all the same: it fails tcp/18" in result.output


def test_unchecked_server_is_measured_and_marked(tmp_path: Path) -> None:
    text = f"""
    [server.mine]
    command = ["{sys.executable}", "{ECHO}", "urgent-inline", "{{port}}"]
    """
    path = tmp_path / "run.json"
    words = ("--models", "epoll", "--config", str(config(tmp_path, text)), "--unchecked")
    result = compare(*words, "--json", str(path))
    assert result.exit_code == 0
    (mine,) = [cell for cell in cells(path) if cell["model"] == "mine"]
    assert mine["verdict"] != "failed"
    assert "unchecked" in result.output


@pytest.mark.parametrize(("within_s", "starts"), [(0.1, False), (30.0, True)])
def test_slow_starter_is_waited_for_as_long_as_was_said(
    monkeypatch: pytest.MonkeyPatch, within_s: float, starts: bool
) -> None:
    monkeypatch.setattr(launch, "READY_TIMEOUT_S", 0.0)
    code = (
        "import sys, time; time.sleep(0.3); "
        "print('READY tcp://127.0.0.1:7', flush=True); sys.stdin.read()"
    )
    model = Model("mine", "", (sys.executable, "-c", code), own=True, ready_timeout_s=within_s)
    server = start(model, TCP_LONG, ())
    told = pytest.raises(LaunchError, match=r"within 0\.1 s")
    with contextlib.nullcontext() if starts else told, server:
        assert server.died() is None


def test_ready_timeout_of_the_command_line_comes_before_that_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float | None] = []

    def execute(settings: object, models: list[Model], *more: object) -> None:
        seen.extend(each.ready_timeout_s for each in models if each.own)
        raise KeyboardInterrupt

    monkeypatch.setattr("compare.commands.run.execute", execute)
    tables = "[server.one]\ncommand = 'one'\nready_timeout = '20s'\n[server.two]\ncommand = 'two'"
    words = ("run", "--models", "epoll", "--config", str(config(tmp_path, tables)))
    store = ("--store", str(tmp_path / "store"))
    CliRunner().invoke(main, [*words, *store])
    CliRunner().invoke(main, [*words, *store, "--ready-timeout", "40s"])
    assert seen == [20.0, None, 40.0, 40.0]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ('command = "x"\nenv = { "A=B" = "1" }', "x: 'A=B' in env is no name"),
        ('command = "x"\nenv = { "" = "1" }', "x: '' in env is no name"),
        ('command = "x"\nenv = { A = "1\\u0000" }', r"x: '1\x00' has a NUL"),
        ('command = "x"\nenv = { "A\\u0000" = "1" }', r"x: 'A\x00' has a NUL"),
        ('command = ["x", "\\u0000"]', r"x: '\x00' has a NUL"),
        ('command = "x"\ncwd = "\\u0000"', r"x: '\x00' has a NUL"),
    ],
)
def test_what_no_process_can_be_given_is_told(tmp_path: Path, table: str, told: str) -> None:
    path = tmp_path / "servers.toml"
    path.write_text(f"[server.x]\n{table}\n")
    with pytest.raises(ValueError, match=re.escape(told)):
        own_servers.from_config(path)


def test_file_is_read_as_utf8_whatever_the_locale(tmp_path: Path) -> None:
    path = tmp_path / "servers.toml"
    path.write_text('[server.x]\ncommand = "./é"\n', encoding="utf-8")
    code = (
        "import pathlib, sys\n"
        "from compare.models.own_servers import from_config\n"
        "print(ascii(from_config(pathlib.Path(sys.argv[1]))[0].command))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        capture_output=True,
        text=True,
    )
    assert done.stdout == "('./\\xe9',)\n", done.stderr
