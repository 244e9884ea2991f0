"""What this machine lacks, or cannot look into, is not the server's failure; nor is it passed."""

from __future__ import annotations

import dataclasses
import errno
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import let_no_thread_begin, needs_descriptors, needs_ipv6

from compare.check import bench as benching
from compare.check import blame
from compare.check.bench import Bench, Subject, free_port
from compare.check.blame import Attention, Skipped, of_this_machine
from compare.check.catalogue import CHECKS, Profile
from compare.check.failure import Failed
from compare.check.runner import Finding, run
from compare.check.wire import wait_until
from compare.host import cgroup, process
from compare.host.place import Place

SERVERS = Path(__file__).parent / "servers"
ASYNCIO = Path(__file__).parents[2] / "strangers" / "asyncio_protocol.py"
STARTS = Path(__file__).parents[1] / "servers" / "starts.py"

pytestmark = pytest.mark.usefixtures("nothing_left")


def ours(mistake: str = "none", script: str = "tcp.py") -> tuple[str, ...]:
    return (sys.executable, str(SERVERS / script), mistake, "{port}")


def found(
    *ids: str,
    command: tuple[str, ...] = (),
    profile: Profile = "tcp-echo",
    place: Place | None = None,
    limits: dict[str, float] | None = None,
) -> list[Finding]:
    subject = Subject(profile, command or (() if place else ours()), place, limits or {})
    return list(run(subject, ids, 7, lambda text: None))


# What we lack.


