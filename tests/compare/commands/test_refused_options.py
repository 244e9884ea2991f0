"""Options of `compare run` that cannot be meant: a line each that says which, and what to do."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result

from compare.commands import run as cli
from compare.results.records import Run, Settings

Invoke = Callable[..., Result]


# Bad values


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--models", "forks", "'forks'; did you mean fork? choose from blocking, "),
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
        ("--connections", "9" * 5000, "is not a whole number from 1 to 1,000,000"),
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
        ("--load", "0.5%", "'0.5%' is not a share from 1% to 150%, such as 70% or 0.7"),
        pytest.param("--load", "nan", "nan"),
        ("--slice", "20", "'20' is not a time from 1us to 1000s, such as 5ms"),
        ("--slice", "0ms", "'0ms'"),
        ("--margin", "0", "'0' is not a share from 0.01% to 1000%, such as 5%"),
        ("--margin", "-5%", "'-5%'"),
        ("--margin", "some", "'some'"),
        ("--margin", "nan", "'nan'"),
        ("--slo", "5", "'5' is not a time from 1us to 1000s, such as 5ms"),
        ("--slo", "ms", "'ms'"),
        ("--slo", "", "''"),
        ("--slo", "5m", "'5m'"),
        ("--slo", "17 min", "'17 min'"),
        ("--slo", "0ms", "'0ms'"),
        ("--slo", "-5ms", "'-5ms'"),
        ("--slo", "0.9us", "'0.9us'"),
        ("--slo", "1001s", "'1001s'"),
        ("--slo", "nanms", "'nanms'"),
        ("--slo", "infs", "'infs'"),
        ("--work", "50", "'50' is not 0, or a time up to 100ms with its unit, such as 50us or 5ms"),
        ("--work", "0,", "''"),
        ("--work", "-1us", "'-1us'"),
        ("--work", "101ms", "'101ms'"),
        ("--wait", "long", "'long'"),
        ("--wait", "nanms", "'nanms'"),
        ("--slow", "20ms", "'20ms' is not SHARE:TIME, such as 1%:20ms, nor 0"),
        ("--slow", "1%:", "'' is not a time from 1us to 100ms, such as 20ms"),
        ("--slow", "1%:0ms", "'0ms'"),
        ("--slow", "0%:5ms", "'0%' is not a share up to 100%, such as 1% or 0.01"),
        ("--slow", "101%:5ms", "'101%'"),
        ("--slow", "1%:20ms,", "''"),
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
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--arrivals", "poisson"), "it goes with --rate, --load or --slo"),
        (("--close", "server", "--workloads", "tcp-long"), "--close says who ends"),
        (("--close", "reset", "--workloads", "chat"), "--close says who ends"),
        (("--slice", "10s", "--duration", "0.1"), "which lasts 0.1 s: a shorter --slice"),
        (("--slice", "300ms"), "which lasts 0.25 s"),
        (("--slice", "200ms", "--quick"), "which lasts 0.08 s"),
        (("--slice", "20ms", "--alone"), "with --alone each server is measured in one window"),
        (("--slice", "20ms", "--drivers", "2"), "with --drivers each server"),
        (("--unchecked",), "it goes with --server or --config"),
        (("--ready-timeout", "30s"), "it goes with --server or --config"),
        (("--cluster", "local:1", "--cores", "0,1"), "--cores are of this machine"),
        (("--cluster", "local:1", "--server-cores", "0"), "--server-cores are of this machine"),
        (("--cores", "0,1", "--server-cores", "0"), "leave --server-cores out"),
    ],
)
def test_option_that_would_do_nothing_is_refused_in_a_line(
    invoke: Invoke, options: tuple[str, ...], words: str
) -> None:
    result = invoke("run", *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr.splitlines()[-1]


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--cores", "0,1"), "'0' is not how many cores; --server-cores says which"),
        (("--cores", "9000"), "--server-cores says which"),
        (("--cores", "8192"), "8192 cores are more than there are for us"),
        (("--cores", "1", "--server-cores", "nine"), "is no list of cores"),
        (("--cores", "1", "--cluster", "local:1"), "--cores are of this machine"),
    ],
)
def test_number_of_cores_that_cannot_be_is_refused_in_a_line(
    invoke: Invoke, options: tuple[str, ...], words: str
) -> None:
    result = invoke("scale", *options)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert words in result.stderr.splitlines()[-1]


@pytest.mark.usefixtures("nothing_runs")
def test_server_with_cores_of_its_own_climbs_no_ladder(invoke: Invoke, tmp_path: Path) -> None:
    config = tmp_path / "servers.toml"
    core = min(os.sched_getaffinity(0))
    config.write_text(f'[server.mine]\ncommand = "true"\ncores = [{core}]\n')
    result = invoke("scale", "--cores", "1", "--config", str(config))
    assert result.exit_code == 2
    assert "has no more of them by --cores" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("diff", "1", "2", "--json", "--markdown"), "exclude each other"),
        (("check", "--remote", "--", "true"), "--remote goes with --connect"),
        (
            ("check", "--only", "tcp/1", "--limit", "idle=2s", "--", "true"),
            "none of the checks that are to be made asks for idle",
        ),
    ],
)
def test_option_of_another_command_that_would_do_nothing_is_refused_too(
    invoke: Invoke, options: tuple[str, ...], words: str
) -> None:
    result = invoke(*options)
    assert result.exit_code == 2
    assert words in result.stderr.splitlines()[-1]


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
    assert asked[0].sizes == [1]


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
