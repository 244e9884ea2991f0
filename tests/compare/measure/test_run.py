"""A run over planted models: what one of them does wrong costs its own cells and no others."""

from __future__ import annotations

import importlib.util
import itertools
import resource
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from compare.driver.outcome import Outcome
from compare.driver.probe import Work
from compare.host import launch
from compare.host.launch import LaunchError
from compare.measure import cell as one_cell
from compare.measure import driver_process, gate, run
from compare.measure.run import MOST_ROUNDS, DriverError, Progress, execute
from compare.models.matrix import MODELS, Model, Workload
from compare.results.records import Cell, Key, Pace, Percentiles, Round, Run, Settings
from compare.selftest import planted

PLACES = {"starts.py": Path(__file__).parents[1] / "servers"}  # others: compare/selftest/planted/
NO_ROOM = {"udp-echo": 1}  # not enough for a number and a time
# Whether a window is quiet depends on what else this machine does.
BELIEVED = ("ok", "noisy", "driver-bound")

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture(autouse=True)
def whom_the_gate_lets_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everybody: those with a fault, too, and those that are made up."""
    monkeypatch.setattr(gate, "why_not", lambda model, workload: None)


@pytest.fixture
def add(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Adds a row to the matrix: a model that is a planted server."""

    def add(name: str, script: str, *arguments: object, **fields: Any) -> None:
        place = PLACES.get(script, planted.FOLDER)
        command = (str(place / script), *map(str, arguments))
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
    assert set(cores) == {0}  # more than once, where it was noisy
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
    if server[-1] in ("silent", "closes-stdout") and server[0] == "starts.py":
        monkeypatch.setattr(launch, "READY_TIMEOUT_S", 0.7)
    if "stubborn" in server:
        monkeypatch.setattr(one_cell, "STOP_TIMEOUT_S", 0.2 - 4 / one_cell.CONNECTS_PER_S)
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
    add("loud", "echo.py", "logs", 100, 1)
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


# With an instrument that is made up


class Instrument:
    """Stands for the measurement of one cell: what it was asked for, and what it is to find.

    `find` gives what the next round is to have, for a cell and its rate, or raises.
    """

    def __init__(self, outcome: Outcome, make_round: Callable[..., Round]) -> None:
        self.keys: list[Key] = []
        self.rates: list[float | None] = []
        self.find: Callable[[Key, float | None], dict[str, Any]] = lambda key, rate: {}
        self._outcome = outcome
        self._make_round = make_round

    def measure(
        self,
        key: Key,
        settings: Settings,
        rate: float | None,
        wait: Callable[[], None],
        *,
        number: int = 0,
    ) -> tuple[Outcome, Round]:
        self.keys.append(key)
        self.rates.append(rate)
        if key.model == "bad":
            raise LaunchError("as always")
        return self._outcome, self._make_round(**self.find(key, rate))


@pytest.fixture
def instrument(
    monkeypatch: pytest.MonkeyPatch,
    made_up_outcome: Callable[..., Outcome],
    made_up_round: Callable[..., Round],
) -> Instrument:
    """With models `one` and `two`, and `bad`, which always fails."""
    instrument = Instrument(made_up_outcome(), made_up_round)
    monkeypatch.setattr(one_cell, "measure", instrument.measure)
    for name in ("one", "two", "bad"):
        monkeypatch.setitem(MODELS, name, Model(name, "made up", ()))
    return instrument


# Rounds and their order


def test_every_round_has_every_cell_once_in_an_order_of_its_own(instrument: Instrument) -> None:
    settings = asked("one", "two", workloads=["tcp-long", "chat"], connections=[1, 8], rounds=6)
    result = execute(settings, ignore, ignore)
    rounds = [instrument.keys[start : start + 8] for start in range(0, 48, 8)]
    cells = {cell.key for cell in result.cells}
    assert len(cells) == 8
    assert all(set(each) == cells for each in rounds)
    assert len({tuple(each) for each in rounds}) > 3
    assert {len(cell.rounds) for cell in result.cells} == {6}


