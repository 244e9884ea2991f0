"""What a server has used and how large it is, against servers that are known or made up."""

from __future__ import annotations

import itertools
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from own_network import said_in_a_network_of_its_own

from compare.contract.spec import Target
from compare.driver import meter as metering
from compare.driver.meter import Dropped, Meter, TimeWait, dropped_at, sizes_of
from compare.host import cgroup, kin, process
from compare.host.launch import Server


@pytest.fixture
def made_up_cpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[Iterable[int]], None]:
    """What the CPU clock shows, look by look."""

    def made_up_cpu(looks: Iterable[int]) -> None:
        shown = iter(looks)
        monkeypatch.setattr(process, "cpu_of_tree_ns", lambda pid: next(shown))

    return made_up_cpu


def test_what_a_server_does_after_its_answer_is_its_cost(
    made_up_cpu: Callable[[Iterable[int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metering, "SETTLE_S", 10.0)  # however busy the machine is
    made_up_cpu([10, 20, 30, 30, 40])
    assert Meter(os.getpid()).settled_ns() == 30


def test_server_that_never_rests_is_not_waited_for(
    made_up_cpu: Callable[[Iterable[int]], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a clock that only sleeping moves, however busy the machine is."""
    naps: list[float] = []
    clock = SimpleNamespace(sleep=naps.append, perf_counter=lambda: sum(naps))
    made_up_cpu(itertools.count())
    meter = Meter(os.getpid())
    monkeypatch.setattr(metering, "time", clock)
    assert meter.settled_ns() > 0
    assert metering.SETTLE_S <= sum(naps) < metering.SETTLE_S + 2 * metering.QUIET_S


def test_usage_is_from_the_first_look_on(plant: Callable[..., Any]) -> None:
    server = plant("timing.py", "service", 50)
    with socket.create_connection((server.host, server.port)) as conn:

        def ask() -> None:
            conn.send(b"x")
            conn.recv(1)

        ask()
        meter = Meter(server.pid)
        before = meter.cpu_ns()
        for _ in range(4):
            ask()
        spent = meter.settled_ns() - before
        used = meter.usage(10**9, spent)
    assert 0 < spent < process.cpu_of_tree_ns(server.pid)
    assert used is not None
    assert (used.elapsed_ns, used.cpu_ns) == (10**9, spent)
    assert used.user_share is not None
    assert 0.5 < used.user_share <= 1
    assert 0 <= used.preemptions <= used.switches
    assert used.switches >= 4


def test_server_that_is_gone_has_used_nothing_that_is_known() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    meter = Meter(ended.pid)
    with pytest.raises(ProcessLookupError):
        meter.cpu_ns()
    assert meter.usage(10**9, 0) is None


def test_share_of_its_turns_for_which_a_quota_held_it_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those alone: meanwhile others of its group have theirs."""
    monkeypatch.setattr(cgroup, "of", lambda pid: [tmp_path])

    def held_back(us: int) -> None:
        (tmp_path / "cpu.stat").write_text(f"usage_usec 100\nthrottled_usec {us}\n")

    held_back(7_000_000)
    meter = Meter(os.getpid())
    for turn in range(2):
        held_back(8_000_000 * (turn + 1))
        assert meter.begin() > 0
        held_back(8_000_000 * (turn + 1) + 100_000)
        assert meter.end() > 0
    held_back(80_000_000)
    used = meter.usage(10**9, 0)
    assert used is not None
    assert used.throttled == pytest.approx(0.2)
    used = meter.usage(10**8, 0)  # of several CPUs
    assert used is not None
    assert used.throttled == 1


def test_what_it_does_after_its_last_turn_is_not_its_usage(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks = iter(range(0, 900, 100))
    seen = process.Usage(0, 0, 0, 0, 0, 0)
    monkeypatch.setattr(process, "usage", lambda pid: seen._replace(switches=next(looks)))
    meter = Meter(os.getpid())
    for _ in range(2):
        meter.begin()
        meter.end()
    meter.close()
    meter.close()
    used = meter.usage(10**9, 0)
    assert used is not None
    assert used.switches == 100


def test_server_without_a_quota_was_never_held_back() -> None:
    meter = Meter(os.getpid())
    meter.begin()
    meter.end()
    used = meter.usage(10**9, 0)
    assert used is not None
    assert used.throttled == 0


# How large


def test_server_of_somebody_else_has_no_size() -> None:
    target = Target("127.0.0.1", 7)
    assert sizes_of(target, "tcp-long", TimeWait(target, "tcp-long")) is None


def test_datagrams_that_found_its_buffer_full_are_counted() -> None:
    many = 1000
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        server.bind(("127.0.0.1", 0))
        server.setblocking(False)
        for _ in range(many):
            client.sendto(b"x" * 500, server.getsockname())
        target = Target(*server.getsockname(), pid=os.getpid())
        sizes = sizes_of(target, "udp-echo", TimeWait(target, "udp-echo"))
        came = 0
        try:
            while server.recv(500):
                came += 1
        except BlockingIOError:
            pass
    assert sizes is not None
    assert sizes.dropped == many - came > 0
    assert sizes.buffered_kb is sizes.time_wait is None


def test_receive_buffer_is_what_the_kernel_made_of_it() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 10_000)
        server.bind(("127.0.0.1", 0))
        target = Target(*server.getsockname(), pid=os.getpid())
        sizes = sizes_of(target, "udp-echo", TimeWait(target, "udp-echo"))
        assert sizes is not None
        asked = server.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)
        assert sizes.receive_buffer == asked == 20_000


def test_datagrams_are_dropped_at_the_end_whose_buffer_is_full() -> None:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
    ):
        server.bind(("127.0.0.1", 0))
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(server.getsockname())
        port = server.getsockname()[1]
        assert dropped_at(port) == (0, 0)
        for _ in range(100):
            server.sendto(b"x" * 500, client.getsockname())
        found = dropped_at(port)
        assert found.server == 0
        assert found.clients is not None
        assert 0 < found.clients < 100
        assert found.since(Dropped(0, 1)) == (0, found.clients - 1)
        assert found.since(Dropped()) == (None, None)
    assert dropped_at(port) == (None, None)


def test_closes_that_find_no_room_in_time_wait_are_counted() -> None:
    """In a network of its own, in which there is room for few."""
    code = """
import socket
from pathlib import Path
from compare.contract.spec import Target
from compare.driver.meter import TimeWait, sizes_of
Path("/proc/sys/net/ipv4/tcp_max_tw_buckets").write_text("4")
with socket.create_server(("127.0.0.1", 0)) as listener:
    target = Target(*listener.getsockname(), pid=1)
    closed = TimeWait(target, "tcp-short")
    for _ in range(50):
        with socket.create_connection(listener.getsockname()) as client:
            server, _ = listener.accept()
        server.recv(1)
        server.close()
    print(sizes_of(target, "tcp-short", closed).time_wait_overflow)
"""
    (overflow,) = said_in_a_network_of_its_own(code)
    assert 40 <= int(overflow) <= 50


def test_sizes_are_those_of_all_its_processes(serve: Callable[..., Any]) -> None:
    server = serve("blocking", "serve", "echo", "--model", "prefork")
    assert len(process.tree(server.pid)) > 1
    target = Target(server.host, server.port, server.pid)
    sizes = sizes_of(target, "tcp-long", TimeWait(target, "tcp-long"))
    assert sizes is not None
    assert sizes.threads >= len(process.tree(server.pid))
    assert sizes.rss_kb > sizes.pss_kb > 0


def test_who_left_for_a_session_of_its_own_is_metered(monkeypatch: pytest.MonkeyPatch) -> None:
    script = Path(__file__).parents[1] / "servers" / "starts.py"
    with Server([sys.executable, str(script), "leaves-a-session"], ()) as server:
        monkeypatch.setattr(kin, "_far", {})  # as in the driver, which did not start it
        meter = Meter(server.pid)
        begun, deadline = meter.cpu_ns(), time.monotonic() + 30
        while meter.cpu_ns() < begun + 100_000_000:  # it works for 0.3 s, and its parent waits
            assert time.monotonic() < deadline
            time.sleep(0.01)
