"""Idle connections as the command line has them, and `compare scale`, which is another name."""

from __future__ import annotations

import json
import re
import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from click.testing import Result

from compare.host.limits import limits_here
from compare.measure import gate
from compare.measure.idle import most
from compare.measure.testbed import Held
from compare.results.records import Run, Settings

Invoke = Callable[..., Result]
Asked = Callable[..., Settings]
LONG = ("--workloads", "tcp-long")
SERVE = (sys.executable, "-m", "aionet", "serve", "echo", "--listen", "tcp://{host}:{port}")
OWN = shlex.join(SERVE)


# What is asked for


def test_idle_connections_are_sorted_and_asked_for_once(asked: Asked) -> None:
    assert asked("run", *LONG, "--idle", "1k,10,1000").idle == [10, 1000]
    assert asked("run", *LONG, "--idle", "10..50/3").idle == [10, 30, 50]


def test_most_is_as_many_as_a_process_may_have(asked: Asked) -> None:
    assert asked("run", *LONG, "--idle", "most,10").idle == sorted([10, most(limits_here())])


def test_few_rounds_are_made_beside_them_unless_more_are_asked_for(asked: Asked) -> None:
    assert asked("run", *LONG, "--idle", "10").rounds == 3
    assert asked("run", *LONG, "--idle", "10", "--quick").rounds == 3
    assert asked("run", *LONG, "--idle", "10", "--rounds", "7").rounds == 7
    assert asked("run", *LONG, "--hold", "1M").rounds == 1  # they take their time to open


def test_hold_is_so_many_idle_once(asked: Asked) -> None:
    held = asked("run", *LONG, "--hold", "2k")
    assert held.idle == [2000]
    assert held == asked("run", *LONG, "--idle", "2000")
    assert asked("scale", "--hold", "2000").idle == [2000]


def test_ramp_is_a_rate(asked: Asked) -> None:
    assert asked("run", *LONG, "--idle", "10", "--ramp", "2k").ramp == 2000.0
    assert asked("scale", "--ramp", "0.5").ramp == 0.5


def test_short_connections_may_be_idle_too(asked: Asked) -> None:
    settings = asked("run", "--workloads", "tcp-short,tcp-long", "--idle", "10")
    assert (settings.workloads, settings.idle) == (["tcp-short", "tcp-long"], [10])


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("--models", "epoll,uvloop", "--connections", "8"),
        ("--quick",),
        ("--load", "70%", "--size", "16,1k"),
        ("--rounds", "auto", "--alone"),
    ],
)
def test_scale_is_run_with_other_defaults(asked: Asked, words: tuple[str, ...]) -> None:
    same = asked("run", *LONG, "--idle", "10,100,1000,10000,most", *words)
    assert asked("scale", *words) == same
    assert asked("scale", *words, "--idle", "7") == asked("run", *LONG, "--idle", "7", *words)


def test_scale_has_every_option_of_run_and_says_which_defaults_are_its_own(
    invoke: Invoke,
) -> None:
    run, scale = (invoke(name, "--help").stdout for name in ("run", "scale"))
    options = [{*re.findall(r"^  (--[a-z-]+)", text, re.MULTILINE)} for text in (run, scale)]
    assert options[0] == options[1]
    assert "--idle" in options[0]
    assert "10,100,1000,10000,most" in " ".join(scale.split())
    assert "10,100,1000,10000,most" not in run


def test_defaults_of_run_are_not_touched_by_those_of_scale(asked: Asked) -> None:
    asked("scale")
    settings = asked("run")
    assert settings.idle == [0]
    assert len(settings.workloads) == 4


# What cannot be meant


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--workloads", "chat", "--idle", "9"), "nobody stands idle in chat: --idle goes with"),
        (("--workloads", "udp-echo", "--hold", "9"), "nobody stands idle in udp-echo"),
        (("--workloads", "tcp-long,chat", "--idle", "9"), "nobody stands idle in chat"),
        (("--idle", "9"), "--idle goes with --workloads tcp-long or tcp-short."),
        ((*LONG, "--ramp", "2k"), "--ramp is how fast those of --idle are opened: say how many."),
        ((*LONG, "--idle", "-1"), "'-1' is not a whole number from 0 to 10,000,000"),
        ((*LONG, "--idle", "all"), "'all' is not a whole number"),
        ((*LONG, "--idle", "9", "--ramp", "0"), "'0' is not a number from 0.1 to 10,000,000"),
        ((*LONG, "--hold", "most"), "'most' is not a whole number"),
        ((*LONG, "--hold", "0"), "'0' is not a whole number"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    invoke: Invoke, words: tuple[str, ...], expected: str
) -> None:
    result = invoke("run", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert expected in result.stderr.splitlines()[-1]


# Servers of one's own


@pytest.mark.usefixtures("nothing_runs")
def test_two_servers_of_ones_own_with_one_name_are_refused(invoke: Invoke, tmp_path: Path) -> None:
    """Cells are told apart by their models' names."""
    path = tmp_path / "servers.toml"
    path.write_text("[server.mine]\ncommand = 'true'\n")
    for words in (
        ("--server", "mine=true", "--server", "mine=false"),
        ("--server", "mine=true", "--config", str(path)),
    ):
        result = invoke("run", *words)
        assert result.exit_code == 2
        assert "mine" in result.stderr.splitlines()[-1]
        assert "Traceback" not in result.output


@pytest.mark.slow
def test_own_server_has_idle_connections_beside_ours(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gate, "hold", lambda model, workload: Held())  # checks take their time
    result = invoke(
        *("run", *LONG, "--models", "epoll", "--server", f"mine={OWN}", "--unchecked"),
        *("--idle", "10,50", "--rounds", "1", "--duration", "0.05", "--connections", "2"),
        *("--json", "-"),
    )
    assert result.exit_code == 0, result.output
    run = msgspec.json.decode(result.stdout, type=Run)
    assert run.settings.servers.keys() == {"mine"}
    found = {(each.model, each.idle): each for each in run.cells}
    assert found.keys() == {(model, idle) for model in ("mine", "epoll") for idle in (10, 50)}
    for (_, idle), cell in found.items():
        assert cell.held is not None
        assert cell.held.counts.served == idle
        assert cell.ops_per_s
    assert "beside 50 idle" in result.stderr
    assert "idle connections, each served once" in result.stderr
    assert json.loads(result.stdout)["limits"]["descriptors"] > 0
