"""What several drivers saw, as one."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare.cluster.merge import merged
from compare.contract.counts import Counts
from compare.contract.histogram import encode, fold, merge
from compare.contract.loss import Loss
from compare.contract.outcome import Handshakes, Outcome, Pace

NOWHERE = [None, None]
SAMPLES = st.lists(st.integers(1, 10**10), max_size=50)


def _seen(outcome: Outcome, samples: list[int], window_ns: int = 10**9) -> Outcome:
    return msgspec.structs.replace(
        outcome,
        operations=len(samples),
        window_ns=window_ns,
        latency=encode(fold(array("Q", samples))),
        latency_sum_ns=sum(samples),
        latency_max_ns=max(samples, default=0),
    )


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(SAMPLES, min_size=1, max_size=5))
def test_histograms_merge_exactly(
    made_up_outcome: Callable[..., Outcome], parts: list[list[int]]
) -> None:
    whole = [sample for part in parts for sample in part]
    one = merged(
        [_seen(made_up_outcome(), part) for part in parts], [None] * len(parts), None, None, 0
    )
    expected = fold(array("Q", whole))
    assert one.operations == len(whole)
    assert one.latency_sum_ns == sum(whole)
    assert one.latency_max_ns == max(whole, default=0)
    got = merge([one.latency])
    assert got.get_total_count() == len(whole)
    for percent in (1, 50, 90, 99, 99.9, 100):
        assert got.get_value_at_percentile(percent) == expected.get_value_at_percentile(percent)


def test_rate_is_the_sum_of_the_rates_however_long_each_window_was(
    made_up_outcome: Callable[..., Outcome],
) -> None:
    parts = [_seen(made_up_outcome(), [1] * 100, 10**9), _seen(made_up_outcome(), [1] * 50, 10**8)]
    one = merged(parts, NOWHERE, None, None, 0)
    assert one.operations / one.window_ns * 1e9 == pytest.approx(600, rel=1e-6)


def test_counts_and_errors_add_up(made_up_outcome: Callable[..., Outcome]) -> None:
    parts = [
        msgspec.structs.replace(
            made_up_outcome(), counts=Counts(attempted=5, served=3, reset=2), errors={"reset": 2}
        ),
        msgspec.structs.replace(
            made_up_outcome(), counts=Counts(attempted=4, served=4), errors={"eof": 1}
        ),
    ]
    one = merged(parts, NOWHERE, None, None, 7)
    assert one.counts == Counts(attempted=9, served=7, reset=2)
    assert one.errors == {"reset": 2, "eof": 1}
    assert one.peak_descriptors == 7
    assert one.server is None


def _busy(outcome: Outcome, share: float, wait_ns: int = 0) -> Outcome:
    cpu_ns = int(share * outcome.window_ns)
    return msgspec.structs.replace(outcome, driver_cpu_ns=cpu_ns, driver_wait_ns=wait_ns)


def test_driver_is_the_one_most_at_its_limit(made_up_outcome: Callable[..., Outcome]) -> None:
    idle = _busy(made_up_outcome(), 0.1, 300)
    busy = _busy(_seen(made_up_outcome(), [1] * 100, 10**8), 0.95, 10)
    one = merged([idle, busy], NOWHERE, None, None, 0)
    assert one.driver_cpu_ns / one.window_ns == pytest.approx(0.95)
    assert one.driver_wait_ns == 300


def test_drivers_that_share_a_core_are_one(made_up_outcome: Callable[..., Outcome]) -> None:
    """Which cannot do more than a core can."""

    def busy(shares: tuple[float, float], cores: list[tuple[str, int] | None]) -> float:
        parts = [_busy(made_up_outcome(), share) for share in shares]
        one = merged(parts, cores, None, None, 0)
        return one.driver_cpu_ns / one.window_ns

    assert busy((0.4, 0.55), [("host", 1)] * 2) == pytest.approx(0.95)
    assert busy((0.6, 0.55), [("host", 1)] * 2) == pytest.approx(1.0)
    assert busy((0.4, 0.55), [("host", 1), ("other", 1)]) == pytest.approx(0.55)
    assert busy((0.4, 0.55), [None, None]) == pytest.approx(0.55)


def test_driver_that_waits_for_another_on_its_core_is_kept_from_work_by_no_other_program(
    made_up_outcome: Callable[..., Outcome],
) -> None:
    def waited(waits_ms: tuple[int, int], cores: list[tuple[str, int] | None]) -> float:
        parts = [
            _busy(made_up_outcome(), share, wait_ms * 10**6)
            for share, wait_ms in zip((0.4, 0.55), waits_ms, strict=True)
        ]
        one = merged(parts, cores, None, None, 0)
        assert one.slices[0].driver_wait_ns == one.driver_wait_ns
        return one.driver_wait_ns / 1e9

    shared: list[tuple[str, int] | None] = [("host", 1)] * 2
    assert waited((540, 380), shared) == 0
    assert waited((640, 420), shared) == pytest.approx(0.09)
    assert waited((540, 380), [("host", 1), ("other", 1)]) == pytest.approx(0.54)
    assert waited((540, 380), [None, None]) == pytest.approx(0.54)


def test_all_shards_are_one_slice(made_up_outcome: Callable[..., Outcome]) -> None:
    """With what the server used meanwhile, where it is ours."""
    outcome = made_up_outcome()
    assert outcome.server is not None
    server = msgspec.structs.replace(outcome.server, cpu_ns=7000)
    parts = [_seen(outcome, [1] * 100), _seen(outcome, [1] * 50)]
    for used, cpu_ns in ((server, 7000), (None, None)):
        one = merged(parts, NOWHERE, used, outcome.sizes if used else None, 0)
        (together,) = one.slices
        assert (together.operations, together.turn_operations) == (150, 150)
        assert together.window_ns == together.turn_ns == one.window_ns
        assert together.cpu_ns == cpu_ns
        assert one.server == used


def test_driver_that_gave_up_and_one_that_began_late_are_told(
    made_up_outcome: Callable[..., Outcome],
) -> None:
    parts = [
        made_up_outcome(late_ns=70),
        made_up_outcome(gave_up="1 reply did not come within 1 s"),
        made_up_outcome(late_ns=30),
    ]
    one = merged(parts, [None] * 3, None, None, 0)
    assert one.gave_up == "1 reply did not come within 1 s"
    assert one.late_ns == 70


def test_open_loops_are_one_at_the_sum_of_their_rates(
    made_up_outcome: Callable[..., Outcome],
) -> None:
    def paced(rate: float, late: int, lateness: int) -> Outcome:
        pace = Pace(
            rate=rate,
            offered=int(rate),
            sends=int(rate),
            late=late,
            lateness_p99_ns=lateness,
            missed=1,
            service=encode(fold(array("Q", [1000]))),
            loss=Loss(due=int(rate), lost=9, server_buffer=None, driver_buffer=2, unsent=1),
        )
        return msgspec.structs.replace(made_up_outcome(), pace=pace)

    pace = merged([paced(100.0, 3, 50), paced(200.0, 4, 20)], NOWHERE, None, None, 0).pace
    assert pace is not None
    assert (pace.rate, pace.offered, pace.sends) == (300.0, 300, 300)
    assert (pace.late, pace.lateness_p99_ns, pace.missed) == (7, 50, 2)
    assert merge([pace.service]).get_total_count() == 2
    assert pace.loss == Loss(due=300, lost=18, server_buffer=None, driver_buffer=4, unsent=2)


def test_handshakes_of_all_drivers_are_added(made_up_outcome: Callable[..., Outcome]) -> None:
    def shook(full: int, resumed: int, *samples: int) -> Outcome:
        latency = encode(fold(array("Q", samples)))
        done = Handshakes(
            version="TLSv1.3" if samples else "",
            cipher="A",
            library="B",
            full=full,
            resumed=resumed,
            latency=latency,
        )
        return made_up_outcome(handshakes=done)

    one = merged([shook(1, 2, 10**6), shook(0, 0), shook(3, 4, 10**7)], [None] * 3, None, None, 0)
    assert one.handshakes is not None
    assert (one.handshakes.full, one.handshakes.resumed) == (4, 6)
    assert merge([one.handshakes.latency]).get_total_count() == 2
    plain = merged([made_up_outcome()] * 2, NOWHERE, None, None, 0)
    assert plain.handshakes is None
