"""tcp-long against servers that do one thing wrong, as the driver is started and from inside."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from machine import needs_descriptors
from planted_servers import LONG_ENOUGH_S, Drive, Plant

from compare.driver import tcp_long
from compare.driver.load import Load

Pairs = Callable[[], tuple[socket.socket, socket.socket]]


@needs_descriptors(500)
def test_more_connections_than_are_opened_at_once_are_all_opened(
    plant: Plant, drive: Drive
) -> None:
    outcome = drive(plant("echo.py", "correct"), "tcp-long", connections=400, window=0.3)
    counts = outcome.counts
    assert (counts.attempted, counts.connected) == (400, 400)
    assert outcome.errors == {}


# What comes back is not what was sent


@pytest.mark.parametrize("fault", ["flipped", "stale"])
def test_wrong_reply_on_an_open_connection_is_counted_and_ends_it(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("echo.py", fault, 100, 5)
    outcome = drive(server, "tcp-long", window=LONG_ENOUGH_S)
    assert outcome.errors == {"wrong_bytes": 4}
    assert server.report()["faults"] == 4
    assert len(outcome.details) == 3
    assert outcome.counts.reset == 0


@pytest.mark.parametrize("fault", ["extra", "doubled"])
def test_what_is_more_than_a_reply_is_counted_with_the_next(
    plant: Plant, drive: Drive, fault: str
) -> None:
    server = plant("echo.py", fault, 100, 5)
    outcome = drive(server, "tcp-long", window=LONG_ENOUGH_S)
    assert outcome.errors == {"wrong_bytes": 4}
    # The next of a connection may have been one of every fifth, too.
    assert server.report()["faults"] >= 4
    assert outcome.counts.reset == outcome.counts.timed_out == 0


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


@needs_descriptors(500)
def test_connection_closed_while_others_are_opened_is_counted(plant: Plant, drive: Drive) -> None:
    outcome = drive(plant("echo.py", "slams"), "tcp-long", connections=400)
    counts = outcome.counts
    assert counts.connected == 400
    # Some may still be queued, or have been sent to and not closed yet, when the window ends.
    assert outcome.errors.get("eof", 0) + counts.reset + counts.starved == 400
    assert counts.starved < 400


# No answer


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


# Inside


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


@pytest.fixture
def workload(load: Load, pairs: Pairs) -> tuple[tcp_long.Workload, socket.socket]:
    """One connection, and the server's end of it."""
    ours, theirs = pairs()
    workload = tcp_long.Workload(load)
    workload._connected(ours)
    return workload, theirs


Talk = tuple[tcp_long.Workload, socket.socket]


def on_event(load: Load) -> None:
    (handler,) = load.handlers.values()
    handler()


def test_reply_that_comes_twice_at_the_end_is_wrong(load: Load, workload: Talk) -> None:
    driven, theirs = workload
    driven.begin()
    theirs.send(theirs.recv(10))
    on_event(load)
    load.sending = False
    driven.pause()
    message = theirs.recv(10)
    theirs.send(message * 2)
    on_event(load)
    assert len(load.samples) == 2
    assert load.errors == {}
    driven.finish()
    assert load.errors == {"wrong_bytes": 1}


def test_who_has_something_under_way_does_not_begin_anew(load: Load, workload: Talk) -> None:
    """As one that is to be served for the first time, when another turn begins."""
    driven, theirs = workload
    driven.begin()
    driven.begin()
    assert len(theirs.recv(100)) == 10
    assert driven.under_way() == 0
    theirs.send(b"x" * 10)
    on_event(load)
    assert load.errors == {"wrong_bytes": 1}


def test_answer_after_a_pause_is_the_last_until_the_next_turn(load: Load, workload: Talk) -> None:
    driven, theirs = workload
    theirs.settimeout(10)
    driven.begin()
    first = theirs.recv(100)
    theirs.send(first)
    on_event(load)
    load.sending = False
    driven.pause()
    assert driven.under_way() == 1
    second = theirs.recv(100)
    theirs.send(second)
    on_event(load)
    assert driven.under_way() == 0
    load.sending = True
    driven.begin()
    assert theirs.recv(100) == first != second
    assert len(load.samples) == 2