def test_seed_decides_the_order(instrument: Instrument) -> None:
    orders = []
    for seed in (1, 1, 2):
        execute(asked("one", "two", connections=[1, 2, 3, 4], seed=seed), ignore, ignore)
        orders.append([instrument.keys.pop(0) for _ in range(8)])
    assert orders[0] == orders[1] != orders[2]


def test_cell_that_failed_is_not_tried_again(instrument: Instrument) -> None:
    seen: list[tuple[int, int]] = []
    settings = asked("one", "bad", rounds=3)
    result = execute(
        settings, lambda progress: seen.append((progress.done, progress.total)), ignore
    )
    assert sorted(key.model for key in instrument.keys) == ["bad", "one", "one", "one"]
    assert seen == sorted(seen)
    assert seen[0] == (0, 6)
    assert seen[-1] == (6, 6)
    failed = next(cell for cell in result.cells if cell.model == "bad")
    assert (failed.verdict, failed.reasons) == ("failed", ["as always"])


@pytest.mark.usefixtures("instrument")
def test_watcher_is_told_of_the_beginning_and_the_end_of_each_cell() -> None:
    seen: list[tuple[Key, int, bool]] = []

    def watch(progress: Progress) -> None:
        seen.append((progress.key, progress.round, progress.finished is not None))

    execute(asked("one", rounds=2), watch, ignore)
    key = Key("one", "tcp-long", 4)
    rounds = [(key, 1, False), (key, 1, True), (key, 2, False), (key, 2, True)]
    assert seen == [(key, 0, False), *rounds]  # first it is checked


@pytest.mark.usefixtures("instrument")
def test_run_is_kept_after_every_cell() -> None:
    kept: list[tuple[int, bool]] = []

    def keep(run: Run) -> None:
        kept.append((sum(len(cell.rounds) for cell in run.cells), run.interrupted))

    result = execute(asked("one", "two", rounds=2), ignore, keep)
    assert kept == [(1, True), (2, True), (3, True), (4, True)]
    assert not result.interrupted
    assert [len(cell.rounds) for cell in result.cells] == [2, 2]


@pytest.mark.parametrize("after", [0, 1, 3])
def test_interrupted_run_has_what_was_measured_until_then(
    instrument: Instrument, after: int
) -> None:
    def find(key: Key, rate: float | None) -> dict[str, Any]:
        if len(instrument.keys) > after:
            raise KeyboardInterrupt
        return {}

    instrument.find = find
    result = execute(asked("one", "two", rounds=2), ignore, ignore)
    assert result.interrupted
    assert sum(len(cell.rounds) for cell in result.cells) == after
    assert all(cell.rounds for cell in result.cells)


@pytest.mark.parametrize("error", [LaunchError, DriverError])
def test_failure_in_a_later_round_fails_the_cell(
    instrument: Instrument, error: type[Exception]
) -> None:
    def find(key: Key, rate: float | None) -> dict[str, Any]:
        if len(instrument.keys) == 3:
            raise error("now of all times")
        return {}

    instrument.find = find
    (cell,) = execute(asked("one", rounds=5), ignore, ignore).cells
    assert (cell.verdict, cell.reasons) == ("failed", ["now of all times"])
    assert len(cell.rounds) == 2
    assert len(instrument.keys) == 3


# The gate


