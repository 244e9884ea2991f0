"""A run over planted models: what one of them does wrong costs its own cells and no others."""

from __future__ import annotations

import os
from typing import Any

import msgspec
import pytest
from made_up_instrument import BAD, ONE, TWO, Instrument
from planted_models import GOOD, model_of
from short_runs import BELIEVED, cells_of, run_of

from compare.host import launch
from compare.measure import block, driver_process
from compare.measure.progress import Progress
from compare.models.matrix import MODELS
from compare.models.model import Model
from compare.results.records import Key, Load, Run

pytestmark = pytest.mark.usefixtures("nothing_left", "whom_the_gate_lets_in")


# Measured


def test_good_model_is_measured() -> None:
    result = run_of(GOOD, rounds=2)
    (cell,) = result.cells
    assert cell.verdict in BELIEVED
    assert cell.ops_per_s is not None
    assert len(cell.rounds) == 2
    assert [each.counts.served for each in cell.rounds] == [4, 4]
    assert cell.errors == {}
    assert cell.server.cpu_us_per_op is not None
    assert cell.server.rss_kb is not None
    assert cell.server.threads == 5
    assert cell.latency_us.max is not None
    assert not result.interrupted
    assert result.took_s >= result.measured_s >= 0.1


def test_every_round_has_a_fresh_server() -> None:
    """This one goes wrong for good at its fifth message: in both rounds, with a word on each."""
    wrong = model_of("wrong", "echo.py", "flipped", 100, 5)
    cell = cells_of(wrong, rounds=2)["wrong"]
    assert [each.errors["wrong_bytes"] for each in cell.rounds] == [4, 4]
    assert cell.errors == {"wrong_bytes": 8}


def test_server_and_driver_run_on_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = []

    def noted(command: list[str], theirs: tuple[int, ...], **pipes: Any) -> Any:
        cores.append(theirs)
        return launch.start(command, theirs, **pipes)

    monkeypatch.setattr(driver_process, "start", noted)
    cell = cells_of(GOOD, server_cores=[0], driver_core=0)["good"]
    assert cores == [(0,)]
    assert cell.ops_per_s is not None


# Wrong


@pytest.mark.parametrize(
    ("server", "reasons"),
    [
        (("starts.py", "exits"), ["exit status 3", "stderr: no more ports"]),
        (("missing.py",), ["exit status 2", "No such file"]),
        (("starts.py", "silent"), ["did not say READY within", "stderr: still thinking"]),
        (("starts.py", "closes-stdout"), ["closed its output", "stderr: gone quiet"]),
        (("starts.py", "dies"), ["killed by SIGSEGV"]),
        (("starts.py", "dies-strangely"), ["killed by"]),
        (("echo.py", "dies", 100, 20), ["while it was measured", "3; stderr: out of luck"]),
        (("echo.py", "flipped", 100, 5), ["4 wrong replies", "at byte 99 expected b'"]),
        (("echo.py", "silent"), ["4 starved", "no operation was completed in the window"]),
        (("echo.py", "refuses"), ["4 refused", "no operation was completed in the window"]),
        (("echo.py", "stubborn"), ["did not end within 0.2"]),
        (("starts.py", "ends-badly"), ["exit status 4"]),
    ],
)
def test_model_that_fails_costs_only_its_cell_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
    server: tuple[object, ...],
    reasons: list[str],
) -> None:
    if server[-1] in ("silent", "closes-stdout") and server[0] == "starts.py":
        monkeypatch.setattr(launch, "READY_TIMEOUT_S", 2.0)
    if "stubborn" in server:
        monkeypatch.setattr(block, "STOP_TIMEOUT_S", 0.2 - 4 / block.CONNECTS_PER_S)
    cells = cells_of(model_of("bad", *server), GOOD)
    assert cells["bad"].verdict == "failed"
    told = "; ".join(cells["bad"].reasons)
    for words in reasons:
        assert words in told
    assert cells["good"].verdict in BELIEVED
    assert cells["good"].ops_per_s


@pytest.mark.slow
def test_model_that_holds_the_driver_up_costs_only_its_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(driver_process, "GRACE_S", 1.0)
    monkeypatch.setattr(driver_process, "HOME_S", 0.1)
    monkeypatch.setattr(driver_process, "LONGEST_S", 0.1)
    monkeypatch.setattr(driver_process, "STEP_S", 0.1)
    bad, good = model_of("bad", "room.py", "restless"), model_of("good", "room.py", "correct")
    cells = cells_of(bad, good, workloads=["chat"], connections=[2])
    assert cells["bad"].verdict == "failed"
    assert "the server holds it up" in cells["bad"].reasons[0]
    assert cells["good"].ops_per_s