@pytest.fixture
def few_descriptors() -> Iterator[None]:
    """A soft limit that is low, and a hard one that is not."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@needs_descriptors(1024 + 64)
@pytest.mark.usefixtures("few_descriptors")
def test_descriptors_are_raised_as_far_as_they_may_be() -> None:
    (finding,) = found("tcp/12-held")
    assert finding.state == "passed", finding


@pytest.mark.parametrize(
    ("id_", "limit"),
    [
        ("tcp/12", {}),
        ("tcp/12-held", {}),
        ("tcp/14", {"connections": 500.0}),
        ("tcp/15", {"per-peer": 500.0}),
        ("tcp/11", {"stalled": 65536.0}),
        ("tcp/16", {"descriptors": 1.0}),
    ],
)
def test_crowd_for_which_there_are_no_descriptors_is_skipped(
    monkeypatch: pytest.MonkeyPatch, id_: str, limit: dict[str, float]
) -> None:
    monkeypatch.setattr(benching, "descriptors", lambda: 50)
    (finding,) = found(id_, limits=limit)
    assert finding.state == "skipped"
    assert "descriptors, and a process may have 50 here: ulimit -Hn" in finding.reason


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENOBUFS, errno.EADDRNOTAVAIL])
@pytest.mark.parametrize(("profile", "id_"), [("tcp-echo", "tcp/1"), ("udp-echo", "udp/6")])
def test_socket_that_cannot_be_had_is_no_failure_of_the_server(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, id_: str, number: int
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Bench, "connect", fails)
    monkeypatch.setattr(Bench, "datagrams", fails)
    script = "tcp.py" if profile == "tcp-echo" else "udp.py"
    (finding,) = found(id_, profile=profile, command=ours(script=script))
    assert finding.state == "skipped"
    assert os.strerror(number) in finding.reason


def test_connect_tells_our_want_of_ports_from_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    with Bench(Subject("tcp-echo", ours()), 7, 3.0) as bench:
        with pytest.raises(OSError, match="Cannot assign"):
            bench.connect(source=("192.0.2.1", 0))
        monkeypatch.setattr(bench, "place", Place("tcp", "127.0.0.1", free_port("tcp")))
        with pytest.raises(Failed, match="refused"):
            bench.connect()


def test_crowd_for_which_there_are_no_ports_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    class Portless(socket.socket):
        def connect_ex(self, address: object) -> int:
            return errno.EADDRNOTAVAIL

    with Bench(Subject("tcp-echo", ours()), 7, 3.0) as bench:
        monkeypatch.setattr(socket, "socket", Portless)
        with pytest.raises(OSError, match="Cannot assign"):
            bench.connect(at_once=True)


def test_memory_that_runs_out_is_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Bench, "connect", fails)
    (finding,) = found("tcp/1")
    assert (finding.state, finding.reason) == ("skipped", "this machine has no memory left")


def test_machine_that_can_start_nothing_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object, **__: object) -> None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(subprocess, "Popen", fails)
    (finding,) = found("tcp/1")
    assert finding.state == "skipped"
    assert finding.reason.startswith("cannot start anything here")


@pytest.mark.parametrize(
    ("profile", "id_", "work"),
    [
        ("tcp-echo", "tcp/1", "_watch"),
        ("tcp-echo", "tcp/1", "_read_on"),
        ("client", "cl/1", "_read_on"),
    ],
)
def test_machine_that_lets_no_thread_begin_is_told_as_that(
    monkeypatch: pytest.MonkeyPatch, profile: Profile, id_: str, work: str
) -> None:
    """Neither as a fault of ours, nor of who is checked."""
    let_no_thread_begin(monkeypatch, work)
    (finding,) = found(id_, profile=profile)
    assert finding.state == "skipped"
    assert finding.reason == "cannot start anything here: can't start new thread"


@pytest.mark.parametrize("path", ["/proc/net/udp", "/sys/fs/cgroup/x"])
def test_what_the_system_does_not_show_is_ours(path: str) -> None:
    error = FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), path)
    assert of_this_machine(error) == f"this machine does not show {path}"
    assert of_this_machine(ConnectionResetError(errno.ECONNRESET, "reset")) is None


# IPv6.


@needs_ipv6
@pytest.mark.parametrize(
    ("id_", "limit", "state"),
    [
        ("udp/2", {}, "passed"),
        ("udp/3", {"no-privileged": 1.0}, "passed"),
        ("udp/4", {"rate": 300.0}, "skipped"),
    ],
)
def test_datagrams_are_checked_over_ipv6_as_far_as_one_address_goes(
    id_: str, limit: dict[str, float], state: str
) -> None:
    server = "-m aionet serve udp-echo --listen udp://[::1]:{port}"
    command = (sys.executable, *server.split())
    (finding,) = found(id_, profile="udp-echo", command=command, limits=limit)
    if "raw socket" in finding.reason or "CAP_NET" in finding.reason:
        pytest.skip(finding.reason)
    assert finding.state == state, finding


@needs_ipv6
def test_second_source_that_ipv6_has_not_is_skipped() -> None:
    command = (sys.executable, "-m", "aionet", "serve", "echo", "--listen", "tcp://[::1]:{port}")
    (finding,) = found("tcp/15", command=command, limits={"per-peer": 2.0})
    assert finding.state == "skipped"
    assert "IPv6 has one loopback address" in finding.reason


# What cannot be looked into.


@pytest.mark.parametrize("id_", ["tcp/6", "tcp/7", "tcp/8", "tcp/13", "tcp/17"])
def test_server_whose_process_is_elsewhere_is_not_said_to_hold_nothing(id_: str) -> None:
    port = free_port("tcp")
    away = [sys.executable, str(SERVERS / "tcp.py"), "none", str(port)]
    with subprocess.Popen(away) as elsewhere:  # as one in a container, whose client we start
        while not Place("tcp", "127.0.0.1", port).is_taken():
            assert elsewhere.poll() is None
        says = f"print('READY tcp://127.0.0.1:{port}', flush=True); input()"
        (finding,) = found(id_, command=(sys.executable, "-c", says))
        elsewhere.kill()
    assert finding.state == "skipped", finding
    assert "cannot look inside" in finding.reason


def test_process_that_may_not_be_looked_into_is_not_said_to_hold_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(pid: int) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), "/proc/7/fd")

    monkeypatch.setattr(process, "socket_inodes", fails)
    (finding,) = found("tcp/6")
    assert finding.state == "skipped"
    assert "/proc/7/fd" in finding.reason


def test_memory_that_is_not_shown_is_not_said_to_be_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "pss_kb", lambda pid, *, anonymous: 0)
    with (
        Bench(Subject("tcp-echo", ours()), 7, 3.0) as bench,
        pytest.raises(Skipped, match="smaps_rollup"),
    ):
        bench.memory_kb()


def test_server_that_is_gone_holds_nothing_and_fails() -> None:
    with Bench(Subject("tcp-echo", ours()), 7, 3.0) as bench:
        os.kill(bench.server.pid, signal.SIGKILL)
        assert bench.unasked_ending() == "killed by SIGKILL"
        with pytest.raises(Failed, match="it has ended: killed by SIGKILL"):
            bench.descriptors()


def test_server_that_ends_while_it_is_looked_into_is_not_said_to_be_elsewhere(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def end(bench: Bench) -> None:
        os.kill(bench.server.pid, signal.SIGKILL)
        assert wait_until(bench.ending, 10.0)

    def tree(pid: int) -> list[int]:
        end(bench)
        return looked(pid)

    def pss_kb(pid: int, *, anonymous: bool) -> int:
        end(bench)
        return 0

    looked = process.tree
    with Bench(Subject("tcp-echo", ours()), 7, 3.0) as bench, monkeypatch.context() as patched:
        patched.setattr(process, "tree", tree)
        with pytest.raises(Failed, match="it has ended: killed by SIGKILL"):
            bench.descriptors()
    with Bench(Subject("tcp-echo", ours()), 7, 3.0) as bench:
        monkeypatch.setattr(process, "pss_kb", pss_kb)
        with pytest.raises(Failed, match="it has ended: killed by SIGKILL"):
            bench.memory_kb()


@needs_descriptors(200 + 64)
def test_server_that_goes_into_the_background_in_mid_check_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(blame, "HELD_UP_S", 1000.0)  # that is another question
    script = f"{sys.executable} {SERVERS}/tcp.py leaks-descriptors $0 & sleep 0.4; exit 0"
    (finding,) = found("tcp/6", command=("sh", "-c", script, "{port}"))
    assert (finding.state, finding.started) == ("failed", False)
    assert "into the background" in finding.actual


def test_server_that_ends_by_itself_fails_a_check_whose_clients_saw_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def ends(bench: Bench) -> None:
        os.kill(bench.server.pid, signal.SIGKILL)
        bench.unasked_ending()

    monkeypatch.setitem(CHECKS, "tcp/1", CHECKS["tcp/1"].__class__(**asks(ends)))
    (finding,) = found("tcp/1")
    assert finding.state == "failed"
    assert finding.actual == "it has ended: killed by SIGKILL"


def asks(run: object) -> dict[str, object]:
    """The first check, with another question."""
    check = CHECKS["tcp/1"]
    return {**{name: getattr(check, name) for name in check.__dataclass_fields__}, "run": run}


def test_how_a_server_ended_is_said_before_what_its_clients_saw() -> None:
    (finding,) = found("tcp/6", command=ours("dies-of-sigpipe"))
    assert finding.actual.startswith("it has ended: killed by SIGPIPE")


# Being held up.

STOPPED = """
import os, signal, subprocess, time
from compare.check import blame
blame.HELD_UP_S = 0.3
with blame.Attention() as attention:
    subprocess.Popen(["sh", "-c", f"sleep 0.6; kill -CONT {os.getpid()}"])
    os.kill(os.getpid(), signal.SIGSTOP)
    time.sleep(0.1)  # so that the thread has its turn, too
