"""What several drivers saw, as one."""

from __future__ import annotations

from array import array
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from compare.cluster.merge import merged
from compare.driver.counts import Counts
from compare.driver.histogram import encode, fold, merge
from compare.driver.outcome import Outcome, Pace

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


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
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


def test_driver_is_the_one_most_at_its_limit(made_up_outcome: Callable[..., Outcome]) -> None:
    outcome = made_up_outcome()
    idle, busy = (
        msgspec.structs.replace(
            outcome,
            driver=msgspec.structs.replace(
                outcome.driver, elapsed_ns=1000, cpu_ns=cpu, wait_ns=wait
            ),
        )
        for cpu, wait in ((100, 300), (950, 10))
    )
    driver = merged([idle, busy], NOWHERE, None, None, 0).driver
    assert (driver.cpu_ns, driver.wait_ns) == (950, 300)


def test_drivers_that_share_a_core_do_not_disturb_each_other(
    made_up_outcome: Callable[..., Outcome],
) -> None:
    outcome = made_up_outcome()
    parts = [
        msgspec.structs.replace(
            outcome,
            driver=msgspec.structs.replace(
                outcome.driver, elapsed_ns=1000, cpu_ns=cpu, wait_ns=400, others_ns=1000 - cpu
            ),
        )
        for cpu in (400, 550)
    ]
    one = merged(parts, [("host", 1)] * 2, None, None, 0).driver
    assert (one.cpu_ns, one.others_ns) == (950, 50)
    apart = merged(parts, [("host", 1), ("other", 1)], None, None, 0).driver
    assert (apart.cpu_ns, apart.others_ns) == (550, 600)


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
        )
        return msgspec.structs.replace(made_up_outcome(), pace=pace)

    pace = merged([paced(100.0, 3, 50), paced(200.0, 4, 20)], NOWHERE, None, None, 0).pace
    assert pace is not None
    assert (pace.rate, pace.offered, pace.sends) == (300.0, 300, 300)
    assert (pace.late, pace.lateness_p99_ns, pace.missed) == (7, 50, 2)
    assert merge([pace.service]).get_total_count() == 2
