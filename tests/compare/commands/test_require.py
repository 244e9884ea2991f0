"""What a run is required to keep: what is printed of it, and how the command ends."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from click.testing import Result

from compare.commands import run as cli
from compare.results.records import Cell, Percentiles, Round, Run, Server

Invoke = Callable[..., Result]
Start = Callable[..., "subprocess.Popen[bytes]"]
MakeCell = Callable[..., Cell]
Finds = Callable[..., None]

DEADLINE_S = 30.0
STEADY = (100_000.0, 101_000.0, 99_000.0, 100_500.0, 99_500.0)
KEPT, BROKEN, UNCLEAR = "ops>95k", "ops>105k", "ops>100k"
MODELS = ("--models", "epoll,asyncio")


@pytest.fixture
def finds(
    monkeypatch: pytest.MonkeyPatch, made_up_run: Callable[..., Run], made_up_cell: MakeCell
) -> Finds:
    """Makes every run find these cells; one of epoll, if none are given."""

    def finds(*cells: Cell, **changes: Any) -> None:
        run = made_up_run([*(cells or [made_up_cell("epoll", STEADY)])], **changes)
        monkeypatch.setattr(cli, "execute", lambda *_: run)

    return finds


def required(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--require", text)]


def lines(result: Result) -> list[str]:
    """What is said of requirements, after all tables."""
    answers = ("kept ", "broken ", "unclear ")
    return [line for line in result.stdout.splitlines() if line.startswith(answers)]


# How it ends


@pytest.mark.parametrize(
    ("texts", "status"),
    [
        ([], 0),
        ([KEPT], 0),
        ([KEPT, "p99<1s"], 0),
        ([BROKEN], 1),
        ([UNCLEAR], 3),
        ([KEPT, UNCLEAR], 3),
        ([KEPT, BROKEN], 1),
        ([UNCLEAR, BROKEN, KEPT], 1),
        ([BROKEN, UNCLEAR], 1),
    ],
)
def test_exit_status_is_that_of_the_worst_answer(
    invoke: Invoke, finds: Finds, texts: list[str], status: int
) -> None:
    finds()
    result = invoke("run", *MODELS, *required(*texts))
    assert result.exit_code == status
    assert len(lines(result)) == len(texts)


def test_one_round_cannot_tell(invoke: Invoke, finds: Finds, made_up_cell: MakeCell) -> None:
    finds(made_up_cell("epoll", STEADY[:1]))
    assert invoke("run", *required(KEPT)).exit_code == 3


@pytest.mark.parametrize("texts", [[KEPT], [UNCLEAR]])
def test_failed_cell_is_worse_than_all_that_is_kept_or_unclear(
    invoke: Invoke, finds: Finds, made_up_cell: MakeCell, texts: list[str]
) -> None:
    finds(made_up_cell("epoll", STEADY), made_up_cell("asyncio", (), verdict="failed"))
    result = invoke("run", *MODELS, *required(*texts))
    assert result.exit_code == 1
    assert [line.split()[0] for line in lines(result)] == [
        *({KEPT: ["kept"], UNCLEAR: ["unclear"]}[texts[0]]),
        "broken",
    ]


def test_interrupted_run_is_interrupted_whatever_it_keeps(invoke: Invoke, finds: Finds) -> None:
    finds(interrupted=True)
    for text in (KEPT, BROKEN, UNCLEAR):
        result = invoke("run", *required(text))
        assert result.exit_code == 130
        assert lines(result) == []


def test_requirement_that_nothing_was_held_to_is_not_taken_for_kept(
    invoke: Invoke, finds: Finds, made_up_cell: MakeCell
) -> None:
    """As where what it speaks of is not installed: it cannot be told."""
    finds(made_up_cell("uvloop", (), verdict="unsupported", reasons=["not installed"]))
    assert invoke("run", "--models", "uvloop", *required(KEPT)).exit_code == 3
    finds()
    assert invoke("run", "--models", "epoll", *required("cpu<=1.05*epoll")).exit_code == 3


# What cannot be required


@pytest.mark.usefixtures("nothing_runs")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "'' is not a metric (ops, cpu, p50, p90, p99, p99.9, memory)"),
        ("p99", "'p99' is not a metric"),  # as the shell leaves it of p99<5ms without quotes
        ("p95<5ms", "'p95<5ms' is not a metric"),
        ("p99<5", "'5' is not a time with its unit, such as 5ms or 2s"),
        ("ops>many", "'many' is no number, nor is it a model of this run"),
        ("cpu<=1.05*uvloop", "there is no model 'uvloop'; there are epoll, asyncio"),
        (f"memory<{'9' * 308}G", "memory<9"),
    ],
)
def test_what_cannot_be_required_is_told_before_anything_is_measured(
    invoke: Invoke, text: str, words: str
) -> None:
    result = invoke("run", *MODELS, *required(KEPT, text))
    assert result.exit_code == 2
    assert "Invalid value for '--require': " in result.stderr
    assert words in result.stderr
    assert "Traceback" not in result.output
    assert result.stdout == ""


# What is printed


def test_each_answer_has_its_cell_its_figure_and_its_interval(invoke: Invoke, finds: Finds) -> None:
    finds()
    result = invoke("run", *required(KEPT, BROKEN, "cpu<6us", "memory<9k"))
    assert "\x1b" not in result.stdout
    assert lines(result) == [
        "kept    ops>95k   epoll tcp-long 4: 100,000 operations/s (99,000 to 101,000)",
        "broken  ops>105k   epoll tcp-long 4: 100,000 operations/s (99,000 to 101,000)",
        "kept    cpu<6us   epoll tcp-long 4: 5 µs (5 µs to 5 µs)",
        "broken  memory<9k   epoll tcp-long 4: 20 MB (20 to 20)",
    ]
    assert result.stdout.splitlines()[-4:] == lines(result)


def test_figure_is_told_in_the_units_in_which_one_asks_for_it(
    invoke: Invoke, finds: Finds, made_up_cell: MakeCell, made_up_round: Callable[..., Round]
) -> None:
    slow = Percentiles(p50=63.21, p99=9_220.0)
    rounds = [made_up_round(number=number, latency_us=slow) for number in (1, 2, 3)]
    finds(made_up_cell("epoll", (), rounds=rounds))
    result = invoke("run", *required("p99<5ms", "p50<5ms", "memory<30M"))
    assert [line.partition(" tcp-long 4: ")[2] for line in lines(result)] == [
        "9.22 ms (9.22 ms to 9.22 ms)",
        "63.2 µs (63.2 µs to 63.2 µs)",
        "20 MB (20 to 20)",
    ]


def test_ratio_is_told_as_so_many_times_the_base(
    invoke: Invoke, finds: Finds, made_up_cell: MakeCell, made_up_round: Callable[..., Round]
) -> None:
    dear = [made_up_round(number=number, cost=6.0) for number in (1, 2, 3)]
    finds(made_up_cell("epoll", STEADY), made_up_cell("asyncio", (), rounds=dear))
    result = invoke("run", *MODELS, *required("cpu<=1.25*epoll", "cpu<=1.05*epoll"))
    assert result.exit_code == 1
    assert lines(result) == [
        "kept    cpu<=1.25*epoll   asyncio tcp-long 4: 1.2 x epoll (1.2 to 1.2)",
        "broken  cpu<=1.05*epoll   asyncio tcp-long 4: 1.2 x epoll (1.2 to 1.2)",
    ]


def test_figure_of_one_round_says_that_it_has_no_interval(
    invoke: Invoke, finds: Finds, made_up_cell: MakeCell
) -> None:
    finds(made_up_cell("epoll", STEADY[:1]))
    (line,) = lines(invoke("run", *required(KEPT)))
    assert line.endswith(": 100,000 operations/s, of one round, which has no interval")


def test_where_there_is_no_figure_that_is_said(
    invoke: Invoke, finds: Finds, made_up_cell: MakeCell, made_up_round: Callable[..., Round]
) -> None:
    bare = [msgspec.structs.replace(made_up_round(), server=Server())] * 2
    finds(made_up_cell("epoll", (), rounds=bare), made_up_cell("asyncio", (), verdict="failed"))
    found = lines(invoke("run", *MODELS, *required("memory<64M")))
    assert [line.split()[0] for line in found] == ["unclear", "broken"]
    assert all(line.endswith(": there is no figure to hold against it") for line in found)


def test_loop_is_told_where_a_load_has_both(
    invoke: Invoke, finds: Finds, made_up_cell: MakeCell, made_up_round: Callable[..., Round]
) -> None:
    rounds = [made_up_round(number=number) for number in (1, 2)]
    closed, paced = (
        made_up_cell("epoll", (), rounds=rounds, **load)
        for load in ({}, {"loop": "open", "share": 0.7})
    )
    finds(closed, paced)
    one, other = lines(invoke("run", "--load", "0.7", *required("p99<5ms")))
    assert one != other


def test_names_that_look_like_markup_are_shown_as_they_are(
    invoke: Invoke, finds: Finds, made_up_cell: MakeCell
) -> None:
    finds(made_up_cell("[red]x[/]", STEADY))
    (line,) = lines(invoke("run", *required(KEPT)))
    assert line.startswith("kept    ops>95k   [red]x[/] tcp-long 4: ")


# As JSON


@pytest.mark.parametrize(("text", "status"), [(KEPT, 0), (BROKEN, 1), (UNCLEAR, 3)])
def test_json_on_stdout_is_alone_there(
    invoke: Invoke, finds: Finds, text: str, status: int
) -> None:
    finds()
    result = invoke("run", *required(text), "--json", "-")
    assert result.exit_code == status
    assert json.loads(result.stdout)["format"] == "compare-run/1"
    assert f"{text}   epoll tcp-long 4: " in result.stderr


# From one end to the other


@pytest.mark.slow
@pytest.mark.parametrize(("text", "status"), [("memory<4G", 0), ("memory>4G", 1)])
def test_servers_that_run_are_held_to_it(start: Start, text: str, status: int) -> None:
    process = start(
        *("-m", "compare", "run", "--models", "epoll", "--workloads", "tcp-long", "--rounds", "2"),
        *("--duration", "0.1", "--connections", "4", "--json", "-", "--require", text),
    )
    stdout, stderr = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == status, stderr.decode()
    assert [len(cell["rounds"]) for cell in json.loads(stdout)["cells"]] == [2]
    assert f"{text}   epoll tcp-long 4: ".encode() in stderr
