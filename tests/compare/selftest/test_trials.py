"""The self-test: what is planted is found, and an instrument that is false is found out."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from compare.driver.counts import Counts
from compare.driver.outcome import Outcome
from compare.host.launch import LaunchError
from compare.results.records import Key, Percentiles, Round, Server, Settings
from compare.selftest import trials
from compare.selftest.trials import (
    COUNTS,
    Check,
    Cores,
    Finding,
    Trial,
    crosscheck,
    same_twice,
    service_time,
    timed,
)

ANYWHERE = Cores(None, None)
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


@pytest.mark.parametrize("check", SHORT_FORM)
def test_counts_are_recovered(check: Check) -> None:
    """Also while something else has the cores."""
    (finding,) = check(ANYWHERE)
    assert finding.state == "right", finding


@pytest.fixture(scope="module")
def service_times() -> list[Finding]:
    return list(service_time(ANYWHERE))


def test_service_time_is_recovered_unless_the_machine_is_busy(service_times: list[Finding]) -> None:
    alone, _ = service_times
    assert alone.state != "wrong", alone


def test_eight_service_times_are_recovered_unless_the_machine_is_busy(
    service_times: list[Finding],
) -> None:
    _, together = service_times
    assert together.state != "wrong", together


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


# tests/compare/driver has the same faults one by one.
QUICK = ("datagrams doubled", "connections reset", "chat lines lost", "unserved")
SHORT_FORM = [
    pytest.param(
        check, id=check.__name__, marks=[] if check.__name__ in QUICK else [pytest.mark.slow]
    )
    for check in COUNTS
]


@pytest.mark.parametrize("check", SHORT_FORM)
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
        (951.0, {"stolen": 0.5}, "right"),
        (1051.0, {}, "wrong"),
        (949.0, {}, "wrong"),
        (None, {}, "wrong"),
        (1051.0, {"stolen": 0.06}, "noisy"),
        (1051.0, {"server_waited": 0.06}, "noisy"),
        (None, {"driver_waited": 0.06}, "noisy"),
    ],
)
def test_latency_is_right_within_five_per_cent_and_else_wrong_or_noisy(
    made_up_round: MakeRound, seen_us: float | None, noise: dict[str, float], state: str
) -> None:
    finding = timed("it", 1000.0, made_up_round(**noise), seen_us)
    assert finding.state == state
    assert finding.planted == "1.00 ms"


# The same twice


@pytest.fixture
def find(
    monkeypatch: pytest.MonkeyPatch, made_up_outcome: MakeOutcome, made_up_round: MakeRound
) -> Callable[[Iterator[float]], list[Key]]:
    """Has rounds find these rates; the keys that are measured."""

    def find(rates: Iterator[float]) -> list[Key]:
        keys: list[Key] = []

        def measure(key: Key, settings: Settings, rate: float | None, wait: object) -> Any:
            keys.append(key)
            value = next(rates)
            made = made_up_round(value, latency_us=Percentiles(p50=value))
            costs = Server(cpu_us_per_op=value)
            return made_up_outcome(), msgspec.structs.replace(made, server=costs)

        monkeypatch.setattr(trials, "measure", measure)
        return keys

    return find


def test_server_that_is_the_same_twice_is_right(
    find: Callable[[Iterator[float]], list[Key]],
) -> None:
    keys = find(itertools.repeat(1000.0))
    finding = same_twice(ANYWHERE, 12, ignore)
    assert finding.state == "right"
    assert finding.recovered == "0 (0.0%)"
    assert {key.workload for key in keys} == {"udp-echo", "tcp-short", "tcp-long", "chat"}
    assert len(keys) == 4 * 10


def test_instrument_that_favours_one_side_is_found_out(
    find: Callable[[Iterator[float]], list[Key]],
) -> None:
    """A B B A A B B A A B: A always does more."""
    find(itertools.cycle([2.0, 1.0, 1.0, 2.0, 2.0, 1.0, 1.0, 2.0, 2.0, 1.0]))
    finding = same_twice(ANYWHERE, 1, ignore)
    assert finding.state == "wrong"
    assert "of 12 comparisons" in finding.name
    assert finding.recovered == "12 (100.0%)"


def test_drift_favours_neither_side(find: Callable[[Iterator[float]], list[Key]]) -> None:
    """A machine that grows warm does less and less; both sides lose by it."""
    find(itertools.count(1000.0, -1.0))
    assert same_twice(ANYWHERE, 12, ignore).state == "right"


# All together


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Replaces all checks."""

    def replace(*checks: Check) -> None:
        monkeypatch.setattr(trials, "COUNTS", list(checks))
        monkeypatch.setattr(trials, "LATENCIES", [])
        monkeypatch.setattr(crosscheck, "is_installed", lambda: False)

    return replace


def right(cores: Cores) -> Iterator[Finding]:
    yield Finding("it", "1", "1", "right")


def broken(cores: Cores) -> Iterator[Finding]:
    raise LaunchError("no more ports")
    yield


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
