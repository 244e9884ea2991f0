"""The driver, as the runner starts it, against servers that do one thing wrong.

A planted server tells at its end how often it did it: the driver must have counted as many.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from compare.driver import histogram, tcp_long, tcp_short, udp_echo
from compare.driver.load import Load, Spec, describe_difference
from compare.driver.outcome import Outcome
from compare.host import process

Plant = Callable[..., Any]
Drive = Callable[..., Outcome]

TCP = ["tcp-long", "tcp-short"]
STREAMS = [*TCP, "chat"]
CORRECT = {
    "tcp-long": ("echo.py", "correct"),
    "tcp-short": ("echo.py", "correct"),
    "udp-echo": ("datagrams.py", "correct"),
    "chat": ("room.py", "correct"),
}
LONG_ENOUGH_S = 0.4  # for a few dozen messages on a busy machine


def operations_of(outcome: Outcome) -> int:
    total: int = histogram.merge([outcome.latency]).get_total_count()
    return total


# What is right


@pytest.mark.parametrize("workload", list(CORRECT))
def test_correct_server_serves_all_without_an_error(
    plant: Plant, drive: Drive, workload: str
) -> None:
    outcome = drive(plant(*CORRECT[workload]), workload, warmup=0.05)
    counts = outcome.counts
    assert outcome.errors == {}
    assert outcome.details == []
    assert outcome.operations > 0
    assert counts.attempted == counts.connected == counts.served >= 4
    assert (counts.starved, counts.refused, counts.reset, counts.timed_out) == (0, 0, 0, 0)


@pytest.mark.parametrize("workload", list(CORRECT))
def test_outcome_hangs_together(plant: Plant, drive: Drive, workload: str) -> None:
    server = plant(*CORRECT[workload])
    idle = process.count_descriptors(server.pid)
    outcome = drive(server, workload)
    assert outcome.window_ns >= 100_000_000
    assert operations_of(outcome) == outcome.operations
    assert 0 < outcome.latency_max_ns <= outcome.latency_sum_ns
    # In chat, for three others; what was under way when the window began took longer.
    most = outcome.window_ns + outcome.latency_max_ns
    assert outcome.latency_sum_ns <= 4 * 3 * most
    assert outcome.server is not None
    assert outcome.server.cpu_ns > 0
    assert outcome.driver.cpu_ns > 0
    assert outcome.server.elapsed_ns >= outcome.window_ns
    assert outcome.metered >= outcome.operations
    assert outcome.sizes.process.rss_kb >= outcome.sizes.pss_kb > 1000
    assert outcome.pace is None
    buffered, time_wait = outcome.sizes.buffered_kb, outcome.sizes.time_wait
    assert (buffered is None) == (workload in ("udp-echo", "tcp-short"))
    assert (time_wait is None) == (workload != "tcp-short")
    if workload == "tcp-long":
        assert outcome.peak_descriptors == idle + 4
        assert histogram.merge([outcome.connect]).get_total_count() == 4


@pytest.mark.parametrize("workload", TCP)
def test_every_message_that_the_server_received_is_accounted_for(
    plant: Plant, drive: Drive, workload: str
) -> None:
    """In the window, or one for each connection on its way when it ended."""
    server = plant("echo.py", "flipped", 100, 1_000_000_000)
    outcome = drive(server, workload)
    assert 0 <= server.report()["received"] - outcome.operations <= 4


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


def test_more_connections_than_are_opened_at_once_are_all_opened(
    plant: Plant, drive: Drive
) -> None:
    outcome = drive(plant("echo.py", "correct"), "tcp-long", connections=400, window=0.3)
    counts = outcome.counts
    assert (counts.attempted, counts.connected) == (400, 400)
    assert outcome.errors == {}


# Who closes


# Of another port's sockets, which are told by the number alone, and of those not closed yet.
A_FEW = 10


@pytest.mark.parametrize(
    "argv",
    [
        ("blocking", "serve", "echo", "--model", "epoll", "--close-after", "100"),
        ("aionet", "serve", "echo", "--loop", "asyncio", "--close-after", "100"),
    ],
    ids=["epoll", "asyncio"],
)
def test_server_that_closes_first_keeps_time_wait(
    serve: Plant, drive: Drive, argv: tuple[str, ...]
) -> None:
    outcome = drive(serve(*argv), "tcp-short", close="server")
    served, time_wait = outcome.counts.served, outcome.sizes.time_wait
    assert served == outcome.counts.attempted > 0
    assert time_wait is not None
    assert time_wait.server == pytest.approx(served, abs=A_FEW)
    assert time_wait.client <= A_FEW
    assert outcome.errors == {}


@pytest.mark.parametrize("close", ["client", "reset"])
def test_client_that_closes_first_keeps_time_wait_unless_it_resets(
    plant: Plant, drive: Drive, close: str
) -> None:
    outcome = drive(plant("echo.py", "correct"), "tcp-short", close=close)
    served, time_wait = outcome.counts.served, outcome.sizes.time_wait
    assert served == outcome.counts.attempted > 0
    assert time_wait is not None
    assert time_wait.server <= A_FEW
    assert time_wait.client == pytest.approx(served if close == "client" else 0, abs=A_FEW)
    assert outcome.errors == {}
    assert outcome.counts.reset == 0


# What comes back is not what was sent


@pytest.mark.parametrize("fault", ["flipped", "extra", "stale", "doubled"])
def test_wrong_reply_on_an_open_connection_is_counted_and_ends_it(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("echo.py", fault, 100, 5)
    outcome = drive(server, "tcp-long", window=LONG_ENOUGH_S)
    assert outcome.errors == {"wrong_bytes": 4}
    assert server.report()["faults"] == 4
    assert len(outcome.details) == 3
    assert outcome.counts.reset == 0


@pytest.mark.parametrize("fault", ["flipped", "extra", "doubled"])
def test_wrong_reply_on_a_short_connection_is_counted(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("echo.py", fault, 100, 5)
    outcome = drive(server, "tcp-short", window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.errors == {"wrong_bytes": report["faults"]}
    assert outcome.counts.served == report["received"] - report["faults"] > 0
    assert outcome.counts.attempted == report["received"]


@pytest.mark.parametrize("workload", TCP)
def test_reply_of_another_connection_is_wrong(plant: Plant, drive: Drive, workload: str) -> None:
    server = plant("echo.py", "crossed", 100, 5)
    outcome = drive(server, workload, window=LONG_ENOUGH_S)
    assert set(outcome.errors) == {"wrong_bytes"}
    assert 1 <= outcome.errors["wrong_bytes"] <= server.report()["faults"]


def test_wrong_reply_of_many_pieces_is_wrong(plant: Plant, drive: Drive) -> None:
    server = plant("echo.py", "flipped", 2**20, 3)
    outcome = drive(server, "tcp-long", size=2**20, connections=1, window=LONG_ENOUGH_S)
    assert outcome.errors == {"wrong_bytes": 1}
    assert server.report()["faults"] == 1


def test_server_that_speaks_first_is_wrong(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("echo.py", "greets"), "tcp-long")
    assert outcome.errors == {"wrong_bytes": 4}
    assert outcome.operations == 0


def test_what_was_wrong_is_told_in_a_few_words(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("echo.py", "flipped"), "tcp-long", connections=1)
    assert outcome.details[0].startswith("sent 100 bytes, got 100; at byte 99 expected b'")
    assert outcome.operations == 0


# The connection ends


@pytest.mark.parametrize("fault", ["cut", "eof"])
def test_connections_that_the_server_ends_are_counted(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("echo.py", fault, 100, 5)
    outcome = drive(server, "tcp-long", window=LONG_ENOUGH_S)
    assert outcome.errors == {"eof": 4}
    assert server.report()["faults"] == 4
    assert outcome.counts.starved == outcome.counts.timed_out == 0


@pytest.mark.parametrize("fault", ["cut", "eof"])
def test_short_connections_that_the_server_ends_are_counted(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("echo.py", fault, 100, 5)
    outcome = drive(server, "tcp-short", window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.errors == {"eof": report["faults"]}
    assert outcome.counts.served == report["received"] - report["faults"] > 0


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


def test_connection_closed_while_others_are_opened_is_counted(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("echo.py", "slams"), "tcp-long", connections=400)
    counts = outcome.counts
    assert counts.connected == 400
    # Some may still be queued, or have been sent to and not closed yet, when the window ends.
    assert outcome.errors.get("eof", 0) + counts.reset + counts.starved == 400
    assert counts.starved < 400


def test_reset_of_a_large_message_under_way_is_counted(plant: Plant, drive: Drive) -> None:
    """The rest of a message that was cut off must not turn up on the next connection."""
    outcome = drive(
        plant("echo.py", "slams"), "tcp-short", size=8 * 2**20, connections=2, window=0.1
    )
    assert set(outcome.errors) <= {"eof"}
    assert outcome.counts.reset + outcome.errors.get("eof", 0) == outcome.counts.attempted


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


def test_server_that_does_not_read_a_large_message_starves_its_sender(
    plant: Plant, drive: Drive
) -> None:
    outcome = drive(plant("echo.py", "silent"), "tcp-long", size=8 * 2**20, connections=1)
    assert (outcome.counts.connected, outcome.counts.starved) == (1, 1)


def test_one_at_a_time_serves_one_and_starves_the_rest(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("echo.py", "one-at-a-time"), "tcp-long")
    counts = outcome.counts
    assert (counts.attempted, counts.connected, counts.served, counts.starved) == (4, 4, 1, 3)
    assert outcome.operations > 0
    assert outcome.errors == {}


def test_one_at_a_time_serves_short_connections_one_after_the_other(
    plant: Plant, drive: Drive
) -> None:
    outcome = drive(plant("echo.py", "one-at-a-time"), "tcp-short")
    assert outcome.counts.served == outcome.counts.attempted > 4
    assert outcome.errors == {}


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
    assert outcome.operations > 0
    assert counts.reset + outcome.errors.get("eof", 0) + counts.refused >= 4


# Datagrams


def accounted_for(outcome: Outcome, report: dict[str, int], connections: int = 4) -> bool:
    """Every datagram was answered in time, or lost, or late; some after the window."""
    errors = outcome.errors
    settled = outcome.operations + errors.get("lost", 0) + errors.get("late", 0)
    return 0 <= report["received"] - settled <= connections


def test_lost_datagrams_are_counted_and_stop_nobody(plant: Plant, drive: Drive) -> None:
    server = plant("datagrams.py", "lost", 20)
    outcome = drive(server, "udp-echo", window=0.5)
    report = server.report()
    assert outcome.errors["lost"] == report["faults"]
    # Its turn comes again after every loss: more than the first one for each client.
    assert report["faults"] > 4
    assert accounted_for(outcome, report)
    assert outcome.counts.served == 4
    assert "wrong_bytes" not in outcome.errors
    assert "duplicate" not in outcome.errors


def test_duplicate_datagrams_are_counted(plant: Plant, drive: Drive) -> None:
    server = plant("datagrams.py", "duplicate", 7)
    outcome = drive(server, "udp-echo")
    report = server.report()
    # The second copy of the last reply may come when nobody is there any more.
    assert report["faults"] - 4 <= outcome.errors["duplicate"] <= report["faults"]
    assert outcome.errors["duplicate"] > 4
    assert accounted_for(outcome, report)
    assert "wrong_bytes" not in outcome.errors


@pytest.mark.parametrize("fault", ["late", "overtaken"])
def test_late_datagrams_are_counted_as_late_and_not_as_lost(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("datagrams.py", fault, 20)
    outcome = drive(server, "udp-echo", window=0.5)
    report = server.report()
    assert outcome.errors["late"] >= report["released"] > 0
    assert outcome.errors.get("lost", 0) == report["faults"] - report["released"]
    assert accounted_for(outcome, report)
    if fault == "overtaken":
        assert outcome.errors["reordered"] >= report["released"]
    assert "wrong_bytes" not in outcome.errors
    assert "duplicate" not in outcome.errors


@pytest.mark.parametrize(
    "fault", ["corrupt_number", "corrupt_time", "corrupt_filler", "cut", "extra", "empty"]
)
def test_corrupt_datagrams_are_wrong_and_their_right_replies_lost(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("datagrams.py", fault, 20)
    outcome = drive(server, "udp-echo", window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.errors.get("wrong_bytes", 0) == report["faults"] >= 4
    assert outcome.errors["lost"] == report["faults"]
    assert "duplicate" not in outcome.errors
    assert accounted_for(outcome, report)
    assert outcome.details


def test_silent_udp_server_starves_everybody_and_stalls_nobody(plant: Plant, drive: Drive) -> None:
    server = plant("datagrams.py", "lost", 1)
    outcome = drive(server, "udp-echo", window=LONG_ENOUGH_S)
    counts = outcome.counts
    assert (counts.attempted, counts.served, counts.starved) == (4, 0, 4)
    assert outcome.errors == {"lost": server.report()["received"]}
    assert outcome.errors["lost"] >= 8
    assert outcome.operations == 0


@pytest.mark.parametrize("size", [16, 65507])
def test_smallest_and_largest_datagram_come_back(plant: Plant, drive: Drive, size: int) -> None:
    outcome = drive(plant("datagrams.py", "correct"), "udp-echo", size=size, connections=1)
    assert outcome.operations > 0
    assert set(outcome.errors) <= {"late"}
    assert outcome.counts.served == 1


# Chat


def faults_of(outcome: Outcome) -> dict[str, int]:
    return {name: count for name, count in outcome.errors.items() if count}


@pytest.mark.parametrize("members", [2, 3, 5])
def test_correct_room_of_any_size_has_no_fault(plant: Plant, drive: Drive, members: int) -> None:
    outcome = drive(plant("room.py", "correct"), "chat", connections=members)
    assert faults_of(outcome) == {}
    assert outcome.counts.served == members
    assert outcome.operations > 0


def test_one_alone_in_a_room_talks_to_nobody(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("room.py", "correct"), "chat", connections=1)
    assert outcome.counts.served == 1
    assert outcome.operations == 0
    assert faults_of(outcome) == {}


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("loses", "lost"),
        ("duplicates", "duplicate"),
        ("reorders", "reordered"),
        ("comes-back", "own_line"),
    ],
)
def test_faults_of_a_room_are_counted_exactly(
    plant: Plant, drive: Drive, fault: str, error: str
) -> None:
    server = plant("room.py", fault, 5, 3)
    outcome = drive(server, "chat", connections=5, window=LONG_ENOUGH_S)
    assert server.report()["faults"] == 3
    assert faults_of(outcome) == {error: 3}
    assert outcome.counts.served == 5


def test_garbled_line_is_wrong_and_its_right_form_lost(plant: Plant, drive: Drive) -> None:
    server = plant("room.py", "garbles", 5, 3)
    outcome = drive(server, "chat", connections=5, window=LONG_ENOUGH_S)
    assert server.report()["faults"] == 3
    assert faults_of(outcome) == {"wrong_bytes": 3, "lost": 3}
    assert outcome.details


def test_member_that_is_thrown_out_is_counted_and_the_others_go_on(
    plant: Plant, drive: Drive
) -> None:
    server = plant("room.py", "leaves", 8)
    outcome = drive(server, "chat", connections=5, window=LONG_ENOUGH_S)
    report = server.report()
    assert outcome.counts.served == 5
    assert outcome.errors.get("eof", 0) + outcome.counts.reset == 1
    assert set(faults_of(outcome)) <= {"eof", "lost"}
    # What it was to hear from each of the others, and what each of them was to hear from it.
    assert outcome.errors.get("lost", 0) <= 4 + 4
    assert report["lines"] > 20


def test_members_thrown_out_one_after_the_other_do_no_harm(plant: Plant, drive: Drive) -> None:
    """One that is gone may come to be read from in the batch in which it was found gone."""
    server = plant("room.py", "resets", 7, 12)
    outcome = drive(server, "chat", connections=16, window=LONG_ENOUGH_S)
    assert server.report()["faults"] == 12
    assert outcome.errors.get("eof", 0) + outcome.counts.reset == 12
    assert set(faults_of(outcome)) <= {"eof", "lost"}


def test_member_let_in_late_did_not_lose_what_was_said_before(plant: Plant, drive: Drive) -> None:
    server = plant("room.py", "third-waits", 20)
    outcome = drive(server, "chat", connections=3, window=LONG_ENOUGH_S)
    assert server.report()["faults"] == 1
    assert outcome.counts.served == 3
    assert faults_of(outcome) == {}


def test_room_that_greets_nobody_starves_all(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("room.py", "silent"), "chat")
    counts = outcome.counts
    assert (counts.connected, counts.served, counts.starved) == (4, 0, 4)
    assert outcome.operations == 0


def test_room_that_refuses_every_name_is_wrong(plant: Plant, drive: Drive) -> None:
    server = plant("room.py", "refuses-names")
    outcome = drive(server, "chat")
    assert server.report()["faults"] == 4
    assert faults_of(outcome) == {"wrong_bytes": 4}
    assert "that name will" in outcome.details[0]
    assert (outcome.counts.served, outcome.counts.starved) == (0, 0)


# Inside


@pytest.fixture
def load(made_up_spec: Callable[..., Spec]) -> Iterator[Load]:
    """What the connections share, in this process, where nothing runs by itself."""
    load = Load(made_up_spec())
    yield load
    load.epoll.close()


Pairs = Callable[[], tuple[socket.socket, socket.socket]]


def test_end_of_a_connection_before_it_was_used_is_counted(load: Load, pairs: Pairs) -> None:
    ours, theirs = pairs()
    conversation = tcp_long.Conversation(load, (b"0123456789", b"0123456789"))
    conversation.attach(ours)
    theirs.close()
    conversation.on_ready()
    assert load.errors == {"eof": 1}
    assert load.handlers == {}


def test_word_on_a_connection_before_it_was_used_is_wrong(load: Load, pairs: Pairs) -> None:
    ours, theirs = pairs()
    conversation = tcp_long.Conversation(load, (b"0123456789", b"0123456789"))
    conversation.attach(ours)
    theirs.send(b"welcome")
    conversation.on_ready()
    assert load.errors == {"wrong_bytes": 1}


def test_reply_that_comes_twice_at_the_end_is_wrong(load: Load, pairs: Pairs) -> None:
    ours, theirs = pairs()
    conversation = tcp_long.Conversation(load, (b"0123456789", b"0123456789"))
    conversation.attach(ours)
    conversation.send_next(0)
    theirs.send(theirs.recv(10))
    load.handlers[ours.fileno()]()
    theirs.send(theirs.recv(10))
    load.sending = False
    load.handlers[ours.fileno()]()
    assert len(load.samples) == 2
    theirs.send(b"0123456789")
    load.handlers[ours.fileno()]()
    assert len(load.samples) == 2
    assert load.errors == {"wrong_bytes": 1}


def test_connection_closed_by_another_ones_event_is_passed_over(load: Load, pairs: Pairs) -> None:
    """One handler may end another connection whose event is in the same batch."""
    seen = []
    socks = []

    def end_the_other(mine: int) -> None:
        seen.append(mine)
        other = socks[1 - mine]
        del load.handlers[other.fileno()]
        other.close()

    for index in range(2):
        ours, theirs = pairs()
        socks.append(ours)
        theirs.send(b"x")
        load.watch(ours.fileno(), lambda index=index: end_the_other(index))  # type: ignore[misc]
    load.run(1.0, lambda now: None, done=lambda: bool(seen))
    assert len(seen) == 1


def test_rest_of_a_message_is_forgotten_with_its_connection(
    load: Load, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load.address = listener.getsockname()
        message = b"0123456789"
        place = tcp_short.ShortConversation(load, (message, message), iter([None] * 2))
        place.open()
        place.unsent = memoryview(message)[5:]  # as if the kernel had been full
        place.fail(ConnectionResetError())
        place.open()
        first, _ = listener.accept()
        first.close()
        second, _ = listener.accept()
        with second:
            place.on_ready()  # nothing has come yet
            place.sock.shutdown(socket.SHUT_WR)
            second.settimeout(10)
            assert second.recv(100) == message
            assert second.recv(100) == b""
        place.close()


@pytest.mark.parametrize(("last", "wrong"), [(b"", 0), (b"more", 1)])
def test_server_that_is_to_close_may_say_nothing_more(load: Load, last: bytes, wrong: int) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        load.address = listener.getsockname()
        load.spec = msgspec.structs.replace(load.spec, close="server")
        message = b"0123456789"
        place = tcp_short.ShortConversation(load, (message, message), iter([None]))
        place.open()
        load.sending = False
        conn, _ = listener.accept()
        with conn:
            conn.send(conn.recv(10))
            load.run(10.0, lambda now: None, done=lambda: bool(load.samples))
            assert place.waiting
            conn.send(last)
        load.run(10.0, lambda now: None, done=lambda: not place.waiting)
        assert load.errors["wrong_bytes"] == wrong
        assert load.counts.served == 1
        assert load.handlers == {}


def test_datagram_that_has_come_is_not_given_up_for_being_read_late(load: Load) -> None:
    """The driver itself may have waited for a CPU in the meantime."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        load.address = server.getsockname()
        load.spec = msgspec.structs.replace(load.spec, workload="udp-echo", size=16)
        workload = udp_echo.Workload(load)
        workload.connect()
        workload.begin()
        server.sendto(*server.recvfrom(100))
        load.sending = False
        (client,) = workload._clients
        client.started -= 2 * udp_echo.LOSS_NS
        load.run(1.0, workload.tick, done=lambda: not workload.unanswered())
        assert load.errors == {}
        assert len(load.samples) == 1
        client.sock.close()


