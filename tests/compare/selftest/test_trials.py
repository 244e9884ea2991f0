"""The self-test: what is planted is found, and an instrument that is false is found out."""

from __future__ import annotations

import itertools
import subprocess
from collections.abc import Callable, Iterator

import msgspec
import pytest

from compare.contract.counts import Counts
from compare.contract.outcome import Outcome
from compare.host.cores import Cores
from compare.host.launch import LaunchError
from compare.measure.testbed import Block
from compare.measure.testbed import Finding as Found
from compare.models.model import Model
from compare.results.records import Key, Percentiles, Round
from compare.selftest import planted, trials
from compare.selftest.finding import Check, Finding
from compare.selftest.side_by_side import side_by_side
from compare.selftest.trials import (
    COUNTS,
    Trial,
    crosscheck,
    dearer,
    same_twice,
    service_time,
    timed,
)

ANYWHERE = Cores()
MakeOutcome = Callable[..., Outcome]
MakeRound = Callable[..., Round]

pytestmark = pytest.mark.usefixtures("nothing_left")


def ignore(text: str) -> None:
    """What is under way."""


# Really


# tests/compare/driver has the same faults one by one.
QUICK = ("datagrams doubled", "connections reset", "chat lines lost", "unserved")
SHORT_FORM = [
    pytest.param(
        check, id=check.__name__, marks=[] if check.__name__ in QUICK else [pytest.mark.slow]
    )
    for check in COUNTS
]


@pytest.mark.slow
@pytest.mark.parametrize("check", SHORT_FORM)
def test_counts_are_recovered(check: Check) -> None:
    """Also while something else has the cores."""
    (finding,) = check(ANYWHERE)
    assert finding.state == "right", finding


@pytest.fixture(scope="module")
def service_times() -> list[Finding]:
    return list(service_time(ANYWHERE))


@pytest.mark.slow
def test_service_time_is_recovered_unless_the_machine_is_busy(service_times: list[Finding]) -> None:
    alone, _ = service_times
    assert alone.state != "wrong", alone


def test_eight_service_times_are_recovered_unless_the_machine_is_busy(
    service_times: list[Finding],
) -> None:
    _, together = service_times
    assert together.state != "wrong", together


def test_share_that_a_server_of_known_capacity_loses_is_recovered_and_where() -> None:
    share, place = trials.overload(ANYWHERE)
    assert share.state != "wrong", share
    assert place.state == "right", place


# With an instrument that is made up


