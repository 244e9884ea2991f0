"""Starting and ending servers of every kind, the ill-behaved ones above all."""

from __future__ import annotations

import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from machine import needs_ipv6

from compare.host import launch, process
from compare.host.launch import LaunchError, Server, kill, start
from compare.host.place import Place

SERVERS = Path(__file__).parents[1] / "servers"
IsAlive = Callable[[int], bool]
WaitUntil = Callable[[Callable[[], object], str], None]

pytestmark = pytest.mark.usefixtures("nothing_left")


def command(how: str) -> list[str]:
    return [sys.executable, str(SERVERS / "starts.py"), how]


def why_not(how: str) -> str:
    """What is said of a server that does not become ready."""
    server = Server(command(how), ())
    with pytest.raises(LaunchError) as caught, server:
        pytest.fail("it says that it is ready")
    assert not Path(f"/proc/{server.pid}").exists()
    return str(caught.value)


# Ready


def test_server_is_ready_where_it_says(is_alive: IsAlive) -> None:
    with Server(command("polite"), ()) as server:
        assert (server.scheme, server.host, server.port) == ("tcp", "127.0.0.1", 7)
        assert is_alive(server.pid)
        assert server.died() is None
    assert not is_alive(server.pid)


def test_ipv6_address_comes_without_its_brackets() -> None:
    with Server(command("ipv6"), ()) as server:
        assert (server.host, server.port) == ("::1", 7)


def test_ready_line_that_comes_in_pieces_is_read_whole() -> None:
    with Server(command("in-pieces"), ()) as server:
        assert server.port == 12345


def test_what_a_server_says_before_ready_is_passed_over() -> None:
    with Server(command("floods"), ()) as server:
        assert server.port == 7


def test_server_has_all_the_descriptors_that_the_hard_limit_allows() -> None:
    with Server(command("polite"), ()) as server:
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        assert resource.prlimit(server.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_server_is_on_its_core_and_in_a_group_of_its_own() -> None:
    core = max(os.sched_getaffinity(0))
    with Server(command("polite"), (core,)) as server:
        assert os.sched_getaffinity(server.pid) == {core}
        assert os.getpgid(server.pid) == server.pid


def test_server_without_a_core_may_run_on_all() -> None:
    with Server(command("polite"), ()) as server:
        assert os.sched_getaffinity(server.pid) == os.sched_getaffinity(0)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


@needs_ipv6
def test_server_at_the_other_loopback_address_is_found_there() -> None:
    port = free_port()
    place = Place("tcp", "127.0.0.1", port)
    with Server([*command("v6-only"), str(port)], (), place=place) as server:
        assert (server.host, server.port) == ("::1", port)


@needs_ipv6
def test_server_that_says_a_name_is_at_the_address_of_it_that_answers() -> None:
    with Server(command("by-name"), ()) as server:
        socket.create_connection((server.host, server.port), 5).close()
        assert server.host != "localhost"


def test_server_may_wait_for_a_word_on_stdin_that_never_comes() -> None:
    with Server(command("watches-stdin"), ()) as server:
        assert server.died() is None


def test_server_that_needs_longer_is_waited_for_if_that_is_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "READY_TIMEOUT_S", 0.0)
    with Server(command("polite"), (), ready_timeout_s=30.0) as server:
        assert server.died() is None


