"""What programs read of `compare check`: every check, one maximum of points, whatever happens."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner, Result

from compare.__main__ import main
from compare.check import runner
from compare.check.catalogue import of_profile
from compare.commands import check as checking

SERVERS = Path(__file__).parent / "servers"
STARTS = Path(__file__).parents[1] / "servers" / "starts.py"
RIGHT = [sys.executable, str(SERVERS / "tcp.py"), "none", "{port}"]
ASKED = ["tcp/1", "tcp/4", "tcp/6", "life/1"]
Check = Callable[..., Result]

pytestmark = pytest.mark.usefixtures("nothing_left")


@pytest.fixture
def words(tmp_path: Path) -> list[str]:
    """The options that have all files written."""
    kinds = ("json", "junit", "gradescope")
    return [word for kind in kinds for word in (f"--{kind}", str(tmp_path / kind))]


@pytest.fixture
def check(words: list[str]) -> Check:
    def check(*command: str, options: tuple[str, ...] = (), only: list[str] = ASKED) -> Result:
        asked = ["--only", ",".join(only), *options]
        after = ["--", *command] if command else []
        return CliRunner().invoke(main, ["check", *asked, *words, *after])

    return check


@pytest.fixture
def states(tmp_path: Path) -> Callable[[], dict[str, Any]]:
    """What each file says of each check, after a look that they agree."""

    def states() -> dict[str, Any]:
        found = json.loads((tmp_path / "json").read_text(encoding="utf-8"))["findings"]
        states = {each["id"]: each["state"] for each in found}
        suite = ElementTree.parse(tmp_path / "junit").getroot()
        bad = {
            case.get("name")
            for case in suite
            if case.find("failure") is not None or case.find("error") is not None
        }
        assert [case.get("name") for case in suite] == list(states)
        assert bad == {name for name, state in states.items() if state == "failed"}
        assert suite.get("tests") == str(len(states))
        assert int(suite.get("failures", "")) + int(suite.get("errors", "")) == len(bad)
        tests = json.loads((tmp_path / "gradescope").read_text(encoding="utf-8"))["tests"]
        assert [each["name"] for each in tests] == list(states)
        assert all(
            each["score"] == (each["max_score"] if states[each["name"]] == "passed" else 0)
            for each in tests
        )
        return states

    return states


def points(tmp_path: Path) -> tuple[int, int]:
    tests = json.loads((tmp_path / "gradescope").read_text(encoding="utf-8"))["tests"]
    return sum(each["score"] for each in tests), sum(each["max_score"] for each in tests)


def test_server_that_does_not_start_has_no_point_and_every_file_says_why(
    check: Check, states: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    result = check(sys.executable, "-c", "import sys; sys.exit('no such luck')")
    assert result.exit_code == 1
    assert states() == dict.fromkeys(ASKED, "failed")
    assert points(tmp_path) == (0, 4)
    assert "no such luck" in result.stdout
    for kind in ("json", "junit", "gradescope"):
        assert "no such luck" in (tmp_path / kind).read_text(encoding="utf-8")
    suite = ElementTree.parse(tmp_path / "junit").getroot()
    assert (suite.get("failures"), suite.get("errors")) == ("0", "4")


STARTS_TWICE = """
import os, pathlib, sys
count = pathlib.Path({count!r})
with count.open("a") as file:
    file.write("x")
if len(count.read_text(encoding="utf-8")) > 2:
    sys.exit("no more")
