"""The counters of all workers together: what their parent is told, and what is not lost."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest
from deadline import DEADLINE_S
from run_program import Program, Start, each_loop, each_number

from aionet.limits import CloseReason
from aionet.stats import Stats
from aionet.tally import Tally

TELLS = """
def tell(stats):
    closed = sum(stats.closed.values())
    words = stats.accepted, stats.open, closed, stats.closed["error"], stats.datagrams
    os.write(1, b" ".join(b"%d" % each for each in words) + b"\\n")
    assert stats.accepted == stats.open + closed

"""


def stats(accepted: int, open_: int, **more: Any) -> Stats:
    closed = dict.fromkeys(CloseReason, 0) | {CloseReason.EOF: accepted - open_}
    settings = dict.fromkeys(
        ("waiting", "out_of_descriptors", "datagrams", "replies", "unanswered", "dropped"), 0
    )
    return Stats(accepted=accepted, open=open_, closed=closed, accepting=True, **(settings | more))


# Added up.


def test_stats_arrive_as_they_were_sent() -> None:
    sent = stats(7, 3, waiting=1, dropped=2**40)
    assert Stats.unpack(sent.pack()) == sent
    assert Stats.unpack(sent.pack() + bytes(100)) == sent  # a record is longer than they are
    assert len(sent.pack()) <= 507


def test_a_sum_has_all_of_both() -> None:
    both = stats(7, 3, replies=2) + stats(10, 1, replies=5)
    assert both == stats(17, 4, replies=7)


def test_who_accepts_nobody_is_seen_in_the_sum() -> None:
    full = Stats.unpack(stats(1, 1).pack())
    closed = {**vars_of(full), "accepting": False}
    assert not (Stats(**closed) + stats(1, 1)).accepting


def vars_of(one: Stats) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__slots__}


def test_what_a_worker_served_counts_on_after_its_end() -> None:
    told: list[Stats] = []
    tally = Tally(told.append)
    tally.report(0, stats(5, 2).pack())
    tally.report(1, stats(10, 0).pack())
    assert told[-1] == stats(15, 2)
    tally.end(0)
    assert (told[-1].accepted, told[-1].open) == (15, 0)
    assert told[-1].closed[CloseReason.ERROR] == 2  # their process has died under them
    tally.report(0, stats(1, 1).pack())  # the one that replaces it
    assert (told[-1].accepted, told[-1].open) == (16, 1)
    tally.end(1)
    tally.end(1)
    tally.report(0, stats(2, 0).pack())
    assert told[-1].accepted == sum(told[-1].closed.values()) == 17


def test_an_error_of_on_stats_is_logged_and_no_more(caplog: pytest.LogCaptureFixture) -> None:
    tally = Tally(lambda stats: 1 / 0)
    tally.report(0, stats(1, 0).pack())
    assert "on_stats failed" in caplog.text


# Of a program.


@each_loop
@each_number
def test_the_counters_of_all_are_told_and_at_the_end_they_are_exact(
    start: Start, loop: str, workers: int
) -> None:
    call = f"run(WHERE, factory=Pid, loop={loop!r}, workers={workers}, on_stats=tell)"
    program = Program(start, TELLS + call)
    program.ask_until(lambda answers: len(answers) == workers)
    for _ in range(20):
        program.ask()
    with program.connect() as sock:
        sock.sendall(b"?")
        assert sock.recv(100)
        program.process.terminate()
        assert sock.recv(100) == b""
    out, err = program.process.communicate(timeout=DEADLINE_S)
    assert (err, program.process.returncode) == (b"", 0)
    accepted, open_, closed, errors, _ = map(int, out.splitlines()[-1].split())
    assert accepted == closed >= 21 + workers
    assert (open_, errors) == (0, 0)


@each_loop
def test_the_counters_of_a_worker_that_was_killed_are_not_lost(start: Start, loop: str) -> None:
    call = f"run(WHERE, factory=Pid, loop={loop!r}, workers=2, on_stats=tell)"
    program = Program(start, TELLS + call)
    out = program.process.stdout
    assert out is not None
    with program.connect() as sock:
        sock.sendall(b"?")
        victim = int(sock.recv(100).split()[0])
        while out.readline() != b"1 1 0 0 0\n":
            pass
        os.kill(victim, signal.SIGKILL)
        while (line := out.readline()) != b"1 0 1 1 0\n":
            assert line == b"1 1 0 0 0\n"
    program.process.terminate()
    rest, err = program.process.communicate(timeout=DEADLINE_S)
    assert program.process.returncode == 0
    assert b"SIGKILL" in err
    assert set(rest.splitlines()) <= {b"1 0 1 1 0"}


@each_number
def test_datagrams_are_counted_as_well(start: Start, workers: int) -> None:
    where = "'udp://127.0.0.1:0'"
    call = f"run({where}, factory=Pid, workers={workers}, on_stats=tell)"
    program = Program(start, TELLS + call)
    for _ in range(10):
        program.ask()
    program.process.terminate()
    out, _ = program.process.communicate(timeout=DEADLINE_S)
    assert out.splitlines()[-1].split()[-1] == b"10"
