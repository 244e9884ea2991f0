"""How many connections the descriptors suffice for, and how often a lack of them is logged."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import re
import resource
import select
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from machine import needs_descriptors

from aionet import descriptors
from aionet.descriptors import descriptor_reserve, descriptor_room, warn_cannot_accept
from aionet.loops import LOOPS


@pytest.mark.parametrize(
    ("soft", "reserve"),
    [(1024, 128), (512, 128), (400, 100), (64, 16), (3, 0), (resource.RLIM_INFINITY, 128)],
)
def test_the_reserve_is_a_quarter_and_at_most_128(
    monkeypatch: pytest.MonkeyPatch, soft: int, reserve: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, resource.RLIM_INFINITY))
    assert descriptor_reserve() == reserve


@pytest.mark.parametrize("soft", [1024, 400, 64, 1, resource.RLIM_INFINITY])
def test_the_room_is_what_is_free_less_the_reserve_and_at_least_one(
    monkeypatch: pytest.MonkeyPatch, soft: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, resource.RLIM_INFINITY))
    used = len(os.listdir("/proc/self/fd"))
    limit = 2**31 - 1 if soft == resource.RLIM_INFINITY else soft
    assert descriptor_room() == max(1, limit - used - descriptor_reserve())


@pytest.mark.parametrize(("soft", "lines"), [(1024, 0), (256, 0), (255, 1), (64, 1)])
def test_a_room_that_is_small_is_told(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, soft: int, lines: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (soft, soft))
    room = descriptor_room()
    told = f"ulimit -n is {soft}: at most {room} connections at a time, others wait"
    assert [record.getMessage() for record in caplog.records] == [told] * lines


@pytest.mark.parametrize("without", ["", "<&-", "<&- >&-"])
def test_they_are_short_when_a_part_of_the_reserve_is_left_whatever_streams_there_are(
    without: str,
) -> None:
    code = """
import os, resource, sys
from aionet.descriptors import descriptors_are_short
resource.setrlimit(resource.RLIMIT_NOFILE, (80, 80))  # 20 of them in reserve
mine = os.pipe()
taken = [os.dup(mine[0])]
while not descriptors_are_short(mine[0], 0):
    taken.append(os.dup(mine[0]))
short = 80 - 15
while taken[-1] < 3:
    taken.append(os.dup(mine[0]))
assert short - 1 <= taken[-1] < short, taken
os.close(taken.pop())
assert not descriptors_are_short(mine[0], 0)
assert descriptors_are_short(mine[0], 1)
sys.exit(7)
"""
    command = ["sh", "-c", f'exec "$0" -c "$1" {without}', sys.executable, code]
    assert subprocess.run(command, check=False).returncode == 7


# Served where there are few.

SERVE = """
import logging, resource, sys
import aionet
resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))
logging.basicConfig(format="%(message)s")
most = int(sys.argv[2]) or None
sys.exit(aionet.run(
    aionet.Echo(),
    "tcp://127.0.0.1:0",
    loop=sys.argv[1],
    limits=aionet.Limits(connections=most),
    on_ready=lambda addresses: print(addresses[0].port, flush=True),
))
"""


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("most", [0, 1000])
@pytest.mark.parametrize("crowd", [150, pytest.param(500, marks=needs_descriptors(600))])
def test_few_descriptors_serve_some_40_at_a_time_and_the_others_wait(
    start: Callable[..., Any], loop: str, most: int, crowd: int
) -> None:
    process = start("-c", SERVE, loop, str(most))
    port = int(process.stdout.readline())
    with contextlib.ExitStack() as stack:
        waiting = set()
        for number in range(crowd):  # all at once, as far as a client can
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=20))
            sock.sendall(b"%d" % number)
            waiting.add(sock)
        at_once = 0
        while waiting:
            served = set(select.select(waiting, [], [], 20)[0])
            assert served, f"{len(waiting)} wait in vain"
            while more := set(select.select(waiting - served, [], [], 0.05)[0]):
                served |= more
            at_once = max(at_once, len(served))
            for sock in served:
                assert sock.recv(100).isdigit()  # and not reset
                sock.close()
            waiting -= served
    process.terminate()
    out, err = process.communicate(timeout=20)
    assert (out, process.returncode) == (b"", 0)
    assert 30 < at_once <= 48
    lines = err.decode().splitlines()
    assert lines
    if most:  # more than there is room for
        line = "cannot accept: 64 descriptors are nearly used up (ulimit -n); newcomers wait"
        assert set(lines) == {line}
    else:
        (line,) = lines
        assert re.fullmatch(r"ulimit -n is 64: at most [34]\d connections at a time, .*", line)


def test_a_pause_is_logged_once_a_second_however_often_it_happens(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(descriptors, "_quiet_until", -math.inf)
    tenths = iter(range(1000, 1030))
    monkeypatch.setattr(descriptors.time, "monotonic", lambda: next(tenths) / 10)
    with caplog.at_level(logging.WARNING):
        for _ in range(30):
            warn_cannot_accept("cannot accept: %s", "as told")
    assert [record.getMessage() for record in caplog.records] == ["cannot accept: as told"] * 3