os.execv(sys.executable, [sys.executable, *{server!r}, sys.argv[1]])
"""


def test_server_that_stops_starting_has_the_points_of_what_it_passed_and_no_others(
    check: Check, states: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    count = tmp_path / "count"
    code = STARTS_TWICE.format(count=str(count), server=RIGHT[1:-1])
    result = check(sys.executable, "-c", code, "{port}")
    assert result.exit_code == 1
    assert list(states().values()) == ["passed", "passed", "failed", "failed"]
    assert points(tmp_path) == (2, 4)


def test_server_that_never_starts_is_not_waited_for_again_and_again(
    check: Check, tmp_path: Path
) -> None:
    count = tmp_path / "count"
    code = f"open({str(count)!r}, 'a').write('x')"
    check(sys.executable, "-c", code, only=["tcp/1", "tcp/2", "tcp/4", "tcp/6", "tcp/17"])
    assert count.read_text(encoding="utf-8") == "x" * runner.TRIES


def test_server_that_goes_into_the_background_is_told_so_everywhere(
    check: Check, states: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    result = check(sys.executable, str(STARTS), "goes-into-the-background", "{port}")
    assert result.exit_code == 1
    assert set(states().values()) == {"failed"}
    assert "into the background" in result.stdout
    for kind in ("json", "junit", "gradescope"):
        assert "into the background" in (tmp_path / kind).read_text(encoding="utf-8")


def test_interrupted_checks_are_in_the_files_too(
    check: Check,
    states: Callable[[], dict[str, Any]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = runner.run

    def interrupted(*given: Any, **more: Any) -> Any:
        findings = made(*given, **more)
        yield next(findings)
        raise KeyboardInterrupt

    monkeypatch.setattr(checking, "run", interrupted)
    result = check(*RIGHT)
    assert result.exit_code == 130
    assert list(states().values()) == ["passed", *["skipped"] * 3]
    assert points(tmp_path) == (1, 4)
    assert "not asked: interrupted" in (tmp_path / "gradescope").read_text(encoding="utf-8")


def test_fault_of_our_own_leaves_the_files_whole(
    check: Check,
    states: Callable[[], dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fails(*_: object, **__: object) -> Any:
        raise ZeroDivisionError
        yield

    monkeypatch.setattr(checking, "run", fails)
    assert isinstance(check(*RIGHT).exception, ZeroDivisionError)
    assert states() == dict.fromkeys(ASKED, "skipped")


def test_files_are_there_and_whole_when_the_tester_is_killed(
    words: list[str], states: Callable[[], dict[str, Any]], tmp_path: Path
) -> None:
    asked = [sys.executable, "-P", "-m", "compare", "check", "--only", ",".join(ASKED), *words]
    server = [sys.executable, str(SERVERS / "tcp.py"), "never-closes", "{port}"]  # tcp/4 waits
    with subprocess.Popen([*asked, "--", *server], stdout=subprocess.PIPE) as tester:
        assert tester.stdout is not None
        assert b"passed  tcp/1" in tester.stdout.readline()
        tester.send_signal(signal.SIGKILL)
    assert list(states().values()) == ["passed", *["skipped"] * 3]
    assert "was ended before that" in (tmp_path / "gradescope").read_text(encoding="utf-8")


@pytest.mark.parametrize("options", [(), ("--alone",)])
def test_maximum_is_the_same_however_it_is_checked(
    check: Check, tmp_path: Path, options: tuple[str, ...]
) -> None:
    only = ["tcp/4", "tcp/5", "tcp/9", "tcp/12-held"]
    check(sys.executable, "-c", "", options=options, only=only)
    assert points(tmp_path) == (0, 4)


def test_maximum_of_a_profile_is_its_must_checks(tmp_path: Path) -> None:
    path = tmp_path / "gradescope"
    CliRunner().invoke(main, ["check", "--gradescope", str(path), "--", "no-such-server"])
    must = [each for each in of_profile("tcp-echo") if each.kind == "MUST"]
    assert points(tmp_path) == (0, len(must))
    tests = json.loads(path.read_text(encoding="utf-8"))["tests"]
    assert [each["name"] for each in tests] == [
        each.id for each in of_profile("tcp-echo") if each.kind != "STYLE"
    ]


def test_point_is_lost_by_no_check_that_was_not_declared(check: Check, tmp_path: Path) -> None:
    """Nor has it one: where it listens is the server's own business."""
    server = (sys.executable, str(SERVERS / "udp.py"), "none", "{port}")
    check(*server, options=("--profile", "udp-echo"), only=["udp/6", "udp/11"])
    assert points(tmp_path) == (1, 1)
    content = json.loads((tmp_path / "gradescope").read_text(encoding="utf-8"))
    assert "output" not in content
    assert "--limit asked-address" in content["tests"][1]["output"]


