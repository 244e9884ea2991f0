"""What held a closed loop back, from made-up rounds."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from verdicts import verdict

from compare.results.records import Round

MakeRound = Callable[..., Round]


def test_quota_that_holds_the_server_back_is_told_with_its_remedy(
    made_up_round: MakeRound,
) -> None:
    assert verdict([made_up_round(throttled=share) for share in (0.0, 0.02)]) == ("ok", "")
    assert verdict([made_up_round(throttled=share) for share in (0.2, 0.3)]) == (
        "throttled",
        "a CPU quota held the server back for 25% of the time: lift it (cpu.max of its control "
        "group; in a container, its CPU limit)",
    )


def test_busy_driver_before_an_idle_server_is_driver_bound(made_up_round: MakeRound) -> None:
    assert verdict([made_up_round(driver_busy=0.99, server_busy=0.4)]) == (
        "driver-bound",
        "the driver used 99% of its core, the server 40%: the server can do more than is "
        "shown; compare CPU/op",
    )


def test_busy_driver_before_a_busy_server_is_both_full(made_up_round: MakeRound) -> None:
    assert verdict([made_up_round(driver_busy=0.96, server_busy=0.95)]) == (
        "both-full",
        "both cores were full, the driver's to 96%: the server may do a few per cent more; "
        "compare CPU/op",
    )


def test_where_neither_was_at_its_limit_more_connections_would_show_more(
    made_up_round: MakeRound,
) -> None:
    assert verdict([made_up_round(driver_busy=0.5, server_busy=0.6)]) == (
        "unbound",
        "nobody was at its limit, the server at 60% of a core and the driver at 50%: each waits "
        "for the other; more --connections would show what it can do",
    )


@pytest.mark.parametrize(("driver", "server"), [(0.9, 0.91), (0.5, 1.0), (0.1, 3.5)])
def test_busy_server_before_a_driver_with_room_to_spare_is_ok(
    made_up_round: MakeRound, driver: float, server: float
) -> None:
    assert verdict([made_up_round(driver_busy=driver, server_busy=server)]) == ("ok", "")


@pytest.mark.parametrize(
    ("driver", "server", "expected"),
    [
        (0.5, 0.6, "unbound"),
        (0.5, 1.2, "ok"),  # one of its threads may be at its limit
        (0.99, 1.2, "driver-bound"),
        (0.99, 3.5, "driver-bound"),
        (0.99, 3.7, "both-full"),
        (0.5, 3.7, "ok"),
    ],
)
def test_server_with_four_cores_is_at_its_limit_when_they_all_are(
    made_up_round: MakeRound, driver: float, server: float, expected: str
) -> None:
    rounds = [made_up_round(driver_busy=driver, server_busy=server)]
    assert verdict(rounds, cores=4)[0] == expected


def test_server_can_use_no_more_cores_than_it_has_threads(made_up_round: MakeRound) -> None:
    """As one event loop, however many cores it has."""
    each = made_up_round(driver_busy=0.99, server_busy=0.97)
    server = msgspec.structs.replace(each.server, threads=1)
    rounds = [msgspec.structs.replace(each, server=server)]
    assert verdict(rounds, cores=4)[0] == "both-full"
    assert verdict([each], cores=4)[0] == "driver-bound"


def test_cores_of_a_server_with_several_are_told(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(driver_busy=0.99, server_busy=1.5)]
    assert "the server 150% of 4 cores: the server can do more" in verdict(rounds, cores=4)[1]
    assert verdict(rounds, cores=1)[1].startswith("both cores were full")
    full = [made_up_round(driver_busy=0.99, server_busy=3.9)]
    assert verdict(full, cores=4)[1].startswith("all cores were full")


def test_server_that_serves_few_by_nature_need_not_be_at_its_limit(
    made_up_round: MakeRound,
) -> None:
    found = verdict([made_up_round(server_busy=0.3)], few="it serves one client at a time")
    assert found == ("ok", "")


def test_what_others_had_of_the_drivers_core_it_could_not_use(made_up_round: MakeRound) -> None:
    def judged(used: float, waited: float, server: float) -> tuple[str, str]:
        rounds = [
            made_up_round(driver_busy=used, driver_waited=waited + off, server_busy=server)
            for off in (0.02, -0.02)
        ]
        return verdict(rounds)

    found, reasons = judged(0.6, 0.39, 0.4)
    assert found == "driver-bound"
    assert "used 60% and other programs 39% of its core, the server 40%" in reasons
    assert "other programs had 39% of the driver's core" in reasons
    assert judged(0.6, 0.39, 0.99)[0] == "both-full"
    assert judged(0.3, 0.2, 0.99) == ("ok", "other programs had 20% of the driver's core")
    assert judged(0.99, 0.0, 0.99)[0] == "both-full"


@pytest.mark.parametrize("waited", [0.0, 0.5])
def test_core_that_server_and_driver_shared_is_told_instead_of_a_limit(
    made_up_round: MakeRound, waited: float
) -> None:
    """And nothing of other programs: the driver waits for the server there."""
    rounds = [made_up_round(driver_busy=0.99, server_busy=0.2, driver_waited=waited)]
    assert verdict(rounds, pinned=False) == (
        "not-pinned",
        "server and driver shared a core, or were not held to one: the driver's work is in the "
        "rate; compare CPU/op",
    )


def test_closes_that_found_no_room_in_time_wait_are_told(made_up_round: MakeRound) -> None:
    each = made_up_round()
    server = msgspec.structs.replace(each.server, time_wait_overflow=1234)
    rounds = [each, msgspec.structs.replace(each, server=server)]
    found, reasons = verdict(rounds, workload="tcp-short")
    assert found == "ok"
    assert reasons.startswith("1,234 closes on this machine without TIME_WAIT, which was full")