def test_model_that_fails_the_checks_is_not_measured(
    instrument: Instrument, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is held to them once for each service, of which two workloads may have the same."""
    held: list[tuple[str, str]] = []

    def why_not(model: Model, workload: Workload) -> str | None:
        held.append((model.name, workload.service))
        return "it fails" if (model.name, workload.service) == ("two", "echo") else None

    monkeypatch.setattr(gate, "why_not", why_not)
    workloads = ["tcp-long", "tcp-short", "chat"]
    result = execute(asked("one", "two", workloads=workloads, rounds=2), ignore, ignore)
    assert sorted(held) == [("one", "chat"), ("one", "echo"), ("two", "chat"), ("two", "echo")]
    for cell in result.cells:
        if cell.model == "two" and cell.workload != "chat":
            assert (cell.verdict, cell.reasons) == ("failed", ["it fails"])
            assert cell.key not in instrument.keys
        else:
            assert cell.verdict == "ok"
            assert instrument.keys.count(cell.key) == 2


# Noise


def test_noisy_round_is_made_again_and_counted(instrument: Instrument) -> None:
    noisy = iter([False, True, True, False, False])
    instrument.find = lambda key, rate: {"server_waited": 0.5 if next(noisy) else 0.0}
    notes: list[str] = []
    settings = asked("one", rounds=3)
    (cell,) = execute(settings, lambda progress: notes.append(progress.note), ignore).cells
    assert (len(cell.rounds), cell.discarded) == (3, 2)
    assert cell.verdict == "ok"
    assert len(instrument.keys) == 5
    assert "noisy, once more" in notes


def test_round_on_a_slower_machine_is_made_again_once(instrument: Instrument) -> None:
    """As slow as it has become after the first round, which tells how fast it can be."""
    works = iter([Work(100, 100, 100), *[Work(100, 100, 200)] * 4])
    instrument.find = lambda key, rate: {"work": next(works)}
    (cell,) = execute(asked("one", rounds=3), ignore, ignore).cells
    assert [each.work and each.work.between_ns for each in cell.rounds] == [100, 200, 200]
    assert cell.discarded == 2


def test_single_round_is_not_made_again_for_that(instrument: Instrument) -> None:
    works = iter([Work(100, 100, 100), Work(100, 100, 200)])
    instrument.find = lambda key, rate: {"work": next(works)}
    result = execute(asked("one", "two", rounds=1), ignore, ignore)
    assert [cell.discarded for cell in result.cells] == [0, 0]


@pytest.mark.parametrize("what", ["server_waited", "driver_waited", "stolen"])
def test_noise_that_does_not_end_is_kept_after_as_many_rounds_again(
    instrument: Instrument, what: str
) -> None:
    instrument.find = lambda key, rate: {what: 0.5}
    (cell,) = execute(asked("one", rounds=3), ignore, ignore).cells
    assert (len(cell.rounds), cell.discarded) == (3, 3)
    assert cell.verdict == "noisy"
    assert len(instrument.keys) == 6


def test_noise_of_one_cell_costs_the_others_nothing(instrument: Instrument) -> None:
    instrument.find = lambda key, rate: {"stolen": 0.5 if key.model == "two" else 0.0}
    one, two = execute(asked("one", "two", rounds=2), ignore, ignore).cells
    assert (one.discarded, two.discarded) == (0, 2)
    assert one.verdict == "ok"


# Rounds without a number


def test_narrow_intervals_need_no_more_rounds(instrument: Instrument) -> None:
    (cell,) = execute(asked("one", rounds=5, precise=True), ignore, ignore).cells
    assert len(cell.rounds) == 5
    assert cell.verdict == "ok"


@pytest.mark.parametrize("what", ["rate", "p99"])
def test_rounds_go_on_until_both_intervals_are_narrow(instrument: Instrument, what: str) -> None:
    def find(key: Key, rate: float | None) -> dict[str, Any]:
        value = 1000.0 + (100.0 * len(instrument.keys) if len(instrument.keys) <= 5 else 0)
        if what == "rate":
            return {"rate": value}
        return {"latency_us": Percentiles(p99=value)}

    instrument.find = find
    seen: list[tuple[int, int]] = []
    settings = asked("one", rounds=5, precise=True)
    (cell,) = execute(
        settings, lambda progress: seen.append((progress.done, progress.total)), ignore
    ).cells
    assert 5 < len(cell.rounds) < MOST_ROUNDS
    ci95 = cell.ops_per_s_ci95 if what == "rate" else cell.p99_us_ci95
    assert ci95 is not None
    assert ci95[1] - ci95[0] <= 2 * run.PRECISE * ci95[1]
    assert all(done <= total for done, total in seen)
    assert seen[-1] == (len(cell.rounds),) * 2


def test_only_what_is_wide_goes_on(instrument: Instrument) -> None:
    instrument.find = lambda key, rate: {
        "rate": 1000.0 + 300 * (key.model == "two" and len(instrument.keys) % 2)
    }
    one, two = execute(asked("one", "two", rounds=5, precise=True), ignore, ignore).cells
    assert (len(one.rounds), len(two.rounds)) == (5, MOST_ROUNDS)


def test_what_stays_wide_says_so(instrument: Instrument) -> None:
    instrument.find = lambda key, rate: {"rate": 1000.0 + 300 * (len(instrument.keys) % 2)}
    (cell,) = execute(asked("one", rounds=5, precise=True), ignore, ignore).cells
    assert len(cell.rounds) == MOST_ROUNDS
    told = "after 30 rounds the interval of the rate or of the p99 is still ±"
    assert any(reason.startswith(told) for reason in cell.reasons)


@pytest.mark.usefixtures("instrument")
def test_cell_that_failed_does_not_keep_the_others_from_going_on() -> None:
    one, bad = execute(asked("one", "bad", rounds=5, precise=True), ignore, ignore).cells
    assert (one.verdict, bad.verdict) == ("ok", "failed")


# Open loops


@pytest.fixture
def answers(instrument: Instrument, made_up_pace: Callable[..., Pace]) -> Callable[..., Instrument]:
    """Has closed loops find the rates of `closed` in turn, and open ones what is due."""

    def answer(
        closed: tuple[float, ...] = (1000.0,),
        p99_us: Callable[[float], float | None] = lambda _: 1.0,
    ) -> Instrument:
        rates = itertools.cycle(closed)

        def find(key: Key, rate: float | None) -> dict[str, Any]:
            if rate is None:
                return {"rate": next(rates)}
            latency = Percentiles(p50=0.5, p99=p99_us(rate))
            return {"rate": rate, "pace": made_up_pace(rate), "latency_us": latency}

        instrument.find = find
        return instrument

    return answer


Answers = Callable[..., Instrument]


def test_rate_that_is_given_needs_no_closed_loop(answers: Answers) -> None:
    instrument = answers()
    (cell,) = execute(asked("one", rounds=2, rate=50.0), ignore, ignore).cells
    assert instrument.rates == [50.0, 50.0]
    assert (cell.loop, cell.verdict) == ("open", "ok")


def test_load_is_a_share_of_the_median_of_the_closed_loop(answers: Answers) -> None:
    """Of that of the same model, workload and connections."""
    instrument = answers((100.0, 9000.0, 200.0, 210.0, 190.0))
    settings = asked("one", connections=[4, 8], rounds=5, load=0.5)
    result = execute(settings, ignore, ignore)
    closed, opened = instrument.rates[:10], instrument.rates[10:]
    assert closed == [None] * 10
    medians = {cell.connections: cell.ops_per_s for cell in result.cells if cell.loop == "closed"}
    for key, rate in zip(instrument.keys[10:], opened, strict=True):
        assert key.loop == "open"
        assert rate == 0.5 * (medians[key.connections] or 0)
    assert [(cell.loop, len(cell.rounds)) for cell in result.cells] == [
        ("closed", 5),
        ("closed", 5),
        ("open", 5),
        ("open", 5),
    ]


def test_model_that_failed_in_a_closed_loop_has_no_open_one(answers: Answers) -> None:
    instrument = answers()
    closed, opened = execute(asked("bad", rounds=2, load=0.5), ignore, ignore).cells
    assert closed.verdict == "failed"
    assert (opened.loop, opened.verdict) == ("open", "unsupported")
    assert opened.reasons == ["in a closed loop it did nothing: see there"]
    assert len(instrument.keys) == 1


def test_model_that_mostly_did_nothing_has_no_open_loop(answers: Answers) -> None:
    instrument = answers((0.0, 0.0, 0.0, 1000.0, 1000.0))
    execute(asked("one", rounds=5, load=0.5), ignore, ignore)
    assert 0.0 not in instrument.rates


def test_noise_during_the_search_is_not_held_against_the_model(
    answers: Answers, instrument: Instrument
) -> None:
    """Twice, at the rate that is tried first, which the model does keep."""
    answers((1000.0,))
    find, noisy = instrument.find, itertools.chain([True, True], itertools.repeat(False))

    def find_with_noise(key: Key, rate: float | None) -> dict[str, Any]:
        found = find(key, rate)
        if rate is not None and next(noisy):
            return found | {"latency_us": Percentiles(p99=9000.0), "stolen": 0.5}
        return found

    instrument.find = find_with_noise
    execute(asked("one", rounds=1, slo_us=5000.0), ignore, ignore)
    assert instrument.rates[-1] == 1000.0


def test_highest_rate_that_keeps_the_promise_is_found_and_measured(answers: Answers) -> None:
    instrument = answers((1000.0,), lambda rate: 4000.0 if rate <= 700 else 6000.0)
    result = execute(asked("one", rounds=3, slo_us=5000.0), ignore, ignore)
    opened = result.cells[1]
    *tried, first, second, third = instrument.rates[3:]
    assert first == second == third == max(rate for rate in tried if rate and rate <= 700)
    assert 680 <= (first or 0) <= 700
    assert opened.verdict == "ok"
    assert len(opened.rounds) == 3
    assert opened.reasons[0].startswith("the highest rate with p99 below 5 ms: ")
    assert opened.reasons[0].endswith("% of what it does in a closed loop")


def test_promise_that_is_kept_at_full_load_needs_no_search(answers: Answers) -> None:
    instrument = answers((1000.0,))
    execute(asked("one", rounds=1, slo_us=5000.0), ignore, ignore)
    assert instrument.rates == [None, 1000.0, 1000.0]


def test_promise_broken_once_has_a_second_chance(answers: Answers) -> None:
    broken = itertools.cycle([9000.0, 1000.0])
    instrument = answers((1000.0,), lambda rate: next(broken))
    execute(asked("one", rounds=1, slo_us=5000.0), ignore, ignore)
    assert instrument.rates == [None, 1000.0, 1000.0, 1000.0]


def test_promise_that_is_never_kept_is_told_and_nothing_more_is_measured(
    answers: Answers,
) -> None:
    instrument = answers((1000.0,), lambda rate: 9000.0)
    seen: list[tuple[int, int]] = []
    result = execute(
        asked("one", rounds=2, slo_us=5000.0),
        lambda progress: seen.append((progress.done, progress.total)),
        ignore,
    )
    opened = result.cells[1]
    assert opened.verdict == "unsupported"
    assert opened.reasons == ["no rate was found that keeps p99 below 5 ms"]
    assert instrument.rates.count(None) == 2  # the closed loop's
    assert all(done <= total for done, total in seen)


def test_server_that_fails_during_the_search_fails_its_open_loop(
    answers: Answers, instrument: Instrument
) -> None:
    def p99_us(rate: float) -> float:
        raise LaunchError("too much for it")

    answers((1000.0,), p99_us)
    closed, opened = execute(asked("one", rounds=2, slo_us=5000.0), ignore, ignore).cells
    assert closed.verdict == "ok"
    assert (opened.verdict, opened.reasons) == ("failed", ["too much for it"])


@pytest.mark.usefixtures("good")
@pytest.mark.parametrize("arrivals", ["fixed", "poisson"])
def test_open_loop_is_measured(arrivals: str) -> None:
    (cell,) = execute(asked("good", rate=200.0, arrivals=arrivals), ignore, ignore).cells
    assert cell.loop == "open"
    assert cell.verdict in (*BELIEVED, "rate-unmet")
    assert cell.pace is not None
    assert cell.pace.rate == 200
    assert cell.pace.missed == 0
    assert cell.errors == {}
    assert cell.rounds[0].operations > 0


# Who closes


def test_server_that_is_to_close_first_does() -> None:
    cell = cells_of(asked("epoll", workloads=["tcp-short"], close="server"))["epoll"]
    assert cell.errors == {}
    assert cell.counts.served >= cell.rounds[0].operations > 0
    assert (cell.server.time_wait or 0) > (cell.server.client_time_wait or 0)


@pytest.mark.usefixtures("nothing_starts")
def test_reference_cannot_be_told_to_close_first() -> None:
    cell = cells_of(asked("bare-epoll", workloads=["tcp-short"], close="server"))["bare-epoll"]
    assert (cell.verdict, cell.reasons) == ("unsupported", ["it cannot be told to close first"])


@pytest.mark.parametrize("workload", ["udp-echo", "tcp-long", "chat"])
def test_who_closes_short_connections_is_nothing_to_the_other_workloads(workload: str) -> None:
    cell = cells_of(asked("epoll", workloads=[workload], close="server"))["epoll"]
    assert cell.verdict in BELIEVED, cell.reasons
    assert cell.errors == {}
