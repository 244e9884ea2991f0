"""The options of `compare run`: what is made of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from importlib.metadata import version
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