def test_traceback_on_stderr_is_noted_with_the_round() -> None:
    cell = cells_of(model_of("loud", "echo.py", "logs", 100, 1))["loud"]
    assert cell.rounds[0].messages == ["stderr: OSError: ouch"]


def test_driver_that_fails_costs_only_its_cell_and_says_why() -> None:
    """A datagram of one byte has no room for a number and a time."""
    measured, failed = run_of(GOOD, workloads=["tcp-long", "udp-echo"], sizes=[1]).cells
    assert failed.verdict == "failed"
    assert "the driver failed: " in failed.reasons[0]
    assert measured.ops_per_s


# Round after round, with an instrument that is made up


def test_cell_that_failed_is_not_tried_again(instrument: Instrument) -> None:
    seen: list[tuple[int, int]] = []
    result = run_of(
        *(ONE, BAD),
        watch=lambda progress: seen.append((progress.done, progress.total)),
        rounds=3,
    )
    assert sorted(key.model for key in instrument.keys) == ["bad", "one", "one", "one"]
    assert seen == sorted(seen)
    assert seen[0] == (0, 6)
    assert seen[-1] == (4, 4)  # the rounds it is spared are no part of the whole any more
    failed = next(cell for cell in result.cells if cell.model == "bad")
    assert (failed.verdict, failed.reasons) == ("failed", ["as always"])


@pytest.mark.usefixtures("instrument")
def test_watcher_is_told_of_the_beginning_and_the_end_of_each_cell() -> None:
    seen: list[tuple[Key, int, bool]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.key, progress.round, progress.finished is not None))

    run_of(ONE, rounds=2, watch=watch)
    key = Key("one", Load(workload="tcp-long", connections=4, size=100))
    rounds = [(key, 1, False), (key, 1, True), (key, 2, False), (key, 2, True)]
    assert seen == [(key, 0, False), *rounds]  # first it is checked


@pytest.mark.usefixtures("instrument")
def test_run_is_kept_after_every_round_of_a_block() -> None:
    kept: list[tuple[int, bool]] = []

    def keep(run: Run) -> None:
        kept.append((sum(len(cell.rounds) for cell in run.cells), run.interrupted))

    result = run_of(ONE, TWO, rounds=2, keep=keep)
    assert kept == [(2, True), (4, True)]
    assert not result.interrupted
    assert [len(cell.rounds) for cell in result.cells] == [2, 2]


@pytest.mark.parametrize("after", [0, 2, 4])
def test_interrupted_run_has_what_was_measured_until_then(
    instrument: Instrument, after: int
) -> None:
    """As long as a round of a block is under way, none of it was."""

    def find(key: Key, rate: float | None) -> dict[str, Any]:
        if len(instrument.keys) > after + 1:
            raise KeyboardInterrupt
        return {}

    instrument.find = find
    result = run_of(ONE, TWO, rounds=3)
    assert result.interrupted
    assert sum(len(cell.rounds) for cell in result.cells) == after
    assert all(cell.rounds for cell in result.cells)


def test_failure_in_a_later_round_fails_the_cell(instrument: Instrument) -> None:
    def find(key: Key, rate: float | None) -> dict[str, Any] | str:
        return "now of all times" if instrument.numbers[-1] == 3 else {}

    instrument.find = find
    (cell,) = run_of(ONE, rounds=5).cells
    assert (cell.verdict, cell.reasons) == ("failed", ["now of all times"])
    assert len(cell.rounds) == 2
    assert len(instrument.keys) == 3


# Who closes


def test_server_that_is_to_close_first_does() -> None:
    cell = cells_of(MODELS["epoll"], workloads=["tcp-short"], close="server")["epoll"]
    assert cell.errors == {}
    assert cell.counts.served >= cell.rounds[0].operations > 0
    assert (cell.server.time_wait or 0) > (cell.server.client_time_wait or 0)


@pytest.mark.parametrize("workload", ["udp-echo", "tcp-long", "chat"])
def test_who_closes_short_connections_is_nothing_to_the_other_workloads(workload: str) -> None:
    cell = cells_of(MODELS["epoll"], workloads=[workload], close="server")["epoll"]
    assert cell.verdict in BELIEVED, cell.reasons
    assert cell.errors == {}


def test_name_of_a_file_that_is_not_utf8_is_told_in_the_reason() -> None:
    """And kept: names of files may be any bytes but NUL and /."""
    missing = Model("mine", "mine", (os.fsdecode(b"/nowhere/\xff"),), own=True, unchecked=True)
    run = run_of(missing)
    reasons = "; ".join(run.cells[0].reasons)
    assert r"/nowhere/\xff" in reasons or "/nowhere/\xff" in reasons  # the second in Latin-1
    assert msgspec.json.decode(msgspec.json.encode(run), type=Run) == run