def test_point_that_could_not_be_had_here_is_named(check: Check, tmp_path: Path) -> None:
    check(*RIGHT, options=("--alone",), only=["tcp/4", "tcp/5"])
    content = json.loads((tmp_path / "gradescope").read_text(encoding="utf-8"))
    assert content["output"] == "not checked, and without their points: tcp/5"
    assert "status" not in content["tests"][1]  # it is neither


def test_nobody_at_a_place_is_said_once_and_fails_all(
    check: Check, states: Callable[[], dict[str, Any]]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    result = check(options=("--connect", f"127.0.0.1:{port}"))
    assert result.exit_code == 1
    assert result.stdout.count(f"nobody listens at tcp://127.0.0.1:{port}") == 1
    assert list(states().values()) == ["failed", "failed", "failed", "skipped"]


def test_server_that_is_gone_in_the_middle_is_nobody_from_then_on(
    check: Check, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    server = [*RIGHT[:2], "dies-of-a-reset", str(port)]
    with subprocess.Popen(server) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                assert process.poll() is None
        check(options=("--connect", f"127.0.0.1:{port}"), only=["tcp/4", "tcp/6", "tcp/17"])
        process.wait()
    found = json.loads((tmp_path / "json").read_text(encoding="utf-8"))["findings"]
    assert [each["state"] for each in found] == ["passed", "failed", "failed"]
    assert [each.get("started", True) for each in found] == [True, True, False]


@pytest.mark.skipif(shutil.which("unshare") is None, reason="there is no unshare(1)")
def test_loopback_that_is_down_is_said_before_anything_is_asked() -> None:
    words = ["compare", "check", "--only", "tcp/1", "--", "true"]
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-P", "-m", *words],
        capture_output=True,
        text=True,
        timeout=30,
    )
    if "unshare" in done.stderr:
        pytest.skip(f"a network of its own is not permitted here: {done.stderr.strip()}")
    assert done.returncode == 1
    assert "nothing can connect to 127.0.0.1 here" in done.stderr
    assert done.stdout == ""


def test_command_in_one_string_is_read_as_a_shell_would(check: Check) -> None:
    result = check(" ".join(RIGHT), only=["tcp/4"])
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    ("profile", "script", "only"),
    [("udp-echo", "tcp.py", "udp/6"), ("tcp-echo", "udp.py", "tcp/4")],
)
def test_server_of_another_profile_is_told_so(
    check: Check, monkeypatch: pytest.MonkeyPatch, profile: str, script: str, only: str
) -> None:
    monkeypatch.setattr("compare.host.launch.OTHER_S", 0.1)
    server = (sys.executable, str(SERVERS / script), "none", "{port}")
    result = check(*server, options=("--profile", profile), only=[only])
    assert "of another --profile?" in result.stdout
    assert "--workloads" not in result.output


def test_server_that_says_another_protocol_is_told_so(check: Check) -> None:
    server = (sys.executable, "-m", "blocking", "serve", "echo")
    result = check(*server, options=("--profile", "udp-echo"), only=["udp/6"])
    assert "it serves TCP, by its own words, and --profile udp-echo asks UDP" in result.stdout


def test_only_who_is_silent_without_a_port_is_told_of_the_port(check: Check) -> None:
    silent = (sys.executable, "-c", "input()")
    result = check(*silent, options=("--ready-timeout", "200ms"), only=["tcp/4"])
    assert "within 0.2 s; its command has no {port}" in result.stdout
    assert "--ready-timeout" in result.stdout
    result = check(sys.executable, "-c", "raise PermissionError('stdin')", only=["tcp/4"])
    assert "{port}" not in result.stdout