def test_datagram_answered_after_the_window_is_late_and_not_lost(load: Load) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        load.address = server.getsockname()
        load.spec = msgspec.structs.replace(load.spec, workload="udp-echo", size=16)
        workload = udp_echo.Workload(load)
        workload.connect()
        workload.begin()
        datagram, sender = server.recvfrom(100)
        load.sending = False
        (client,) = workload._clients

        def answer_once_given_up(now: int) -> None:
            workload.tick(now)
            if load.errors["lost"]:
                server.sendto(datagram, sender)

        client.started -= 2 * udp_echo.LOSS_NS
        load.run(1.0, answer_once_given_up, done=lambda: not workload.unanswered())
        assert +load.errors == {"late": 1}
        client.sock.close()


@pytest.mark.parametrize(
    ("expected", "actual", "words"),
    [
        (b"abc", b"abd", "sent 3 bytes, got 3; at byte 2 expected b'c', got b'd'"),
        (b"abc", b"ab", "sent 3 bytes, got 2; at byte 2 expected b'c', got b''"),
        (b"abc", b"abcd", "sent 3 bytes, got 4; at byte 3 expected b'', got b'd'"),
        (b"", b"x", "sent 0 bytes, got 1; at byte 0 expected b'', got b'x'"),
    ],
)
def test_difference_is_told_where_it_begins(expected: bytes, actual: bytes, words: str) -> None:
    assert describe_difference(expected, actual) == words