@pytest.fixture
def tell(
    monkeypatch: pytest.MonkeyPatch, made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> Callable[[int, int], None]:
    """Has every fault happen so often, and be counted so often."""

    def tell(happened: int, seen: int) -> None:
        names = ("lost", "duplicate", "late", "reordered", "wrong_bytes", "eof")
        outcome = made_up_outcome(
            errors=dict.fromkeys(names, seen), counts=Counts(reset=seen, served=seen, starved=7)
        )
        did = dict.fromkeys(("faults", "released", "reordered"), happened)
        monkeypatch.setattr(trials, "trial", lambda *_, **__: Trial(outcome, made_up_round(), did))

    return tell


@pytest.mark.parametrize("check", COUNTS, ids=[check.__name__ for check in COUNTS])
def test_count_that_is_not_what_happened_is_wrong(
    tell: Callable[[int, int], None], check: Check
) -> None:
    tell(1, 1)
    (finding,) = check(ANYWHERE)
    assert finding.state == "right"
    for seen in (0, 2):
        tell(1, seen)
        (finding,) = check(ANYWHERE)
        assert finding.state == "wrong"


@pytest.mark.parametrize("check", [check for check in COUNTS if check is not trials.unserved])
def test_fault_that_never_happened_was_not_tested(
    tell: Callable[[int, int], None], check: Check
) -> None:
    tell(0, 0)
    (finding,) = check(ANYWHERE)
    assert (finding.planted, finding.recovered, finding.state) == ("0", "0", "wrong")


@pytest.mark.parametrize(
    ("seen_us", "noise", "state"),
    [
        (1000.0, {}, "right"),
        (1049.0, {}, "right"),
        (951.0, {"wait_ns": 500_000_000}, "right"),
        (1051.0, {}, "wrong"),
        (949.0, {}, "wrong"),
        (None, {}, "wrong"),
        (1051.0, {"wait_ns": 60_000_000}, "noisy"),
        (None, {"wait_ns": 60_000_000}, "noisy"),
        (1051.0, {"wait_ns": 10_000_000}, "wrong"),
    ],
)
def test_latency_is_right_within_five_per_cent_and_else_wrong_or_noisy(
    made_up_outcome: MakeOutcome, seen_us: float | None, noise: dict[str, int], state: str
) -> None:
    """Where the server waited for its core for more than half as much of its time."""
    server = made_up_outcome().server
    assert server is not None
    outcome = made_up_outcome(server=msgspec.structs.replace(server, **noise))
    finding = timed("it", 1000.0, outcome, seen_us)
    assert finding.state == state
    assert finding.planted == "1.00 ms"


# The same twice


@pytest.fixture
def find(
    monkeypatch: pytest.MonkeyPatch, made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> Callable[[Iterator[float]], list[Key]]:
    """Has rounds find these rates, costs and latencies; the keys that are measured."""

    def find(rates: Iterator[float]) -> list[Key]:
        keys: list[Key] = []

        def measure(block: Block, *_: object) -> dict[str, Found]:
            found: dict[str, Found] = {}
            for model in sorted(block.models, key=lambda model: model.name):
                keys.append(Key(model.name, block.load))
                value = next(rates)
                latency = Percentiles(p50=value, p99=value)
                made = made_up_round(value, cost=value, latency_us=latency, number=block.number)
                found[model.name] = made_up_outcome(), made
            return found

        monkeypatch.setattr("compare.selftest.side_by_side.measure", measure)
        return keys

    return find


def test_server_that_is_the_same_twice_is_right(
    find: Callable[[Iterator[float]], list[Key]],
) -> None:
    keys = find(itertools.repeat(1000.0))
    finding = same_twice(ANYWHERE, 12, ignore)
    assert finding.state == "right"
    assert finding.recovered == "0 (0.0%)"
    assert {key.load.workload for key in keys} == {"udp-echo", "tcp-short", "tcp-long", "chat"}
    assert len(keys) == 4 * 10


def test_instrument_that_favours_one_side_is_found_out(
    find: Callable[[Iterator[float]], list[Key]],
) -> None:
    """A always does more."""
    find(itertools.cycle([2.0, 1.0]))
    finding = same_twice(ANYWHERE, 1, ignore)
    assert finding.state == "wrong"
    assert "of 12 comparisons" in finding.name
    assert finding.recovered == "12 (100.0%)"


def test_drift_favours_neither_side(find: Callable[[Iterator[float]], list[Key]]) -> None:
    """A machine that grows warm does less and less; both sides lose by it."""
    rounds = itertools.count(1000.0, -1.0)
    find(itertools.chain.from_iterable((rate, rate) for rate in rounds))
    assert same_twice(ANYWHERE, 12, ignore).state == "right"


def test_server_that_fails_is_told_and_not_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(block: Block, *_: object) -> dict[str, Found]:
        return {model.name: "no more ports" for model in block.models}

    monkeypatch.setattr("compare.selftest.side_by_side.measure", measure)
    with pytest.raises(LaunchError, match="no more ports"):
        same_twice(ANYWHERE, 1, ignore)


# One that costs more


@pytest.fixture
def cost(
    monkeypatch: pytest.MonkeyPatch, made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> Callable[..., None]:
    """Has each of the three servers cost so many us, and a little more or less in every round."""

    def cost(**costs: float) -> None:
        def measure(block: Block, *_: object) -> dict[str, Found]:
            found: dict[str, Found] = {}
            for model in block.models:
                chance = 1 + 0.004 * ((block.number + len(model.name)) % 2)
                usual = 10.0 if model.name == "twice" else 5.0
                us = costs.get(model.name.replace(" ", "_"), usual) * chance
                found[model.name] = made_up_outcome(), made_up_round(cost=us, number=block.number)
            return found

        monkeypatch.setattr("compare.selftest.side_by_side.measure", measure)

    return cost


def test_server_that_costs_more_is_found_to_be_behind(cost: Callable[..., None]) -> None:
    cost(dearer=5.25)
    (finding,) = dearer(ANYWHERE)
    assert finding.state == "right"
    assert finding.recovered.startswith("5.0% (")


@pytest.mark.parametrize(
    "costs", [{}, {"dearer": 6.0}, {"dearer": 5.25, "plain": 5.25}, {"plain": 5.25}]
)
def test_instrument_that_sees_other_costs_is_found_out(
    cost: Callable[..., None], costs: dict[str, float]
) -> None:
    """None, too much of it, that of another one as well, or that of another one."""
    cost(**costs)
    (finding,) = dearer(ANYWHERE)
    assert finding.state == "wrong"


def test_planted_server_that_costs_more_is_measured() -> None:
    models = [
        Model(f"{turns} turns", "planted", (str(planted.FOLDER / "costly.py"), str(turns)))
        for turns in (0, 200_000)
    ]
    cheap, dear = side_by_side(ANYWHERE, models, "tcp-long", 1, connections=1)
    for cell in (cheap, dear):
        assert cell.counts.served == 1
        assert cell.errors == {}
    # A hundred times what an echo costs.
    assert (dear.server.cpu_us_per_op or 0) > (cheap.server.cpu_us_per_op or 0)


# All together


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces all checks."""

    def replace(*checks: Check) -> None:
        monkeypatch.setattr(trials, "COUNTS", list(checks))
        monkeypatch.setattr(trials, "LATENCIES", [])
        monkeypatch.setattr(trials, "HANDLERS", [])
        monkeypatch.setattr(trials, "dearer", lambda cores: iter(()))
        monkeypatch.setattr(crosscheck, "is_installed", lambda: False)

    return replace


def right(cores: Cores) -> Iterator[Finding]:
    yield Finding("it", "1", "1", "right")


def broken(cores: Cores) -> Iterator[Finding]:
    raise LaunchError("no more ports")
    yield


def unforeseen(cores: Cores) -> Iterator[Finding]:
    yield from right(cores)
    raise KeyError("began")


def test_check_that_breaks_off_for_whatever_reason_loses_no_row(
    checks: Callable[..., None],
) -> None:
    checks(unforeseen, right)
    found = list(trials.selftest(ANYWHERE, 0, ignore))
    assert [each.recovered for each in found] == ["1", "KeyError('began')", "1"]
    assert [each.state for each in found] == ["right", "wrong", "right"]


def test_what_breaks_off_after_all_checks_loses_none_of_their_rows(
    checks: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another instrument that hangs, and a server that does not start the second time."""

    def hangs(*_: object) -> tuple[float, float]:
        raise subprocess.TimeoutExpired("sockperf", 21)

    def fails(*_: object, **__: object) -> None:
        raise LaunchError("no more ports")

    checks(right)
    monkeypatch.setattr(crosscheck, "is_installed", lambda: True)
    monkeypatch.setattr(trials, "compare_medians", hangs)
    monkeypatch.setattr(trials, "side_by_side", fails)
    first, theirs, twice = trials.selftest(ANYWHERE, 12, ignore)
    assert first.state == "right"
    assert (theirs.state, "sockperf" in theirs.recovered) == ("differs", True)
    assert (twice.state, twice.recovered) == ("wrong", "no more ports")


def test_check_that_cannot_be_made_is_wrong_and_the_others_go_on(
    checks: Callable[..., None],
) -> None:
    checks(broken, right)
    found = list(trials.selftest(ANYWHERE, 0, ignore))
    assert [(each.recovered, each.state) for each in found] == [
        ("no more ports", "wrong"),
        ("1", "right"),
    ]


def test_count_that_cannot_be_made_is_named_as_its_row_is(
    checks: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trial(*_: object, **__: object) -> Trial:
        raise LaunchError("no more ports")

    monkeypatch.setattr(trials, "trial", trial)
    checks(COUNTS[0])
    (finding,) = trials.selftest(ANYWHERE, 0, ignore)
    assert finding.name == "datagrams lost"


def test_server_is_compared_with_itself_only_if_that_is_asked_for(
    checks: Callable[..., None], find: Callable[[Iterator[float]], list[Key]]
) -> None:
    checks(right)
    keys = find(itertools.repeat(1000.0))
    assert len(list(trials.selftest(ANYWHERE, 0, ignore))) == 1
    assert keys == []
    assert len(list(trials.selftest(ANYWHERE, 1, ignore))) == 2
    assert keys
