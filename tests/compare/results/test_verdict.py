"""Verdicts and their reasons, from made-up rounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from compare.results.records import Pace, Round
from compare.results.verdict import judge

MakeRound = Callable[..., Round]


def verdict(
    rounds: list[Round],
    *,
    workload: str = "tcp-long",
    connections: int = 4,
    failures: tuple[str, ...] = (),
    few: str = "",
) -> tuple[str, str]:
    """The verdict, and all reasons as one text."""
    found, reasons = judge(workload, connections, rounds, list(failures), few)
    return found, "; ".join(reasons)


def test_quiet_rounds_with_right_replies_are_ok_without_a_word(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(rate) for rate in (1000, 1010, 990, 1005, 995)]
    assert verdict(rounds) == ("ok", "")


# Failed


def test_a_round_that_failed_fails_the_cell_and_is_named_once(made_up_round: MakeRound) -> None:
    failures = ("exit status 3", "exit status 3", "did not say READY")
    found = verdict([made_up_round()], failures=failures)
    assert found == ("failed", "exit status 3; did not say READY")


def test_a_cell_without_any_round_fails_with_its_failure() -> None:
    assert verdict([], failures=("exit status 3",)) == ("failed", "exit status 3")


@pytest.mark.parametrize("workload", ["udp-echo", "tcp-short", "tcp-long", "chat"])
@pytest.mark.parametrize(
    ("error", "words"),
    [
        ("wrong_bytes", "3 wrong replies"),
        ("own_line", "3 lines that came back to their sender"),
        ("duplicate", "3 replies or lines that came twice"),
        ("reordered", "3 replies or lines out of order"),
    ],
)
def test_what_a_right_server_never_does_fails_the_cell(
    made_up_round: MakeRound, workload: str, error: str, words: str
) -> None:
    rounds = [made_up_round(errors={error: 1}), made_up_round(errors={error: 2})]
    assert verdict(rounds, workload=workload) == ("failed", words)


@pytest.mark.parametrize("workload", ["tcp-short", "tcp-long", "chat"])
def test_what_a_stream_lost_fails_the_cell(made_up_round: MakeRound, workload: str) -> None:
    found = verdict([made_up_round(errors={"lost": 2})], workload=workload)
    assert found == ("failed", "2 lost")


def test_lost_and_late_datagrams_are_told_and_no_fault(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(errors={"lost": 2, "late": 1}), made_up_round(errors={"lost": 3})]
    assert verdict(rounds, workload="udp-echo") == ("ok", "1 late; 5 lost")


def test_what_exactly_was_wrong_follows_for_the_first_three(made_up_round: MakeRound) -> None:
    rounds = [
        made_up_round(errors={"wrong_bytes": 3}, messages=["a", "b", "c"]),
        made_up_round(errors={"wrong_bytes": 1}, messages=["d"]),
    ]
    assert verdict(rounds) == ("failed", "4 wrong replies; a; b; c")


def test_no_operation_fails_the_cell_and_says_who_starved(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(0, counts={"served": 0, "starved": 4})]
    assert verdict(rounds) == (
        "failed",
        "4 starved; no operation was completed in the window",
    )


def test_a_round_without_an_operation_among_others_is_not_ok(made_up_round: MakeRound) -> None:
    found, reasons = verdict([made_up_round(1000), made_up_round(0), made_up_round(1000)])
    assert found != "ok"
    assert reasons


# Left out


def test_the_starved_are_told_with_what_it_means_for_the_model(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(counts={"served": 1, "starved": 3}, littles_law=1.0)]
    found = verdict(rounds, few="it serves one client at a time")
    assert found == ("ok", "3 starved: it serves one client at a time")


@pytest.mark.parametrize(
    ("name", "words"),
    [("refused", "2 refused"), ("reset", "2 reset"), ("timed_out", "2 timed out")],
)
def test_failed_connections_are_told(made_up_round: MakeRound, name: str, words: str) -> None:
    rounds = [made_up_round(), made_up_round(counts={"served": 2, name: 2})]
    assert verdict(rounds) == ("ok", words)


def test_errors_without_words_of_their_own_are_told_by_their_name(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(errors={"EHOSTUNREACH": 1, "eof": 2}), made_up_round(errors={"eof": 1})]
    assert verdict(rounds) == ("ok", "1 EHOSTUNREACH; 3 eof")


# Chat


@pytest.mark.parametrize(("connections", "served"), [(1, 1), (4, 1), (1, 0)])
def test_nobody_to_talk_to_is_no_failure(
    made_up_round: MakeRound, connections: int, served: int
) -> None:
    counts = {"attempted": connections, "served": served}
    rounds = [made_up_round(0, counts=counts, littles_law=None)]
    found, reasons = verdict(rounds, workload="chat", connections=connections)
    assert found == "ok"
    assert reasons == "alone in the room: nobody to deliver to"


def test_the_starved_before_a_door_are_told_instead(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(0, counts={"served": 1, "starved": 3}, littles_law=None)]
    found = verdict(rounds, workload="chat", few="it serves one client at a time")
    assert found == ("ok", "3 starved: it serves one client at a time")


def test_a_room_of_several_in_which_nothing_is_delivered_fails(made_up_round: MakeRound) -> None:
    found = verdict([made_up_round(0, littles_law=None)], workload="chat")
    assert found == ("failed", "no operation was completed in the window")


def test_nobody_let_into_a_room_for_several_is_told(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(0, counts={"served": 0, "starved": 4}, littles_law=None)]
    assert verdict(rounds, workload="chat")[1].startswith("4 starved")


# Noisy


@pytest.mark.parametrize("who", ["server", "driver"])
def test_waiting_for_a_cpu_that_something_else_had_is_noise(
    made_up_round: MakeRound, who: str
) -> None:
    rounds = [made_up_round(**{f"{who}_waited": waited}) for waited in (0.02, 0.12)]
    assert verdict(rounds) == (
        "noisy",
        f"the {who} waited 7% of the time for a CPU that something else used: "
        "stop other programs, then run again",
    )


def test_waiting_little_is_no_noise(made_up_round: MakeRound) -> None:
    assert verdict([made_up_round(server_waited=0.05, driver_waited=0.05)]) == ("ok", "")


def test_rounds_that_differ_widely_are_noise_and_the_remedy_is_named(
    made_up_round: MakeRound,
) -> None:
    found, reasons = verdict([made_up_round(rate) for rate in (1000, 1500, 700, 1200, 900)])
    assert found == "noisy"
    assert "the rounds differ by ±" in reasons
    assert "--rounds" in reasons
    assert "--duration" in reasons


def test_two_rounds_are_too_few_to_call_them_noisy(made_up_round: MakeRound) -> None:
    assert verdict([made_up_round(1000), made_up_round(1500)]) == ("ok", "")


def test_noise_does_not_hide_who_starved(made_up_round: MakeRound) -> None:
    counts = {"served": 1, "starved": 3}
    found, reasons = verdict([made_up_round(counts=counts, server_waited=0.5)])
    assert found == "noisy"
    assert reasons.startswith("3 starved; the server waited 50%")


def test_time_that_the_hypervisor_took_is_noise_and_named(made_up_round: MakeRound) -> None:
    assert verdict([made_up_round(stolen=stolen, server_waited=0.06) for stolen in (0.1, 0.2)]) == (
        "noisy",
        "the hypervisor gave 15% of the time to other machines: measure at another time, or on a "
        "machine of your own",
    )


def test_little_stolen_is_no_noise(made_up_round: MakeRound) -> None:
    assert verdict([made_up_round(stolen=0.05)]) == ("ok", "")


# Driver-bound


def test_busy_driver_before_an_idle_server_is_driver_bound(made_up_round: MakeRound) -> None:
    found, reasons = verdict([made_up_round(driver_busy=0.99, server_busy=0.4)])
    assert found == "driver-bound"
    assert reasons == (
        "the driver used 99% of its core, the server 40%: the server can do more than is "
        "shown; compare CPU/op"
    )


@pytest.mark.parametrize(("driver", "server"), [(0.99, 0.95), (0.85, 0.4), (0.5, 1.0)])
def test_busy_server_or_driver_with_room_to_spare_is_ok(
    made_up_round: MakeRound, driver: float, server: float
) -> None:
    assert verdict([made_up_round(driver_busy=driver, server_busy=server)]) == ("ok", "")


# Open loops


def test_driver_that_is_late_is_driver_bound(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace]
) -> None:
    paces = [made_up_pace(late_fraction=late, lateness_p99_us=late * 20_000) for late in (0.1, 0.3)]
    assert verdict([made_up_round(pace=pace) for pace in paces]) == (
        "driver-bound",
        "the driver sent 20% of the messages more than 0.1 ms late, 1 % of them by 6.0 ms and "
        "more: ask for a lower rate",
    )


def test_driver_that_never_sleeps_is_not_driver_bound(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace]
) -> None:
    """In an open loop it waits for what is due, all the time."""
    rounds = [made_up_round(pace=made_up_pace(), driver_busy=1.0, server_busy=0.1)]
    assert verdict(rounds) == ("ok", "")


def test_littles_law_is_not_held_against_an_open_loop(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace]
) -> None:
    assert verdict([made_up_round(pace=made_up_pace(), littles_law=0.1)]) == ("ok", "")


def test_rate_that_is_not_met_is_told_with_what_was(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace]
) -> None:
    rounds = [made_up_round(rate, pace=made_up_pace(5000.0)) for rate in (4000.0, 4200.0)]
    assert verdict(rounds) == (
        "rate-unmet",
        "4,100 of 5,000 operations due in a second were done: ask for a lower rate; without "
        "--rate a run shows what the model can do",
    )


@pytest.mark.parametrize("workload", ["udp-echo", "tcp-short", "tcp-long", "chat"])
@pytest.mark.parametrize("rate", [991.0, 1000.0, 1100.0])
def test_rate_that_is_nearly_met_is_ok(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace], rate: float, workload: str
) -> None:
    rounds = [made_up_round(rate, window_s=20.0, pace=made_up_pace(1000.0))]
    assert verdict(rounds, workload=workload) == ("ok", "")


def test_noise_excuses_a_rate_that_is_not_met(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace]
) -> None:
    rounds = [made_up_round(500.0, pace=made_up_pace(1000.0, late_fraction=0.9), stolen=0.4)]
    assert verdict(rounds)[0] == "noisy"


def test_window_in_which_nothing_was_due_is_no_failure(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace]
) -> None:
    rounds = [made_up_round(0, pace=made_up_pace(0.1, offered=0.0))]
    assert verdict(rounds)[0] != "failed"


# What is missing from the table


@pytest.mark.parametrize("open_loop", [False, True])
def test_percentile_that_lacks_operations_is_told_with_what_to_type(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace], open_loop: bool
) -> None:
    pace = made_up_pace(100.0) if open_loop else None
    assert verdict([made_up_round(100.0, window_s=5.0, pace=pace)]) == (
        "ok",
        "500 operations are too few for p99, which takes 1,000: --duration 11.0, or more --rounds",
    )


def test_only_the_lowest_percentile_that_is_missing_is_told(made_up_round: MakeRound) -> None:
    """It counts over all rounds, whose operations are taken together."""
    assert verdict([made_up_round(window_s=1.0)] * 5) == (
        "ok",
        "5,000 operations are too few for p99.9, which takes 10,000: --duration 2.2, or more "
        "--rounds",
    )
    assert verdict([made_up_round(window_s=2.0)] * 5) == ("ok", "")


def told_is_enough(make_round: MakeRound, operations: int, window_s: float, rounds: int) -> bool:
    rate = operations / window_s
    made = [make_round(rate, window_s=window_s, operations=operations)] * rounds
    _, reasons = verdict(made)
    if operations * rounds >= 10_000:
        return reasons == ""
    needed = 1000 if operations * rounds < 1000 else 10_000
    told = float(reasons.partition("--duration ")[2].partition(",")[0])
    return rate * told * rounds >= needed


@given(operations=st.integers(1, 9999), window_s=st.floats(0.5, 100), rounds=st.integers(1, 2))
def test_duration_that_is_told_is_long_enough(
    made_up_round: MakeRound, operations: int, window_s: float, rounds: int
) -> None:
    assert told_is_enough(made_up_round, operations, window_s, rounds)


def test_duration_that_is_told_is_long_enough_for_short_windows_too(
    made_up_round: MakeRound,
) -> None:
    assert told_is_enough(made_up_round, 786, 0.25, 1)


def test_rate_that_drifted_after_the_warm_up_is_told(made_up_round: MakeRound) -> None:
    def rounds(unsettled: int) -> list[Round]:
        return [made_up_round(settled=number >= unsettled, warmup_s=2.0) for number in range(5)]

    assert verdict(rounds(2)) == ("ok", "")
    found, reasons = verdict(rounds(3))
    assert found == "ok"
    assert reasons.startswith("after 2 s of warm-up the rate was still drifting")
    assert "--duration" in reasons


# Little's law


def test_throughput_times_latency_that_misses_the_connections_is_told(
    made_up_round: MakeRound,
) -> None:
    found, reasons = verdict([made_up_round(littles_law=3.0)])
    assert found == "ok"
    assert reasons == (
        "throughput x latency is 3.0 where 4 connections were served: some stood still for part "
        "of the time"
    )


@pytest.mark.parametrize("law", [3.85, 4.15])
def test_littles_law_holds_within_five_per_cent(made_up_round: MakeRound, law: float) -> None:
    assert verdict([made_up_round(littles_law=law)]) == ("ok", "")


@pytest.mark.parametrize("workload", ["chat", "tcp-short"])
def test_littles_law_is_not_held_against_what_is_no_closed_loop_of_connections(
    made_up_round: MakeRound, workload: str
) -> None:
    assert verdict([made_up_round(littles_law=1.0)], workload=workload) == ("ok", "")


# Which counts most


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"errors": {"wrong_bytes": 1}, "server_waited": 0.9, "driver_busy": 1.0}, "failed"),
        ({"operations": 0, "server_waited": 0.9}, "noisy"),  # it had no chance
        ({"operations": 0, "server_busy": 0.1}, "failed"),
        ({"operations": 0, "server_waited": 0.1}, "failed"),  # it had nine tenths of a chance
        ({"server_waited": 0.9, "driver_busy": 1.0, "server_busy": 0.1}, "noisy"),
    ],
)
def test_the_gravest_verdict_is_given(
    made_up_round: MakeRound, changes: dict[str, Any], expected: str
) -> None:
    assert verdict([made_up_round(**changes)])[0] == expected
