"""The options of `compare run`: what is made of them, and what is said of bad ones."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest
from click.testing import Result

from compare.commands import run as cli
from compare.commands import where
from compare.host.limits import limits_here
from compare.measure.loads import loads_of
from compare.models.matrix import WORKLOADS
from compare.models.sets import DEFAULT_MODELS, SETS
from compare.results.records import Run, Settings, Slow

Invoke = Callable[..., Result]


# Bad values


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
    assert (settings.connections, settings.rounds, settings.duration_s) == ([64], 11, 0.25)
    assert (settings.slice_s, settings.alone, settings.margin) == (0.02, False, 0.05)
    assert (settings.sizes, settings.idle, settings.ramp) == ([], [0], None)
    sizes = {load.workload: load.size for load in loads_of(settings)}
    assert sizes == {"udp-echo": 1000, "tcp-short": 1000, "tcp-long": 1000, "chat": 100}


def test_quick_is_few_short_rounds_unless_more_is_asked_for(
    asked: Callable[..., Settings],
) -> None:
    quick = asked("--quick")
    assert (quick.rounds, quick.duration_s) == (4, 0.08)
    longer = asked("--quick", "--rounds", "2", "--duration", "3")
    assert (longer.rounds, longer.duration_s) == (2, 3.0)


def test_alone_is_in_one_window_of_a_second(asked: Callable[..., Settings]) -> None:
    alone = asked("--alone")
    assert (alone.alone, alone.rounds, alone.duration_s) == (True, 11, 1.0)
    assert asked("--alone", "--duration", "3").duration_s == 3.0
    assert alone.warmup_s > asked().warmup_s


def test_cluster_measures_one_server_after_the_other_and_holds_nobody_to_a_core(
    asked: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    testbed = SimpleNamespace(limits=limits_here())
    monkeypatch.setattr(cli, "joined", lambda *_: contextlib.nullcontext(testbed))
    monkeypatch.setattr(where, "missing", lambda: None)
    settings = asked("--cluster", "local:2", "--quick")
    assert (settings.alone, settings.rounds, settings.duration_s) == (True, 1, 0.5)
    assert (settings.server_cores, settings.driver_core) == ([], None)


def test_slices_are_longer_where_a_rate_is_kept_up(asked: Callable[..., Settings]) -> None:
    for options, usual in (
        (("--rate", "250"), 0.1),
        (("--load", "0.7"), 0.1),
        (("--slo", "5ms"), 0.5),
    ):
        assert asked(*options).slice_s == usual
        assert asked(*options, "--slice", "5ms").slice_s == 0.005
    assert asked("--slice", "50ms").slice_s == 0.05


def test_what_a_message_costs_has_several_values(asked: Callable[..., Settings]) -> None:
    settings = asked("--work", "100us,0,20us", "--wait", "0..10ms/3", "--slow", "0,1%:20ms")
    assert settings.works_us == [0.0, 20.0, 100.0]
    assert settings.waits_us == [0.0, 5000.0, 10_000.0]
    assert settings.slows == [Slow(0.0, 0.0), Slow(0.01, 20_000.0)]
    loads = loads_of(settings)
    assert len({*loads}) == len(loads) == 4 * 3 * 3 * 2
    assert sum(load.is_handled for load in loads) == len(loads) - 4


@pytest.mark.usefixtures("nothing_runs")
def test_what_waits_is_not_larger_than_what_may_be_kept(invoke: Invoke) -> None:
    words = ("run", "--workloads", "tcp-long", "--size", "1M")
    result = invoke(*words, "--wait", "5ms")
    assert result.exit_code == 2
    assert "at most 262144 bytes" in result.stderr
    assert "1048576 are more" in result.stderr


def test_nothing_costs_more_than_its_service_unless_that_is_asked_for(
    asked: Callable[..., Settings],
) -> None:
    settings = asked()
    assert (settings.works_us, settings.waits_us, settings.slows) == ([], [], [])
    assert not any(load.is_handled for load in loads_of(settings))


def test_slices_have_room_for_slow_messages(asked: Callable[..., Settings]) -> None:
    assert asked("--slow", "1%:20ms").slice_s == 0.1
    assert asked("--slow", "1%:1ms").slice_s == 0.02
    assert asked("--slow", "1%:20ms", "--slice", "50ms").slice_s == 0.05


@pytest.mark.parametrize(("margin", "share"), [("1%", 0.01), ("0.02", 0.02), ("2.5%", 0.025)])
def test_margin_is_a_share(asked: Callable[..., Settings], margin: str, share: float) -> None:
    assert asked("--margin", margin).margin == pytest.approx(share)


def test_loop_is_closed_unless_a_rate_is_asked_for(asked: Callable[..., Settings]) -> None:
    settings = asked()
    assert (settings.rates, settings.shares, settings.slo_us) == ([], [], None)
    assert (settings.arrivals, settings.close) == ("fixed", "client")
    assert asked("--rate", "250").rates == [250]
    assert asked("--load", "0.7").shares == [0.7]

    def loops(*words: str) -> list[str]:
        return [load.loop for load in loads_of(asked("--workloads", "chat", *words))]

    assert loops() == ["closed"]
    assert loops("--rate", "250") == ["open"]
    assert loops("--load", "0.7") == ["closed", "open"]
    assert loops("--slo", "5ms", "--arrivals", "poisson") == ["closed", "open"]


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
        assert settings.precise


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
    assert (settings.server_cores, settings.driver_core) == ([3], 5)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3})
    settings = asked()
    assert (settings.server_cores, settings.driver_core) == ([], None)


# What is told of them


def test_help_names_every_option_and_the_version_is_told(invoke: Invoke) -> None:
    shown = invoke("run", "-h").stdout
    options = ("models", "workloads", "connections", "rounds", "duration", "size", "json")
    for option in (
        *options,
        "rate",
        "load",
        "slo",
        "slice",
        "alone",
        "margin",
        "arrivals",
        "close",
        "set",
        "python",
    ):
        assert f"--{option} " in shown
    for name in [*DEFAULT_MODELS, *SETS]:
        assert name in shown
    assert version("aionet-compare") in invoke("--version").stdout
