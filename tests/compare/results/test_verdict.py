"""Verdicts and their reasons, from made-up rounds of closed loops, and of any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdicts import verdict

from compare.contract.loss import Loss
from compare.results.records import Pace, Percentiles, Round, Verdict

MakeRound = Callable[..., Round]


def test_quiet_rounds_with_right_replies_are_ok_without_a_word(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(rate) for rate in (1000, 1010, 990, 1005, 995)]
    assert verdict(rounds) == ("ok", "")


def test_rounds_that_differ_widely_are_ok_too(made_up_round: MakeRound) -> None:
    """Their interval is wide, which says it."""
    assert verdict([made_up_round(rate) for rate in (1000, 1500, 700, 1200, 900)]) == ("ok", "")


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


def test_a_round_without_an_operation_among_others_is_a_failure(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(1000), made_up_round(0), made_up_round(1000)]
    assert verdict(rounds) == ("failed", "no operation was completed in 1 of the rounds")


# Errors


def most_served(**unserved: int) -> dict[str, int]:
    """A thousand connections."""
    return {"attempted": 1000, "connected": 1000, "served": 1000 - sum(unserved.values())}


@pytest.mark.parametrize("name", ["refused", "reset", "timed_out", "starved"])
def test_who_is_not_served_is_told_and_more_than_one_in_a_hundred_are_errors(
    made_up_round: MakeRound, name: str
) -> None:
    def rounds(count: int) -> list[Round]:
        counts = most_served(**{name: count}) | {name: count}
        return [made_up_round(counts=most_served()), made_up_round(counts=counts)]

    words = name.replace("_", " ")
    assert verdict(rounds(20), connections=1000) == ("ok", f"20 {words}")
    assert verdict(rounds(24), connections=1000) == (
        "errors",
        f"1.2% of the connections failed: it is not ranked; 24 {words}",
    )


def test_errors_are_told_by_their_name_and_count_as_connections_that_failed(
    made_up_round: MakeRound,
) -> None:
    errors = [{"EHOSTUNREACH": 1, "eof": 12}, {"eof": 9}]
    rounds = [made_up_round(errors=each, counts=most_served()) for each in errors]
    assert verdict(rounds) == (
        "errors",
        "1.1% of the connections failed: it is not ranked; 1 EHOSTUNREACH; 21 eof",
    )
    rounds = [made_up_round(errors={"eof": 7}, counts=most_served())] * 2
    assert verdict(rounds) == ("ok", "14 eof")


def test_of_datagrams_more_than_one_in_a_hundred_lost_or_late_are_errors(
    made_up_round: MakeRound,
) -> None:
    def rounds(lost: int, late: int) -> list[Round]:
        return [made_up_round(operations=100_000, errors={"lost": lost, "late": late})]

    assert verdict(rounds(600, 400), workload="udp-echo")[0] == "ok"
    assert verdict(rounds(600, 500), workload="udp-echo") == (
        "errors",
        "1.1% of the datagrams were lost or late: it is not ranked; 500 late; 600 lost",
    )


def test_the_starved_are_told_with_what_it_means_for_the_model(made_up_round: MakeRound) -> None:
    rounds = [made_up_round(counts={"served": 1, "starved": 3}, littles_law=1.0)]
    found = verdict(rounds, few="it serves one client at a time")
    assert found == ("ok", "3 starved: it serves one client at a time")


def test_whose_nature_it_is_to_starve_has_errors_all_the_same(made_up_round: MakeRound) -> None:
    counts = {"served": 1, "starved": 2, "reset": 1}
    found, _ = verdict([made_up_round(counts=counts)], few="it serves one client at a time")
    assert found == "errors"


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


# What is missing from the table


@pytest.mark.parametrize("open_loop", [False, True])
def test_percentile_that_lacks_operations_is_told_with_what_to_type(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace], open_loop: bool
) -> None:
    pace = made_up_pace(100.0) if open_loop else None
    latency = {"latency_us": Percentiles(p50=1.0, p90=2.0, max=900.0)}
    assert verdict([made_up_round(100.0, window_s=5.0, pace=pace, **latency)]) == (
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


def test_warm_up_of_less_than_a_second_is_told_as_it_was(made_up_round: MakeRound) -> None:
    _, reasons = verdict([made_up_round(settled=False, warmup_s=0.5012) for _ in range(5)])
    assert reasons.startswith("after 0.5 s of warm-up ")
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
        ({"errors": {"wrong_bytes": 1}, "throttled": 0.9, "driver_busy": 1.0}, "failed"),
        ({"operations": 0, "throttled": 0.9}, "failed"),
        (
            {"errors": {"eof": 1}, "throttled": 0.9, "driver_busy": 1.0, "server_busy": 0.1},
            "errors, throttled, driver-bound",
        ),
    ],
)
def test_all_verdicts_are_given_but_of_a_failure_it_alone(
    made_up_round: MakeRound, changes: dict[str, Any], expected: str
) -> None:
    assert verdict([made_up_round(**changes)])[0] == expected


@pytest.mark.parametrize("open_loop", [False, True])
def test_gravest_verdict_is_the_first(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace], open_loop: bool
) -> None:
    pace = made_up_pace(9000.0, late_fraction=0.9) if open_loop else None
    worst = made_up_round(errors={"eof": 1}, throttled=0.9, driver_busy=1.0, pace=pace)
    found = verdict([worst])[0].split(", ")
    assert len(found) >= 3
    assert found == sorted(found, key=get_args(Verdict).index)


def test_datagrams_that_were_lost_are_counted_of_all_that_were_sent(
    made_up_round: MakeRound,
) -> None:
    """Those of the warm-up are lost, too, and are no part of what was done in the window."""
    tenth = [made_up_round(operations=900, errors={"lost": 150}, sent=1500)] * 2
    found, reasons = verdict(tenth, workload="udp-echo")
    assert found == "errors"
    assert reasons.startswith("10.0% of the datagrams were lost or late: it is not ranked")
    assert "300 lost of 3,000 datagrams sent, warm-up included" in reasons
    assert "sent" not in verdict([made_up_round(errors={"eof": 1}, sent=0)])[1]


def test_lower_rate_is_no_remedy_for_datagrams_that_are_lost(
    made_up_round: MakeRound, made_up_pace: Callable[..., Pace]
) -> None:
    def paced(done: int, lost: int) -> str:
        loss = Loss(due=10_000, lost=lost, server_buffer=0, driver_buffer=0, unsent=0)
        rounds = [
            made_up_round(
                operations=done,
                window_s=10.0,
                pace=made_up_pace(1000.0, loss=loss),
                errors={"lost": lost},
                sent=10_000,
            )
        ]
        return "; ".join(verdict(rounds, workload="udp-echo"))

    assert "ask for a lower rate" not in paced(9000, 1000)
    assert "10.0% of the datagrams were lost" in paced(9000, 1000)
    assert "10.0% of the datagrams due were lost: 10.0% were never answered" in paced(9000, 1000)
    assert "800 of 1,000 operations due in a second were done: ask for a lower" in paced(8000, 1000)