def test_time_for_which_we_were_stopped_ourselves_is_not_the_servers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was ready long before we looked."""
    clock = time.monotonic
    server = Server(command("polite"), ())
    assert server._process.stdout is not None
    assert select.select([server._process.stdout], [], [], 30.0)[0]
    monkeypatch.setattr(time, "monotonic", lambda: clock() + 1000.0)
    with server:
        assert server.died() is None


# Not ready


def test_server_that_goes_into_the_background_is_told_so_and_ends(
    is_alive: IsAlive, wait_until: WaitUntil
) -> None:
    port = free_port()
    server = Server(
        [*command("goes-into-the-background"), str(port)], (), place=Place("tcp", "127.0.0.1", port)
    )
    with pytest.raises(LaunchError, match="into the background") as caught, server:
        pytest.fail("it says that it is ready")
    assert str(caught.value).endswith("lives on; start it in the foreground")
    left = int(str(caught.value).partition("process ")[2].split()[0])
    assert not is_alive(left)


def test_command_that_does_not_exist_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "server")
    with pytest.raises(LaunchError, match=f"cannot start {missing}: No such file"):
        Server([missing], ())


def test_command_that_may_not_be_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=f"cannot start {tmp_path}: Permission denied"):
        Server([str(tmp_path)], ())


def test_server_that_exits_says_how_and_what_it_wrote_to_stderr() -> None:
    said = why_not("exits")
    assert said == "ended before it was ready: exit status 3; stderr: no more ports"


def test_server_that_exits_well_is_not_ready_either() -> None:
    assert why_not("exits-well") == "ended before it was ready: exit status 0"


def test_server_that_dies_of_a_signal_says_of_which() -> None:
    assert why_not("dies") == "ended before it was ready: killed by SIGSEGV"


@pytest.mark.parametrize(
    ("how", "raised"),
    [("raises", "KeyError: 'no such key'"), ("raises-several", "OSError: the last")],
)
def test_of_a_traceback_the_last_line_is_told(how: str, raised: str) -> None:
    said = f"ended before it was ready: exit status 1; stderr: {raised}"
    assert re.fullmatch(rf"{re.escape(said)} \(starts\.py, line \d+\)", why_not(how))


def test_server_of_the_other_protocol_is_told_apart_and_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "READY_TIMEOUT_S", 60.0)
    monkeypatch.setattr(launch, "OTHER_S", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = Place("udp", "127.0.0.1", port)
    server = Server([*command("tcp-only"), str(port)], (), place=place)
    with pytest.raises(LaunchError) as caught, server:
        pytest.fail("it says that it is ready")
    assert str(caught.value) == (
        f"did not say READY, nor did it listen at UDP port {port}, but at the TCP port of that "
        "number: --workloads, or workloads in --config, can leave out what it does not serve"
    )


def test_server_that_listens_nowhere_is_told_where_it_should_have(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(launch, "READY_TIMEOUT_S", 0.7)
    server = Server(command("silent"), (), place=Place("udp", "127.0.0.1", 1))
    with (
        pytest.raises(LaunchError, match=r"nor did it listen at UDP port 1, within 0\.7 s"),
        server,
    ):
        pytest.fail("it says that it is ready")


def test_server_that_dies_of_a_signal_without_a_name_says_of_which() -> None:
    said = why_not("dies-strangely")
    assert said.startswith("ended before it was ready: killed by ")
    assert str(signal.SIGRTMIN + 1) in said or "SIGRTMIN+1" in said


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("silent", "did not say READY within 0.7 s; stderr: still thinking"),
        ("floods-forever", "did not say READY within 0.7 s"),
    ],
)
def test_server_that_does_not_say_ready_is_given_up(
    monkeypatch: pytest.MonkeyPatch, how: str, expected: str
) -> None:
    monkeypatch.setattr(launch, "READY_TIMEOUT_S", 0.7)
    assert why_not(how) == expected


def test_server_that_closes_its_output_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "READY_TIMEOUT_S", 0.7)
    said = why_not("closes-stdout")
    assert said == "ended before it was ready: it closed its output; stderr: gone quiet"


# Ending


def test_end_that_a_shell_would_say_of_sigterm_is_a_right_one() -> None:
    with Server(command("ends-as-a-jvm"), ()) as server:
        server.stop()
        assert server.died() == "exit status 143"


def test_server_that_talks_a_lot_on_stderr_waits_for_nobody_and_its_end_is_kept() -> None:
    with Server(command("talks-on-stderr"), ()) as server:
        assert server.stderr_tail().endswith("the end")
        assert len(server.stderr_tail()) <= launch.TAIL_BYTES


def test_server_starts_where_there_is_no_folder_to_write_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/nowhere")
    with Server(command("polite"), ()) as server:
        assert server.died() is None


def test_polite_server_stops() -> None:
    with Server(command("polite"), ()) as server:
        server.stop()
        assert server.died() == "exit status 0"


def test_server_without_arrangements_stops_of_the_signal() -> None:
    with Server(command("plain"), ()) as server:
        server.stop()
        assert server.died() == "killed by SIGTERM"


def test_server_that_ends_badly_says_how() -> None:
    with (
        Server(command("ends-badly"), ()) as server,
        pytest.raises(LaunchError, match="ended badly after SIGTERM: exit status 4"),
    ):
        server.stop()


def test_server_that_ignores_sigterm_is_told_and_killed(is_alive: IsAlive) -> None:
    with Server(command("stubborn"), ()) as server:
        expected = "did not end within 0.1 s of SIGTERM; stderr: not yet"
        with pytest.raises(LaunchError, match=expected):
            server.stop(0.1)
        assert is_alive(server.pid)
    assert not is_alive(server.pid)


def test_server_that_died_says_of_what(wait_until: WaitUntil) -> None:
    with Server(command("plain"), ()) as server:
        os.kill(server.pid, signal.SIGKILL)
        wait_until(server.died, "it is dead")
        assert server.died() == "killed by SIGKILL"


def test_server_that_is_already_gone_can_be_stopped() -> None:
    with Server(command("plain"), ()) as server:
        os.kill(server.pid, signal.SIGTERM)
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        server.stop()


def test_children_of_a_server_go_with_it(is_alive: IsAlive, wait_until: WaitUntil) -> None:
    with Server(command("leaves-a-child"), ()) as server:
        family = process.tree(server.pid)
        assert len(family) == 2
    wait_until(lambda: not any(map(is_alive, family)), "the group is gone")


def test_children_of_a_server_that_died_go_too(is_alive: IsAlive, wait_until: WaitUntil) -> None:
    with Server(command("leaves-a-child"), ()) as server:
        _, child = process.tree(server.pid)
        server.stop()
        assert is_alive(child)
    wait_until(lambda: not is_alive(child), "the child is gone")


def test_an_error_inside_ends_the_server(is_alive: IsAlive) -> None:
    with pytest.raises(RuntimeError), Server(command("plain"), ()) as server:
        raise RuntimeError
    assert not is_alive(server.pid)


def test_killing_what_is_gone_is_harmless() -> None:
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    started = start([sys.executable, "-c", ""], None, **pipes)
    started.wait()
    kill(started)
    kill(started)


def test_only_the_end_of_stderr_is_told() -> None:
    code = "import sys; sys.stderr.write('x' * 100_000 + 'the end'); sys.exit(1)"
    with (
        pytest.raises(LaunchError) as caught,
        Server([sys.executable, "-c", code], ()),
    ):
        pytest.fail("it says that it is ready")
    assert str(caught.value).endswith("the end")
    assert len(str(caught.value)) < launch.TAIL_BYTES + 100


def test_stderr_that_is_no_text_is_told_as_far_as_it_goes() -> None:
    code = r"import os, sys; os.write(2, b'\xff\xfe ouch \x80'); sys.exit(1)"
    with (
        pytest.raises(LaunchError, match="ouch"),
        Server([sys.executable, "-c", code], ()),
    ):
        pytest.fail("it says that it is ready")


def test_server_dies_with_whoever_started_it(is_alive: IsAlive, wait_until: WaitUntil) -> None:
    code = f"""
import signal
from compare.host.launch import Server
with Server({command("polite")!r}, ()) as server:
    print(server.pid, flush=True)
    signal.pause()
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        pid = int(starter.stdout.readline())
        assert is_alive(pid)
        starter.kill()
        starter.wait()
        wait_until(lambda: not is_alive(pid), "the server is gone")


INTERRUPTED_IN_A_HOOK = """
import os, signal, sys, threading
from compare.host.kin import children
from compare.host.launch import Server
os.register_at_fork(after_in_parent=lambda: signal.raise_signal(signal.SIGINT))
try:
    Server(["sleep", "60"], ())
except KeyboardInterrupt:
    for each in threading.enumerate()[1:]:  # who read its stderr sees that it has ended
        each.join(5)
    print("interrupted; there are", threading.active_count() - 1, children(os.getpid()))
"""


def test_ctrl_c_while_a_server_is_forked_is_not_lost_and_leaves_none() -> None:
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IN_A_HOOK], capture_output=True, text=True, timeout=30
    )
    assert (done.stdout, done.stderr) == ("interrupted; there are 0 []\n", "")
