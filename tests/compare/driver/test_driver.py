"""The driver, as the runner starts it, against servers that do one thing wrong.

A planted server tells at its end how often it did it: the driver must have counted as many.
"""

from __future__ import annotations

import pytest
from planted_servers import CORRECT, LONG_ENOUGH_S, Drive, Plant, late_of

from compare.contract import histogram
from compare.contract.outcome import Outcome
from compare.host import process

TCP = ["tcp-long", "tcp-short"]
STREAMS = [*TCP, "chat"]


def operations_of(outcome: Outcome) -> int:
    total: int = histogram.merge([outcome.latency]).get_total_count()
    return total


# What is right


@pytest.mark.parametrize("workload", list(CORRECT))
def test_correct_server_serves_all_without_an_error_and_its_outcome_hangs_together(
    plant: Plant, drive: Drive, workload: str
) -> None:
    server = plant(*CORRECT[workload])
    idle = process.count_sockets(server.pid)
    outcome = drive(server, workload, warmup=0.05)
    counts = outcome.counts
    assert late_of(outcome, workload) < outcome.operations
    assert outcome.details == []
    assert outcome.operations > 0
    assert counts.attempted == counts.connected == counts.served >= 4
    assert (counts.starved, counts.refused, counts.reset, counts.timed_out) == (0, 0, 0, 0)
    assert outcome.window_ns >= 100_000_000
    # What began in the window and what was completed in it differ by what was under way.
    assert operations_of(outcome) == pytest.approx(outcome.operations, abs=64)
    assert 0 < outcome.latency_max_ns <= outcome.latency_sum_ns
    # In chat, for three others; what was under way when the window began took longer.
    most = outcome.window_ns + outcome.latency_max_ns
    assert outcome.latency_sum_ns <= 4 * 3 * most
    assert outcome.server is not None
    assert outcome.server.cpu_ns > 0
    assert outcome.driver_cpu_ns > 0
    assert outcome.server.elapsed_ns >= outcome.window_ns
    (turn,) = outcome.slices
    assert turn.operations == outcome.operations <= turn.turn_operations
    assert turn.window_ns == outcome.window_ns <= turn.turn_ns == outcome.server.elapsed_ns
    assert turn.cpu_ns == outcome.server.cpu_ns
    assert outcome.pace is outcome.gave_up is None
    sizes = outcome.sizes
    assert sizes is not None
    assert sizes.rss_kb >= sizes.pss_kb > 1000
    assert (sizes.buffered_kb is None) == (workload in ("udp-echo", "tcp-short"))
    assert (sizes.time_wait is None) == (workload != "tcp-short")
    assert (sizes.dropped is None) == (workload != "udp-echo")
    if workload == "tcp-long":
        assert outcome.peak_descriptors == idle + 4
        assert histogram.merge([outcome.connect]).get_total_count() == 4


@pytest.mark.parametrize("workload", TCP)
def test_every_message_that_the_server_received_is_accounted_for(
    plant: Plant, drive: Drive, workload: str
) -> None:
    """In a turn, or as the first of each connection, by which it was warmed up."""
    server = plant("echo.py", "flipped", 100, 1_000_000_000)
    outcome = drive(server, workload)
    (turn,) = outcome.slices
    assert server.report()["received"] == turn.turn_operations + 4


@pytest.mark.parametrize("workload", TCP)
@pytest.mark.parametrize(
    ("fault", "size"), [("pieces", 1), ("pieces", 1000), ("pieces", 2**20), ("correct", 2**20)]
)
def test_right_reply_may_come_in_pieces(
    plant: Plant, drive: Drive, workload: str, fault: str, size: int
) -> None:
    window = LONG_ENOUGH_S if size > 1000 else 0.2
    outcome = drive(
        plant("echo.py", fault, size), workload, size=size, connections=2, window=window
    )
    assert outcome.errors == {}
    assert outcome.operations > 0
    assert outcome.counts.starved == outcome.counts.timed_out == 0


# What comes back is not what was sent


@pytest.mark.parametrize("workload", TCP)
def test_reply_of_another_connection_is_wrong(plant: Plant, drive: Drive, workload: str) -> None:
    server = plant("echo.py", "crossed", 100, 5)
    outcome = drive(server, workload, window=LONG_ENOUGH_S)
    assert set(outcome.errors) == {"wrong_bytes"}
    assert 1 <= outcome.errors["wrong_bytes"] <= server.report()["faults"]


# The connection ends


@pytest.mark.parametrize("workload", TCP)
def test_resets_are_counted(plant: Plant, drive: Drive, workload: str) -> None:
    server = plant("echo.py", "reset", 100, 5)
    outcome = drive(server, workload, window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.errors == {}
    assert outcome.counts.reset == report["faults"] >= 1
    assert outcome.counts.starved == outcome.counts.timed_out == 0
    if workload == "tcp-long":
        assert report["faults"] == 4
    else:
        assert outcome.counts.served == report["received"] - report["faults"] > 0


@pytest.mark.parametrize("workload", TCP)
def test_connection_closed_before_a_word_is_no_success(
    plant: Plant, drive: Drive, workload: str
) -> None:
    outcome = drive(plant("echo.py", "slams"), workload)
    counts = outcome.counts
    assert outcome.operations == counts.served == counts.starved == 0
    ended = outcome.errors.get("eof", 0) + counts.reset
    assert ended == counts.connected >= 4


# No answer


@pytest.mark.parametrize(
    ("workload", "fault"),
    [("tcp-long", "silent"), ("tcp-long", "accepts-nobody"), ("tcp-short", "accepts-nobody")],
)
def test_connections_that_are_never_answered_have_starved(
    plant: Plant, drive: Drive, workload: str, fault: str
) -> None:
    outcome = drive(plant("echo.py", fault), workload)
    counts = outcome.counts
    assert (counts.connected, counts.served, counts.starved) == (4, 0, 4)
    assert (counts.reset, counts.timed_out, counts.refused) == (0, 0, 0)
    assert outcome.errors == {}
    assert outcome.operations == outcome.latency_max_ns == 0


@pytest.mark.parametrize("workload", [*STREAMS, "udp-echo"])
def test_refused_connections_are_counted_as_nothing_else(
    plant: Plant, drive: Drive, workload: str
) -> None:
    script = "datagrams.py" if workload == "udp-echo" else "echo.py"
    outcome = drive(plant(script, "refuses"), workload)
    counts = outcome.counts
    assert counts.refused >= 4
    assert counts.refused == counts.attempted
    assert (counts.served, counts.starved, counts.reset, counts.timed_out) == (0, 0, 0, 0)
    assert outcome.errors == {}
    assert outcome.operations == 0


@pytest.mark.parametrize(
    ("workload", "server"),
    [
        ("tcp-long", ("echo.py", "dies", 100, 20)),
        ("tcp-short", ("echo.py", "dies", 100, 20)),
        ("chat", ("room.py", "dies", 20)),
    ],
)
def test_server_that_dies_is_survived(
    plant: Plant, drive: Drive, workload: str, server: tuple[object, ...]
) -> None:
    outcome = drive(plant(*server), workload)
    counts = outcome.counts
    (turn,) = outcome.slices
    assert turn.turn_operations > 0
    assert counts.reset + outcome.errors.get("eof", 0) + counts.refused >= 4
