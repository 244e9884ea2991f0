"""Every state of TCP is held still and seen, by anybody."""

from __future__ import annotations

import os
import subprocess
import sys

import msgspec
import pytest

from compare.host.sock_diag import STATES
from compare.see.play import all_states
from compare.see.records import Row, Seen

NOBODY = 65534
NO_OTHER = 77  # exit status
# The modules are read before rights are given up: the folder need not be for everybody.
AS_NOBODY = f"""
import os, sys
import msgspec
import compare.see.play
if os.getuid() == 0:
    try:
        os.setgroups([])
        os.setgid({NOBODY})
        os.setuid({NOBODY})
    except OSError:  # of a user namespace with one user
        sys.exit({NO_OTHER})
assert os.getuid() != 0
seen = compare.see.play.all_states(lambda row: None)
sys.stdout.buffer.write(msgspec.json.encode(seen))
"""
ELEVEN = set(STATES.values())


@pytest.fixture(scope="module")
def seen() -> Seen:
    return all_states(lambda row: None)


def ends(rows: list[Row]) -> set[tuple[str, str]]:
    return {(row.client.state, row.server.state) for row in rows}


def test_there_are_eleven_and_all_are_seen(seen: Seen) -> None:
    assert len(ELEVEN) == 11
    assert seen.states() == ELEVEN


def test_an_ordinary_user_sees_them_all() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", AS_NOBODY], capture_output=True, timeout=50
    )
    if done.returncode == NO_OTHER:
        pytest.skip("root cannot become another user here")
    assert done.returncode == 0, done.stderr.decode()
    assert msgspec.json.decode(done.stdout, type=Seen).states() == ELEVEN


@pytest.mark.parametrize(
    "pair",
    [
        ("SYN_SENT", ""),  # the queue is full: the kernel hears nobody
        ("ESTABLISHED", "SYN_RECV"),  # the client is done with the handshake, the server is not
        ("FIN_WAIT2", "CLOSE_WAIT"),
        ("FIN_WAIT1", "ESTABLISHED"),  # its FIN waits behind bytes that nobody reads
        ("CLOSING", "FIN_WAIT2"),
        ("CLOSE_WAIT", "FIN_WAIT2"),
        ("LAST_ACK", "FIN_WAIT2"),
        ("TIME_WAIT", ""),  # only who finished first keeps it
        ("CLOSE", ""),  # after a reset
    ],
)
def test_both_ends_are_seen_at_the_same_time(seen: Seen, pair: tuple[str, str]) -> None:
    assert pair in ends(seen.rows)


def test_who_is_connected_and_not_accepted_waits_in_the_queue(seen: Seen) -> None:
    full = [row for row in seen.rows if row.client.state == "SYN_SENT"]
    assert full
    for row in full:
        assert row.queue is not None
        assert (row.queue.waiting, row.queue.backlog) == (2, 1)


def test_it_leaves_nothing_open(seen: Seen) -> None:
    before = len(os.listdir("/proc/self/fd"))
    all_states(lambda row: None)
    assert len(os.listdir("/proc/self/fd")) == before