print(attention.excuse())
"""


def test_stop_of_the_tester_is_noticed() -> None:
    done = subprocess.run(
        [sys.executable, "-c", STOPPED], capture_output=True, text=True, check=True, timeout=30
    )
    assert "this machine held the check up for" in done.stdout


def test_quota_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    throttled = iter([0, 5_000_000_000])
    monkeypatch.setattr(cgroup, "throttled_ns", lambda groups: next(throttled))
    with Attention() as attention:
        pass
    assert "held the check up for 5.0 of" in (attention.excuse() or "")


@pytest.mark.parametrize(
    ("file", "name", "words"),
    [("pids.events", "max", "no more processes"), ("memory.events", "oom_kill", "no memory left")],
)
def test_refusal_of_a_control_group_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, file: str, name: str, words: str
) -> None:
    monkeypatch.setattr(cgroup, "of", lambda pid: [tmp_path])
    (tmp_path / file).write_text(f"low 9\n{name} 3\n")
    with Attention() as attention:
        (tmp_path / file).write_text(f"low 9\n{name} 4\n")
    assert words in (attention.excuse() or "")


def test_attention_that_was_there_all_the_time_excuses_nothing() -> None:
    with Attention() as attention:
        threading.Event().wait(0.1)
    assert attention.excuse() is None


def test_failure_while_we_were_held_up_is_tried_again_and_then_skipped(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    excuses = iter(["held up", None])
    monkeypatch.setattr(blame.Attention, "excuse", lambda self: next(excuses, "held up"))
    wrong = ours("urgent-inline")
    (finding,) = found("tcp/18", command=wrong)
    assert finding.state == "failed"  # the second time, when we were not
    (finding,) = found("tcp/18", command=wrong)
    assert (finding.state, finding.reason) == ("skipped", "held up")
    (finding,) = found("tcp/18")
    assert finding.state == "passed"


def test_what_holds_in_the_end_is_seen_however_long_we_were_stopped() -> None:
    answers = iter([False, True])
    assert wait_until(lambda: next(answers), within=-1.0)


@pytest.mark.parametrize(
    ("limit", "state"), [(64, "passed"), (9, "skipped")], ids=["has-room", "has-none"]
)
def test_server_with_a_limit_of_its_own_is_held_to_that(limit: int, state: str) -> None:
    own = ("sh", "-c", f"ulimit -n {limit}; exec {sys.executable} {ASYNCIO} {{port}}")
    (finding,) = found("tcp/16", command=own, limits={"descriptors": float(limit)})
    assert finding.state == state, finding
    assert "ulimit -n" in finding.reason or state == "passed"


def test_check_that_fails_by_itself_is_skipped_and_the_others_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def breaks(bench: Bench) -> None:
        raise ValueError("no such thing")

    monkeypatch.setitem(CHECKS, "tcp/2", dataclasses.replace(CHECKS["tcp/2"], run=breaks))
    broken, made = found("tcp/2", "tcp/4")
    assert broken.state == "skipped"
    assert "a fault of ours (ValueError: no such thing)" in broken.reason
    assert made.state == "passed"
