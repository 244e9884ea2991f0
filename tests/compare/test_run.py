"""A run over planted models: what one of them does wrong costs its own cells and no others."""

from __future__ import annotations

import importlib.util
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compare import driver_process, launch, process, run
from compare.driver.drive import Outcome, Window
from compare.driver.load import Counts
from compare.histogram import empty, encode
from compare.launch import LaunchError
from compare.matrix import MODELS, Model
from compare.result import Cell, Key, Round, Run, Settings
from compare.run import DriverError, Progress, execute

SERVERS = Path(__file__).parent / "servers"
NO_ROOM = {"udp-echo": 1}  # not enough for a number and a time
# Whether a window is quiet depends on what else this machine does.
BELIEVED = ("ok", "noisy", "driver-bound")

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds a row to the matrix: a model that is a script of `servers/`."""

    def add(name: str, script: str, *arguments: object, **fields: Any) -> None:
        command = (str(SERVERS / script), *map(str, arguments))
        monkeypatch.setitem(MODELS, name, Model(name, "planted", command, **fields))

    return add


Add = Callable[..., None]


@pytest.fixture
def good(add: Add) -> None:
    add("good", "echo.py", "correct")


def asked(*models: str, **changes: Any) -> Settings:
    values: dict[str, Any] = {
        "workloads": ["tcp-long"],
        "connections": [4],
        "rounds": 1,
        "duration_s": 0.2,  # some messages, also while others have the cores
        "warmup_s": 0.0,
        "sizes": {"tcp-long": 100, "tcp-short": 100, "udp-echo": 100, "chat": 100},
        "seed": 1,
        "server_core": None,
        "driver_core": None,
    }
    return Settings(models=list(models), **values | changes)


def ignore(_: object) -> None:
    """Neither watch nor keep."""


def cells_of(settings: Settings) -> dict[str, Cell]:
    return {cell.model: cell for cell in execute(settings, ignore, ignore).cells}


# Measured


@pytest.mark.usefixtures("good")
def test_good_model_is_measured() -> None:
    result = execute(asked("good", rounds=2), ignore, ignore)
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


def test_every_round_has_a_fresh_server(add: Add) -> None:
    """This one goes wrong for good at its fifth message: in both rounds, with a word on each."""
    add("good", "echo.py", "flipped", 100, 5)
    cell = cells_of(asked("good", rounds=2))["good"]
    assert [each.errors["wrong_bytes"] for each in cell.rounds] == [4, 4]
    assert cell.errors == {"wrong_bytes": 8}


@pytest.mark.usefixtures("good")
def test_server_and_driver_run_on_their_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    cores = []

    def noted(command: list[str], core: int | None, **pipes: int) -> Any:
        cores.append(core)
        return launch.start(command, core, **pipes)

    monkeypatch.setattr(driver_process, "start", noted)
    cell = cells_of(asked("good", server_core=0, driver_core=0))["good"]
    assert cores == [0]
    assert cell.ops_per_s is not None


# Wrong


@pytest.mark.usefixtures("good")
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
    add: Add,
    monkeypatch: pytest.MonkeyPatch,
    server: tuple[object, ...],
    reasons: list[str],
) -> None:
    monkeypatch.setattr(launch, "READY_TIMEOUT_S", 0.7)
    monkeypatch.setattr(run, "STOP_TIMEOUT_S", 0.2 - 4 / run.CONNECTS_PER_S)
    add("bad", *server)
    cells = cells_of(asked("bad", "good"))
    assert cells["bad"].verdict == "failed"
    told = "; ".join(cells["bad"].reasons)
    for words in reasons:
        assert words in told
    assert cells["good"].verdict in BELIEVED
    assert cells["good"].ops_per_s


def test_model_that_holds_the_driver_up_costs_only_its_cell(
    add: Add, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver_process, "GRACE_S", 1.0)
    monkeypatch.setattr(driver_process, "STEP_S", 0.1)
    add("bad", "room.py", "restless")
    add("good", "room.py", "correct")
    cells = cells_of(asked("bad", "good", workloads=["chat"], connections=[2]))
    assert cells["bad"].verdict == "failed"
    assert "the server holds it up" in cells["bad"].reasons[0]
    assert cells["good"].ops_per_s


def test_traceback_on_stderr_is_noted_with_the_round(add: Add) -> None:
    add("loud", "echo.py", "logs", 100, 10)
    cell = cells_of(asked("loud"))["loud"]
    assert cell.rounds[0].messages == ["stderr: OSError: ouch"]


@pytest.mark.usefixtures("good")
def test_driver_that_fails_costs_only_its_cell_and_says_why(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings = asked("good", workloads=["tcp-long", "udp-echo"], sizes={"tcp-long": 100} | NO_ROOM)
    failed, measured = sorted(
        execute(settings, ignore, ignore).cells, key=lambda cell: cell.workload, reverse=True
    )
    assert failed.verdict == "failed"
    assert "the driver failed: " in failed.reasons[0]
    assert measured.ops_per_s


# Not tried


@pytest.fixture
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a process is started")

    monkeypatch.setattr(driver_process, "start", refuse)
    monkeypatch.setattr(launch, "start", refuse)


@pytest.mark.usefixtures("nothing_starts")
def test_uvloop_that_is_missing_is_unsupported_and_says_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvloop" else find(name)
    )
    result = execute(asked("uvloop", "bare-uvloop"), ignore, ignore)
    assert [cell.verdict for cell in result.cells] == ["unsupported"] * 2
    for cell in result.cells:
        assert cell.reasons == ["uvloop is not installed: pip install uvloop"]
        assert cell.ops_per_s is None
    assert result.machine.uvloop is None


@pytest.mark.usefixtures("nothing_starts")
def test_what_a_model_cannot_do_is_unsupported_with_the_reason() -> None:
    cells = cells_of(asked("bare-epoll", workloads=["chat"]))
    assert cells["bare-epoll"].verdict == "unsupported"
    assert cells["bare-epoll"].reasons == [MODELS["bare-epoll"].cannot["chat"]]


@pytest.mark.usefixtures("nothing_starts")
def test_more_connections_than_descriptors_are_unsupported_and_say_what_to_type(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    cells = cells_of(asked("epoll", connections=[500]))
    assert cells["epoll"].verdict == "unsupported"
    (reason,) = cells["epoll"].reasons
    assert "500 connections need 564 descriptors, and a process may have 200" in reason
    assert "ulimit -Hn 564" in reason
    assert "--connections 136" in reason


@pytest.mark.usefixtures("good")
def test_connections_that_fit_are_measured_beside_those_that_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 200))
    result = execute(asked("good", connections=[500, 4]), ignore, ignore)
    too_many, few = result.cells
    assert (too_many.connections, too_many.verdict) == (500, "unsupported")
    assert few.ops_per_s


# Rounds and their order, with a measurement that is made up


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch, a_window: Window) -> list[Key]:
    """The cells in the order in which they were measured. `bad` always fails."""
    keys: list[Key] = []

    def measure(key: Key, settings: Settings, wait: Callable[[], None]) -> tuple[Outcome, Round]:
        keys.append(key)
        if key.model == "bad":
            raise LaunchError("as always")
        outcome = Outcome(
            window_ns=10**9,
            operations=1000,
            latency=encode(empty()),
            latency_sum_ns=4 * 10**9,
            latency_max_ns=10**9,
            connect=encode(empty()),
            skew=encode(empty()),
            counts=Counts(attempted=4, connected=4, served=4),
            errors={},
            details=[],
            server=a_window,
            driver=a_window,
            server_size=process.Size(1, 1, 1),
            peak_descriptors=5,
        )
        return outcome, run.round_of(outcome, 1, [])

    monkeypatch.setattr(run, "_measure", measure)
    for name in ("one", "two", "bad"):
        monkeypatch.setitem(MODELS, name, Model(name, "made up", ()))
    return keys


def test_every_round_has_every_cell_once_in_an_order_of_its_own(measured: list[Key]) -> None:
    settings = asked("one", "two", workloads=["tcp-long", "chat"], connections=[1, 8], rounds=6)
    result = execute(settings, ignore, ignore)
    rounds = [measured[start : start + 8] for start in range(0, 48, 8)]
    cells = {cell.key for cell in result.cells}
    assert len(cells) == 8
    assert all(set(each) == cells for each in rounds)
    assert len({tuple(each) for each in rounds}) > 3
    assert {len(cell.rounds) for cell in result.cells} == {6}


def test_seed_decides_the_order(measured: list[Key]) -> None:
    orders = []
    for seed in (1, 1, 2):
        execute(asked("one", "two", connections=[1, 2, 3, 4], seed=seed), ignore, ignore)
        orders.append([measured.pop(0) for _ in range(8)])
    assert orders[0] == orders[1] != orders[2]


def test_cell_that_failed_is_not_tried_again(measured: list[Key]) -> None:
    seen: list[tuple[int, int]] = []
    settings = asked("one", "bad", rounds=3)
    result = execute(
        settings, lambda progress: seen.append((progress.done, progress.total)), ignore
    )
    assert sorted(key.model for key in measured) == ["bad", "one", "one", "one"]
    assert seen == sorted(seen)
    assert seen[0] == (0, 6)
    assert seen[-1] == (6, 6)
    failed = next(cell for cell in result.cells if cell.model == "bad")
    assert (failed.verdict, failed.reasons) == ("failed", ["as always"])


def test_watcher_is_told_of_the_beginning_and_the_end_of_each_cell(measured: list[Key]) -> None:
    seen: list[tuple[Key, int, bool]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.key, progress.round, progress.finished is not None))

    execute(asked("one", rounds=2), watch, ignore)
    key = Key("one", "tcp-long", 4)
    assert seen == [(key, 1, False), (key, 1, True), (key, 2, False), (key, 2, True)]


def test_run_is_kept_after_every_cell(measured: list[Key]) -> None:
    kept: list[tuple[int, bool]] = []

    def keep(run: Run) -> None:
        kept.append((sum(len(cell.rounds) for cell in run.cells), run.interrupted))

    result = execute(asked("one", "two", rounds=2), ignore, keep)
    assert kept == [(1, True), (2, True), (3, True), (4, True)]
    assert not result.interrupted
    assert [len(cell.rounds) for cell in result.cells] == [2, 2]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_interrupted_run_has_what_was_measured_until_then(
    measured: list[Key], monkeypatch: pytest.MonkeyPatch, after: int
) -> None:
    whole = run._measure

    def measure(*arguments: Any) -> Any:
        if len(measured) == after:
            raise KeyboardInterrupt
        return whole(*arguments)

    monkeypatch.setattr(run, "_measure", measure)
    result = execute(asked("one", "two", rounds=2), ignore, ignore)
    assert result.interrupted
    assert sum(len(cell.rounds) for cell in result.cells) == after
    assert all(cell.rounds for cell in result.cells)


@pytest.mark.parametrize("error", [LaunchError, DriverError])
def test_failure_in_a_later_round_fails_the_cell(
    measured: list[Key], monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    whole = run._measure

    def measure(*arguments: Any) -> Any:
        if len(measured) == 2:
            measured.append(arguments[0])
            raise error("now of all times")
        return whole(*arguments)

    monkeypatch.setattr(run, "_measure", measure)
    (cell,) = execute(asked("one", rounds=5), ignore, ignore).cells
    assert (cell.verdict, cell.reasons) == ("failed", ["now of all times"])
    assert len(cell.rounds) == 2
    assert len(measured) == 3
